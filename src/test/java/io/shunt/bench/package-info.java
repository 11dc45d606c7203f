/** `make bench`: measures, judges by the targets, and writes the results to docs/benchmarks. */
@NullMarked
package io.shunt.bench;

import org.jspecify.annotations.NullMarked;
