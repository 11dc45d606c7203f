package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** `shunt completion`, asked by a real bash. */
class CompletionTest {
    private static final String ASK = """
            compopt() { :; }
            source "$0" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) || exit 1
            _complete_shunt
            printf '%s\\n' "${COMPREPLY[@]}"
            """;

    @TempDir
    private Path directory;

    private final Shell shell = new Shell();

    /** What bash offers for the last word of a line. */
    private List<String> offers(String line) throws IOException, InterruptedException {
        assertThat(shell.run("completion", "bash")).as(shell.err()).isZero();
        Path script = Files.writeString(directory.resolve("shunt.bash"), shell.out());
        List<String> command = new ArrayList<>(List.of("bash", "--norc", "-c", ASK, script.toString()));
        command.addAll(List.of(line.split(" ", -1)));
        Process bash = new ProcessBuilder(command).redirectErrorStream(true).start();
        List<String> offered = bash.inputReader().lines().map(String::strip).toList();
        assertThat(bash.waitFor()).as(offered.toString()).isZero();
        return offered;
    }

    @ParameterizedTest
    @CsvSource(textBlock = """
                    shunt serv,                            service
                    shunt service li,                      list
                    shunt service list -o w,               wide
                    shunt service list --name,             --namespace
                    shunt run --acceleration=native --max-s, --max-services
                    shunt completion z,                    zsh
                    """)
    void bash_completes(String line, String word) throws Exception {
        assertThat(offers(line)).containsExactly(word);
    }

    @Test
    void anotherShell_isRefused() {
        assertThat(shell.run("completion", "fish")).isEqualTo(2);
        assertThat(shell.err()).contains("fish", "BASH, ZSH");
    }
}
