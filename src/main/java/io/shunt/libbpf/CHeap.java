package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/** The memory that C code of this process has from malloc(3), the JVM's own included. */
public final class CHeap {
    private static final Optional<MethodHandle> TRIM = Linker.nativeLinker()
            .defaultLookup()
            .find("malloc_trim")
            .map(address -> Linker.nativeLinker().downcallHandle(address, FunctionDescriptor.of(JAVA_INT, JAVA_LONG)));

    private CHeap() {}

    /** Gives what is free in it back to the system, which takes some ms; nothing where the C library cannot (musl). */
    public static void trim() {
        TRIM.ifPresent(call -> {
            try {
                int ignored = (int) call.invokeExact(0L);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        });
    }
}
