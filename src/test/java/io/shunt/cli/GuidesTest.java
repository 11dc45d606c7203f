package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import io.shunt.chart.Chart;
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
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** What people read names only commands, flags, variables, values, metrics, files and headings that there are. */
class GuidesTest {
    /** A line of code, or code within a line. */
    private static final Pattern CODE = Pattern.compile("^(?: {4}|ExecStart=)(.*)|`([^`]+)`", Pattern.MULTILINE);
    /** Until where the shell takes over. */
    private static final Pattern COMMAND = Pattern.compile("(?:^\\s*|-- )(?:\\S*/)?shunt ([^|&>;#…]*)");

    private static final Pattern VARIABLE = Pattern.compile("\\bSHUNT_[A-Z_]+");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]*)(?:#([^)]*))?\\)");
    private static final Set<String> OF_THE_LAUNCHER = Set.of("SHUNT_JAVA_OPTS");
    private static final Pattern METRIC = Pattern.compile("\\b(?:shunt|kubeproxy)_[a-z0-9_]+");
    /** As /metrics has them, by the page that another test holds to it. */
    private static final Pattern METRIC_IN_THE_LIST = Pattern.compile("^\\| `(\\w+)`", Pattern.MULTILINE);

    private static final Pattern MAKE = Pattern.compile("(?:^|\\s)make ([a-z-]+)");
    private static final Pattern TARGET = Pattern.compile("^([a-z-]+):", Pattern.MULTILINE);
    /** Values of the chart, as {@code --set} takes them, or alone. */
    private static final Pattern SET = Pattern.compile("(?:--set |^)([a-zA-Z0-9.]+=\\S+)");

    private static final Pattern VALUE = Pattern.compile("[a-zA-Z0-9]+(?:\\.[a-zA-Z0-9]+)+");
    /** Called as values of this chart are, and another's, or whoever installs it chooses the name. */
    private static final Set<String> OF_OTHERS = Set.of("kubeProxy.enabled", "maglev.hashSeed", "nodeSelector.shunt");
    /** Names kube-proxy's fields, some of which are called as values of the chart. */
    private static final Path CONFIGURATION = Path.of("docs/configuration.md");

    static Stream<Path> guides() throws IOException {
        try (Stream<Path> docs = Files.list(Path.of("docs"))) {
            List<Path> pages =
                    docs.filter(path -> path.toString().endsWith(".md")).toList();
            return Stream.concat(
                    Stream.of(
                                    "README.md",
                                    "CONTRIBUTING.md",
                                    "charts/shunt/README.md",
                                    "charts/shunt/rules.yaml",
                                    "charts/shunt/templates/NOTES.txt",
                                    "examples/systemd/shunt.service")
                            .map(Path::of),
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

    private static Stream<String> code(Path guide) {
        return CODE.matcher(read(guide)).results().map(code -> code.group(1) != null ? code.group(1) : code.group(2));
    }

    @ParameterizedTest
    @MethodSource("guides")
    void commandsAreSuchAsTheProgramTakes(Path guide) {
        code(guide)
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
        Set<String> known = RunFlags.variables();
        known.addAll(OF_THE_LAUNCHER);
        assertThat(VARIABLE.matcher(read(guide)).results().map(MatchResult::group))
                .as("%s", guide)
                .isSubsetOf(known);
    }

    @ParameterizedTest
    @MethodSource("guides")
    void metricsAreSuchAsTheProgramHas(Path guide) {
        Set<String> known = METRIC_IN_THE_LIST
                .matcher(read(Path.of("docs/metrics.md")))
                .results()
                .map(metric -> metric.group(1))
                .collect(Collectors.toSet());
        assertThat(known).hasSizeGreaterThan(60);
        assertThat(METRIC.matcher(read(guide)).results().map(MatchResult::group))
                .as("%s", guide)
                .allMatch(metric -> known.contains(metric.replaceFirst("_(?:bucket|count|sum)$", ""))
                        // As in shunt_service_*.
                        || metric.endsWith("_") && known.stream().anyMatch(each -> each.startsWith(metric)));
    }

    @ParameterizedTest
    @MethodSource("guides")
    void targetsAreTheMakefiles(Path guide) {
        Set<String> targets = TARGET.matcher(read(Path.of("Makefile")))
                .results()
                .map(target -> target.group(1))
                .collect(Collectors.toSet());
        assertThat(code(guide).flatMap(code -> MAKE.matcher(code).results()).map(target -> target.group(1)))
                .as("%s", guide)
                .isSubsetOf(targets);
    }

    /** Each alone, and those of one command together, beside what the chart cannot do without. */
    @ParameterizedTest
    @MethodSource("guides")
    void valuesAreSuchAsTheChartTakes(Path guide) throws IOException {
        JsonNode values = YAMLMapper.shared().readTree(Files.readString(Chart.DIRECTORY.resolve("values.yaml")));
        for (String code : code(guide).toList()) {
            ObjectNode given = JsonMapper.shared().createObjectNode();
            SET.matcher(code)
                    .results()
                    .flatMap(set -> Stream.of(set.group(1).split(",")))
                    .filter(set -> code.contains("--set") || values.has(set.replaceFirst("[.=].*", "")))
                    .forEach(set -> set(given, set));
            if (!given.isEmpty()) {
                if (given.path("k8sServiceHost").asString("auto").equals("auto")) {
                    set(given, "k8sServiceHost=192.0.2.10");
                }
                set(given, "metrics.podMonitor.trustCRDsExist=true");
                set(given, "metrics.serviceMonitor.trustCRDsExist=true");
                set(given, "prometheusRule.trustCRDsExist=true");
                assertThatCode(() -> Chart.of(given.toString()))
                        .as("%s: %s", guide, code)
                        .doesNotThrowAnyException();
            } else if (!guide.equals(CONFIGURATION)
                    && VALUE.matcher(code).matches()
                    && !OF_OTHERS.contains(code)
                    && values.has(code.replaceFirst("\\..*", ""))) {
                assertThat(values.at("/" + code.replace('.', '/')).isMissingNode())
                        .as("%s: %s", guide, code)
                        .isFalse();
            }
        }
    }

    /** As {@code helm --set} does. */
    private static void set(ObjectNode values, String set) {
        String[] path = set.replaceFirst("=.*", "").split("\\.");
        String value = set.replaceFirst("[^=]*=", "");
        ObjectNode parent = values;
        for (int i = 0; i < path.length - 1; i++) {
            parent = parent.withObjectProperty(path[i]);
        }
        if (value.matches("true|false")) {
            parent.put(path[path.length - 1], Boolean.parseBoolean(value));
        } else if (value.matches("[0-9]{1,9}")) {
            parent.put(path[path.length - 1], Integer.parseInt(value));
        } else {
            parent.put(path[path.length - 1], value);
        }
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
