/** Pure functions from (a Service, its endpoints, this node) to the virtual services of the table. All Kubernetes rules live here. */
@NullMarked
package io.shunt.plan;

import org.jspecify.annotations.NullMarked;
