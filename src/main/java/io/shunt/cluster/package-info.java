/** What the cluster says: compact immutable records of Services, EndpointSlices and this Node. */
@NullMarked
package io.shunt.cluster;

import org.jspecify.annotations.NullMarked;
