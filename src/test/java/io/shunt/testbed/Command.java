package io.shunt.testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.Stream;

/** Runs a command to its end. */
final class Command {
    private Command() {}

    /**
     * The lines it printed, to stdout or stderr.
     *
     * @throws UncheckedIOException if it cannot be started, or its exit status is not 0; the message has its output
     */
    static List<String> run(String... command) {
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            process.getOutputStream().close();
            List<String> lines;
            try (Stream<String> output = process.inputReader().lines()) {
                lines = output.toList();
            }
            int status = process.onExit().join().exitValue();
            if (status != 0) {
                throw new IOException(String.join(" ", command) + ": exit " + status + "\n" + String.join("\n", lines));
            }
            return lines;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
