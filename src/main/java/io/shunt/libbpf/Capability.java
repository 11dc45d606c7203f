package io.shunt.libbpf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;

/** The capabilities that matter to Shunt; the numbers are those of linux/capability.h. */
public enum Capability {
    CAP_NET_ADMIN(12),
    CAP_SYS_PTRACE(19),
    CAP_SYS_ADMIN(21),
    CAP_PERFMON(38),
    CAP_BPF(39);

    private final int bit;

    Capability(int bit) {
        this.bit = bit;
    }

    int bit() {
        return bit;
    }

    /** Those that this process has in effect. */
    public static Set<Capability> effective() {
        long bits = effectiveBits();
        Set<Capability> effective = EnumSet.noneOf(Capability.class);
        for (Capability capability : values()) {
            if ((bits >>> capability.bit & 1) != 0) {
                effective.add(capability);
            }
        }
        return effective;
    }

    private static long effectiveBits() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("CapEff:")) {
                    return Long.parseUnsignedLong(
                            line.substring("CapEff:".length()).strip(), 16);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read this process's capabilities", e);
        }
        throw new IllegalStateException("/proc/self/status has no CapEff");
    }
}
