package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class CommandTreeTest {
    private final Shell shell = new Shell();

    @Test
    void version_saysShuntJavaAndKernel() {
        assertThat(shell.run("--version")).isZero();
        assertThat(shell.out()).matches("shunt \\S+\\RJava 25\\S*, Linux .*\\R");
    }

    @Test
    void help_listsTheCommands() {
        assertThat(shell.run("--help")).isZero();
        assertThat(shell.out()).contains("run ", "status ", "service ", "bpf ", "cleanup ", "Exit codes:", "Examples:");
    }

    static Stream<List<String>> commands() {
        return Stream.of(
                List.of("run"),
                List.of("status"),
                List.of("service"),
                List.of("service", "list"),
                List.of("bpf"),
                List.of("bpf", "dump"),
                List.of("cleanup"));
    }

    @ParameterizedTest
    @MethodSource("commands")
    void everyCommand_hasHelp(List<String> command) {
        List<String> arguments = new ArrayList<>(command);
        arguments.add("--help");

        assertThat(shell.run(arguments.toArray(String[]::new))).isZero();
        assertThat(shell.out())
                .startsWith("Usage: shunt " + String.join(" ", command))
                .contains("-h, --help");
        assertThat(shell.err()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "'', shunt: no command given; 'shunt --help' lists them",
        "service, shunt service: no command given; 'shunt service --help' lists them",
        "bpf, shunt bpf: no command given; 'shunt bpf --help' lists them",
    })
    void noCommand_isWrongUsage(String command, String message) {
        assertThat(command.isEmpty() ? shell.run() : shell.run(command)).isEqualTo(2);
        assertThat(shell.err().strip()).isEqualTo(message);
    }

    @Test
    void unknownCommand_isWrongUsage_withASuggestion() {
        assertThat(shell.run("sttus")).isEqualTo(2);
        assertThat(shell.err())
                .contains("shunt: Unmatched argument at index 0: 'sttus'", "status", "See 'shunt --help'.");
    }
}
