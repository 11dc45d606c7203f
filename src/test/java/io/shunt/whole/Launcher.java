package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The built launcher, started as people start it; around it may stand a command that changes what it is allowed. */
final class Launcher {
    private static final int PATIENCE_SECONDS = 90;

    private final List<String> around;
    private final Map<String, String> environment;

    private Launcher(List<String> around, Map<String, String> environment) {
        this.around = around;
        this.environment = environment;
    }

    static Launcher plain() {
        return new Launcher(List.of(), Map.of());
    }

    /** The same, run by a command such as {@code setpriv --bounding-set -all}. */
    Launcher under(String... command) {
        return new Launcher(List.of(command), environment);
    }

    /** The same, with one more environment variable. */
    Launcher with(String variable, String value) {
        Map<String, String> more = new java.util.HashMap<>(environment);
        more.put(variable, value);
        return new Launcher(around, more);
    }

    private static Path program() {
        Path program = Path.of(System.getProperty("shunt.home", "target/shunt"), "bin", "shunt")
                .toAbsolutePath();
        assertThat(program).as("run 'make build' before this test").isExecutable();
        return program;
    }

    /** Starts it; neither this test's environment nor its standard input reach it. */
    Process start(Path out, Path err, String... arguments) {
        List<String> command = new ArrayList<>(around);
        command.add(program().toString());
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(Path.of("/dev/null").toFile())
                .redirectOutput(ProcessBuilder.Redirect.appendTo(out.toFile()))
                .redirectError(ProcessBuilder.Redirect.appendTo(err.toFile()));
        builder.environment().keySet().removeIf(name -> name.startsWith("SHUNT_") || name.equals("KUBECONFIG"));
        builder.environment().putAll(environment);
        try {
            return builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What a command that ends by itself came to. */
    record Outcome(int exitCode, String out, String err) {}

    /** Runs it to its end. */
    Outcome run(String... arguments) {
        try {
            Path out = Files.createTempFile("shunt", ".out");
            Path err = Files.createTempFile("shunt", ".err");
            try {
                Process process = start(out, err, arguments);
                boolean ended = process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS);
                process.destroyForcibly().waitFor();
                Outcome outcome = new Outcome(process.exitValue(), Files.readString(out), Files.readString(err));
                assertThat(ended)
                        .as("%s ends by itself: %s", List.of(arguments), outcome)
                        .isTrue();
                return outcome;
            } finally {
                Files.delete(out);
                Files.delete(err);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
