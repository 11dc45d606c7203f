/** Micrometer meters: kube-proxy's names beside our own. */
@NullMarked
package io.shunt.metrics;

import org.jspecify.annotations.NullMarked;
