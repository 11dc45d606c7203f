/** Nodes, pods and outside clients as network namespaces and cgroups, and real traffic between them. Needs root. */
@NullMarked
package io.shunt.testbed;

import org.jspecify.annotations.NullMarked;
