package io.shunt.cli;

import java.util.Locale;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(
        name = "completion",
        description = "Prints a script by which the shell completes commands, flags and what they take.",
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        parameterListHeading = "%nParameters:%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  source <(shunt completion bash)                                  for this shell",
            "  shunt completion bash > /etc/bash_completion.d/shunt             for each bash",
            "  echo 'source <(shunt completion zsh)' >> ~/.zshrc                for each zsh",
        })
final class CompletionCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    enum Shell {
        BASH,
        ZSH;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Parameters(index = "0", paramLabel = "SHELL", description = "`bash` or `zsh`.")
    @SuppressWarnings("UnusedVariable") // Asked for so that another shell is refused.
    private Shell shell = Shell.BASH;

    @Override
    public void run() {
        // It finds out which of the two it runs in, and zsh takes bash's completions.
        spec.commandLine().getOut().print(AutoComplete.bash("shunt", spec.root().commandLine()));
        spec.commandLine().getOut().flush();
    }
}
