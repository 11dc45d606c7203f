package io.shunt.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What the figures were measured on. */
final class Machine {
    private Machine() {}

    /** As {@code 2 CPUs (Xeon ...), Linux 6.18, Java 25, load average 0.10 before}. */
    static String describe() throws IOException {
        String model = Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                .filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse(System.getProperty("os.arch"));
        String load = Files.readString(Path.of("/proc/loadavg")).split(" ")[0];
        return Runtime.getRuntime().availableProcessors() + " CPUs (" + model + "), Linux "
                + System.getProperty("os.version") + ", Java " + System.getProperty("java.version")
                + ", load average before " + load;
    }
}
