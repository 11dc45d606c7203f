package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/** The processors of this machine. */
public final class Cpus {
    private static final MethodHandle POSSIBLE =
            Native.libbpf("libbpf_num_possible_cpus", FunctionDescriptor.of(JAVA_INT));

    private static final Path ONLINE = Path.of("/sys/devices/system/cpu/online");

    private Cpus() {}

    /** How many are online, whoever may use them: a container's share does not count, as it does for the JVM. */
    public static int online() {
        try {
            return count(Files.readString(ONLINE).strip());
        } catch (IOException e) {
            return Runtime.getRuntime().availableProcessors();
        }
    }

    /** Of a list as the kernel writes it: {@code 0-3,8}. */
    static int count(String list) {
        int count = 0;
        for (String part : list.split(",", -1)) {
            String[] ends = part.split("-", -1);
            count += Integer.parseInt(ends[ends.length - 1]) - Integer.parseInt(ends[0]) + 1;
        }
        return count;
    }

    /** How many values a per-CPU map holds for one key: every CPU that could ever be plugged in, not those online. */
    public static int possible() {
        try {
            return BpfException.check((int) POSSIBLE.invokeExact(), "libbpf_num_possible_cpus", "this machine");
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }
}
