package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;

/** The processors as per-CPU maps count them. */
public final class Cpus {
    private static final MethodHandle POSSIBLE =
            Native.libbpf("libbpf_num_possible_cpus", FunctionDescriptor.of(JAVA_INT));

    private Cpus() {}

    /** How many values a per-CPU map holds for one key: every CPU that could ever be plugged in, not those online. */
    public static int possible() {
        try {
            return BpfException.check((int) POSSIBLE.invokeExact(), "libbpf_num_possible_cpus", "this machine");
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }
}
