package io.shunt.chart;

import io.shunt.chart.StrictObjects.PrometheusRule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What the chart's dashboards and rules ask Prometheus. */
public final class Queries {
    private static final Pattern GROUPING = Pattern.compile("\\b(?:by|on)\\s*\\(([^)]*)\\)");
    private static final Pattern RANGE = Pattern.compile("\\[[0-9][^\\]]*]");
    private static final Pattern SELECTOR =
            Pattern.compile("(?<![a-zA-Z0-9_:])([a-zA-Z_:][a-zA-Z0-9_:]*+)\\s*+(\\{[^}]*})?+(?!\\()");
    private static final Pattern LABEL_VALUES = Pattern.compile("label_values\\((.*), (\\w+)\\)");
    private static final Pattern LEGEND = Pattern.compile("\\{\\{(\\w+)}}");
    private static final Set<String> WORDS = Set.of("and", "or", "unless", "bool");

    private Queries() {}

    /**
     * A question.
     *
     * @param where who asks, for people
     * @param labels that the answer has to have
     * @param always whether there is an answer while all is well; an alert's is none
     */
    public record Query(String where, String expr, Set<String> labels, boolean always) {
        /** The series it selects. */
        public Set<String> selectors() {
            String bare = RANGE.matcher(GROUPING.matcher(expr).replaceAll("")).replaceAll("");
            Set<String> selectors = new TreeSet<>();
            Matcher selector = SELECTOR.matcher(bare);
            while (selector.find()) {
                if (!WORDS.contains(selector.group(1))) {
                    selectors.add(selector.group().strip());
                }
            }
            return selectors;
        }
    }

    /** Of every panel and variable of every dashboard, with this Service for the variables. */
    public static List<Query> ofDashboards(String namespace, String service) {
        List<Query> queries = new ArrayList<>();
        try (Stream<Path> files = Files.list(Chart.DIRECTORY.resolve("dashboards"))) {
            for (Path file : files.sorted().toList()) {
                JsonNode dashboard = JsonMapper.shared().readTree(Files.readString(file));
                for (JsonNode panel : dashboard.path("panels")) {
                    for (JsonNode target : panel.path("targets")) {
                        String expr = filled(target.path("expr").asString(), namespace, service);
                        Set<String> labels = grouping(expr);
                        Matcher legend =
                                LEGEND.matcher(target.path("legendFormat").asString(""));
                        while (legend.find()) {
                            labels.add(legend.group(1));
                        }
                        queries.add(new Query(
                                file.getFileName() + ": " + panel.path("title").asString(), expr, labels, true));
                    }
                }
                for (JsonNode variable : dashboard.at("/templating/list")) {
                    Matcher values =
                            LABEL_VALUES.matcher(variable.path("definition").asString(""));
                    if (values.matches()) {
                        queries.add(new Query(
                                file.getFileName() + ": $"
                                        + variable.path("name").asString(),
                                filled(values.group(1), namespace, service),
                                Set.of(values.group(2)),
                                true));
                    }
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return queries;
    }

    private static String filled(String expr, String namespace, String service) {
        return expr.replace("$__rate_interval", "5m")
                .replace("$__range", "1h")
                .replace("$job", "kube-proxy")
                .replace("$instance", ".*")
                .replace("$namespace", namespace)
                .replace("$service", service);
    }

    private static Set<String> grouping(String expr) {
        Set<String> labels = new TreeSet<>();
        Matcher grouping = GROUPING.matcher(expr);
        while (grouping.find()) {
            labels.addAll(Arrays.asList(grouping.group(1).split("\\s*,\\s*")));
        }
        return labels;
    }

    /** Of every alert and recording rule. */
    public static List<Query> ofRules() {
        return Chart.of("{k8sServiceHost: a, prometheusRule: {enabled: true, trustCRDsExist: true}}")
                .one(PrometheusRule.class)
                .spec
                .groups()
                .stream()
                .flatMap(group -> group.rules().stream())
                .map(rule -> new Query(
                        rule.alert() == null ? "rule " + rule.record() : "alert " + rule.alert(),
                        rule.expr(),
                        grouping(rule.expr()),
                        rule.alert() == null))
                .toList();
    }
}
