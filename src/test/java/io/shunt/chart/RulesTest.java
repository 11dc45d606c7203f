package io.shunt.chart;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.chart.StrictObjects.PrometheusRule;
import io.shunt.chart.StrictObjects.PrometheusRule.Rule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The chart's Prometheus rules, by promtool. */
class RulesTest {
    private static final Path TESTS = Path.of("src/test/resources/prometheus");
    private static final Pattern FIRING = Pattern.compile(
            "expr: ALERTS\\{alertname=\"(\\w+)\", alertstate=\"firing\"}\\s+eval_time: \\w+\\s+exp_samples:\\s+- labels");

    private static List<Rule> rules() {
        return Chart.of("{k8sServiceHost: a, prometheusRule: {enabled: true, trustCRDsExist: true}}")
                .one(PrometheusRule.class)
                .spec
                .groups()
                .stream()
                .flatMap(group -> group.rules().stream())
                .toList();
    }

    @Test
    void theRules_areWellFormed() {
        Promtool.Outcome outcome =
                Promtool.run(Chart.DIRECTORY, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
        assertThat(outcome.output()).contains(rules().size() + " rules found");
    }

    @Test
    void alerts_fireWhenTheyShould_andNoSooner() {
        Promtool.Outcome outcome = Promtool.run(TESTS, "test", "rules", "rules-test.yaml", "slo-test.yaml");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
    }

    @Test
    void everyAlert_isTested_andSaysWhatToDo() throws IOException {
        Set<String> tested = new TreeSet<>();
        for (String file : List.of("rules-test.yaml", "slo-test.yaml")) {
            Matcher firing = FIRING.matcher(Files.readString(TESTS.resolve(file)));
            while (firing.find()) {
                tested.add(firing.group(1));
            }
        }
        List<Rule> alerts =
                rules().stream().filter(rule -> rule.alert() != null).toList();

        assertThat(alerts).extracting(Rule::alert).containsExactlyInAnyOrderElementsOf(tested);
        assertThat(alerts).allSatisfy(alert -> {
            assertThat(Objects.requireNonNullElse(alert.labels(), Map.<String, String>of()))
                    .containsOnlyKeys("severity")
                    .extractingByKey("severity")
                    .isIn("critical", "warning", "info");
            assertThat(Objects.requireNonNullElse(alert.annotations(), Map.<String, String>of()))
                    .containsOnlyKeys("summary", "description");
        });
    }
}
