package io.shunt.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** What `shunt run` obeys, of its own option tree. Flags of kube-proxy's without meaning here are not among it. */
public final class RunFlags {
    private RunFlags() {}

    private static CommandLine commands() {
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        return new CommandTree(Map.of(), options -> 0, nowhere, nowhere).model();
    }

    private static Stream<OptionSpec> options() {
        return commands().getSubcommands().get("run").getCommandSpec().options().stream()
                .filter(option -> !option.hidden() && !option.usageHelp() && !option.versionHelp());
    }

    /** The flags' long names, such as {@code --source}. */
    public static Set<String> names() {
        return options().map(OptionSpec::longestName).collect(Collectors.toCollection(TreeSet::new));
    }

    /** All names of the flag that has this one. */
    public static Set<String> synonyms(String name) {
        return options()
                .map(option -> Set.copyOf(Arrays.asList(option.names())))
                .filter(names -> names.contains(name))
                .findFirst()
                .orElse(Set.of());
    }

    /** The environment variables that it or another command obeys, such as {@code SHUNT_SOURCE}. */
    public static Set<String> variables() {
        return variables(commands())
                .filter(variable -> !variable.isEmpty())
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Stream<String> variables(CommandLine command) {
        return Stream.concat(
                command.getCommandSpec().options().stream().map(Settings::environment),
                command.getSubcommands().values().stream().flatMap(RunFlags::variables));
    }
}
