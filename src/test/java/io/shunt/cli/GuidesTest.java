package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** What people read names only commands, flags, variables, files and headings that there are. */
class GuidesTest {
    /** A line of code, or code within a line. */
    private static final Pattern CODE = Pattern.compile("^(?: {4}|ExecStart=)(.*)|`([^`]+)`", Pattern.MULTILINE);
    /** Until where the shell takes over. */
    private static final Pattern COMMAND = Pattern.compile("(?:^\\s*|-- )(?:\\S*/)?shunt ([^|&>;#…]*)");

    private static final Pattern VARIABLE = Pattern.compile("\\bSHUNT_[A-Z_]+");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]*)(?:#([^)]*))?\\)");
    private static final Set<String> OF_THE_LAUNCHER = Set.of("SHUNT_JAVA_OPTS");

    static Stream<Path> guides() throws IOException {
        try (Stream<Path> docs = Files.list(Path.of("docs"))) {
            List<Path> pages =
                    docs.filter(path -> path.toString().endsWith(".md")).toList();
            return Stream.concat(
                    Stream.of(Path.of("README.md"), Path.of("examples/systemd/shunt.service")),
                    pages.stream().sorted());
        }
    }

    private static CommandLine commands() {
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        return new CommandTree(Map.of(), options -> 0, nowhere, nowhere).model();
    }

    private static String read(Path page) {
        try {
            // A command may go on in the next line.
            return Files.readString(page).replaceAll(" *\\\\\n *", " ");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @MethodSource("guides")
    void commandsAreSuchAsTheProgramTakes(Path guide) {
        CODE.matcher(read(guide))
                .results()
                .map(code -> code.group(1) != null ? code.group(1) : code.group(2))
                .flatMap(code -> COMMAND.matcher(code).results())
                .map(MatchResult::group)
                .map(command -> command.replaceFirst("^.*?shunt ", "").strip())
                .filter(arguments -> !arguments.isEmpty())
                .forEach(arguments -> assertThatCode(() -> commands().parseArgs(arguments.split("\\s+")))
                        .as("%s: shunt %s", guide, arguments)
                        .doesNotThrowAnyException());
    }

    @ParameterizedTest
    @MethodSource("guides")
    void variablesAreSuchAsTheProgramReads(Path guide) {
        Set<String> known = variables(commands()).collect(Collectors.toSet());
        known.addAll(OF_THE_LAUNCHER);
        assertThat(VARIABLE.matcher(read(guide)).results().map(MatchResult::group))
                .as("%s", guide)
                .isSubsetOf(known);
    }

    private static Stream<String> variables(CommandLine command) {
        return Stream.concat(
                command.getCommandSpec().options().stream().map(Settings::environment),
                command.getSubcommands().values().stream().flatMap(GuidesTest::variables));
    }

    @ParameterizedTest
    @MethodSource("guides")
    void linksLeadSomewhere(Path guide) {
        LINK.matcher(read(guide))
                .results()
                .filter(link -> !link.group(1).contains(":"))
                .forEach(link -> {
                    Path target = link.group(1).isEmpty()
                            ? guide
                            : guide.resolveSibling(link.group(1)).normalize();
                    assertThat(target).as("%s: %s", guide, link.group()).exists();
                    if (link.group(2) != null) {
                        assertThat(headings(target))
                                .as("%s: %s", guide, link.group())
                                .contains(link.group(2));
                    }
                });
    }

    /** As what they are linked to. */
    private static List<String> headings(Path page) {
        return read(page)
                .lines()
                .filter(line -> line.startsWith("#"))
                .map(line -> line.replaceFirst("^#+ ", "")
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{Alnum} _-]", "")
                        .replace(' ', '-'))
                .toList();
    }
}
