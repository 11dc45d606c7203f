/**
 * Panama FFM bindings to libbpf 1.x and the few system calls it leaves out. Knows nothing else of Shunt.
 *
 * <p>Every failure is a {@link io.shunt.libbpf.BpfException} that names the call, the object and the errno; without the
 * library every call throws {@link io.shunt.libbpf.LibraryMissingException}. Segments given to the kernel are native
 * and stay the caller's. Nothing here raises RLIMIT_MEMLOCK: libbpf does so itself before it creates a map or loads a
 * program, if the kernel is older than 5.11, which still counts maps against it.
 *
 * <p>A call function is linked when its class is first used. Linking costs some 5 ms for a signature not seen before
 * and next to nothing for another function of the same signature, hence the few shapes in {@code Native}.
 */
@NullMarked
package io.shunt.libbpf;

import org.jspecify.annotations.NullMarked;
