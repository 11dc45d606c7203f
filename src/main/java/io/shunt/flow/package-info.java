/** Conversations and drops that the kernel tells of, with the cluster's names. */
@NullMarked
package io.shunt.flow;

import org.jspecify.annotations.NullMarked;
