package io.shunt.chart;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Prometheus' own tool. */
public final class Promtool {
    private Promtool() {}

    /**
     * What it came to.
     *
     * @param output all that it said
     */
    public record Outcome(int exitCode, String output) {}

    public static Outcome run(Path directory, String... arguments) {
        List<String> command = new ArrayList<>(List.of("promtool"));
        command.addAll(List.of(arguments));
        try {
            Process process = new ProcessBuilder(command)
                    .directory(directory.toFile())
                    .redirectErrorStream(true)
                    .start();
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes());
            return new Outcome(process.onExit().join().exitValue(), output);
        } catch (IOException e) {
            throw new UncheckedIOException("promtool is needed: src/build/deps.sh test installs it", e);
        }
    }
}
