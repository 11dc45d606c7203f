package io.shunt.cli;

import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** docs/configuration.md, made from the commands themselves. */
final class ConfigurationDoc {
    private final StringBuilder text = new StringBuilder();

    private ConfigurationDoc() {}

    static String of(CommandLine shunt) {
        ConfigurationDoc doc = new ConfigurationDoc();
        doc.text.append("""
                # Configuration

                This page is made from the commands' own help; `make docs` writes it anew, and a test fails while it
                differs. There is no configuration file: the daemon is told everything by flags or environment
                variables. A flag wins over its variable, and an empty variable counts as not set. A value that is
                wrong ends the command with exit code 2 and one line that says what to give.

                """);
        doc.commands(shunt);
        return doc.text.toString();
    }

    private void commands(CommandLine command) {
        section(command.getCommandSpec());
        command.getSubcommands().values().forEach(this::commands);
    }

    private void section(CommandSpec command) {
        text.append("## ").append(command.qualifiedName()).append("\n\n");
        text.append(String.join(" ", command.usageMessage().description())).append("\n\n");
        for (PositionalParamSpec parameter : command.positionalParameters()) {
            text.append("- `")
                    .append(parameter.paramLabel())
                    .append("`: ")
                    .append(description(parameter.description()));
            text.append("\n\n");
        }
        List<OptionSpec> options =
                command.options().stream().filter(option -> !option.usageHelp()).toList();
        if (!options.isEmpty()) {
            text.append("| flag | environment | default | meaning |\n|---|---|---|---|\n");
            options.forEach(this::row);
            text.append('\n');
        }
        if (!command.usageMessage().exitCodeList().isEmpty()) {
            text.append(command.usageMessage().exitCodeList().entrySet().stream()
                            .map(code -> "`" + code.getKey() + "` " + code.getValue())
                            .collect(Collectors.joining("; ", "Exit codes: ", ".")))
                    .append("\n\n");
        }
    }

    private void row(OptionSpec option) {
        String flag = String.join(", ", option.names());
        Setting setting = Settings.of(option);
        String fallback = Settings.fallback(option);
        boolean literal = fallback.equals(option.defaultValue());
        text.append("| `").append(option.arity().max() == 0 ? flag : flag + "=" + option.paramLabel());
        text.append("` | ").append(setting == null ? "" : "`" + setting.environment() + "`");
        text.append(" | ").append(literal ? "`" + fallback + "`" : fallback);
        text.append(" | ").append(description(option.description())).append(" |\n");
    }

    private static String description(String[] lines) {
        return String.join(" ", lines).replace("|", "\\|");
    }
}
