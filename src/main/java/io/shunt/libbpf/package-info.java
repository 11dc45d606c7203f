/** Panama FFM bindings to libbpf and the few system calls it leaves out. Knows nothing else of Shunt. */
@NullMarked
package io.shunt.libbpf;

import org.jspecify.annotations.NullMarked;
