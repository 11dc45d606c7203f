package io.shunt.chart;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.ConfigMap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The Grafana dashboards of the chart; what they ask is tested against a daemon. */
class DashboardsTest {
    private static final Path DIRECTORY = Chart.DIRECTORY.resolve("dashboards");
    private static final Pattern VARIABLE = Pattern.compile("\\$\\{?(\\w+)");
    private static final Set<String> OF_GRAFANA = Set.of("__rate_interval", "__range", "__all");
    private static final int COLUMNS = 24;

    private static String read(String name) throws IOException {
        return Files.readString(DIRECTORY.resolve(name));
    }

    @ParameterizedTest
    @ValueSource(strings = {"overview.json", "service.json", "datapath.json"})
    void aDashboard_isWhole(String name) throws IOException {
        String text = read(name);
        JsonNode dashboard = JsonMapper.shared().readTree(text);
        Set<String> defined = new TreeSet<>(OF_GRAFANA);
        dashboard
                .at("/templating/list")
                .forEach(variable -> defined.add(variable.path("name").asString()));
        Set<String> used = new TreeSet<>();
        Matcher variable = VARIABLE.matcher(text);
        while (variable.find()) {
            used.add(variable.group(1));
        }

        assertThat(dashboard.path("uid").asString()).isEqualTo("shunt-" + name.replace(".json", ""));
        assertThat(used).isSubsetOf(defined);
        List<Integer> ids = new ArrayList<>();
        Set<String> cells = new TreeSet<>();
        for (JsonNode panel : dashboard.path("panels")) {
            String title = panel.path("title").asString();
            ids.add(panel.path("id").asInt());
            JsonNode place = panel.path("gridPos");
            int right = place.path("x").asInt() + place.path("w").asInt();
            assertThat(right).as(title).isLessThanOrEqualTo(COLUMNS);
            for (int x = place.path("x").asInt(); x < right; x++) {
                for (int y = place.path("y").asInt();
                        y < place.path("y").asInt() + place.path("h").asInt();
                        y++) {
                    assertThat(cells.add(x + "," + y))
                            .as("%s lies upon another panel", title)
                            .isTrue();
                }
            }
            if (!panel.path("type").asString().equals("row")) {
                assertThat(panel.path("description").asString()).as(title).endsWith(".");
                assertThat(panel.path("targets")).as(title).isNotEmpty();
            }
        }
        assertThat(ids).doesNotHaveDuplicates().hasSizeGreaterThan(8);
    }

    @Test
    void configMaps_holdTheFiles() throws IOException {
        List<ConfigMap> maps =
                Chart.of("{k8sServiceHost: a, dashboards: {enabled: true}}").all(ConfigMap.class);

        assertThat(maps)
                .extracting(map -> map.getMetadata().getName())
                .containsExactlyInAnyOrder(
                        "shunt-dashboard-datapath", "shunt-dashboard-overview", "shunt-dashboard-service");
        for (ConfigMap map : maps) {
            assertThat(map.getData()).hasSize(1);
            String name = map.getData().keySet().iterator().next();
            JsonMapper json = JsonMapper.shared();
            assertThat(json.readTree(map.getData().get(name)))
                    .isEqualTo(json.readTree(read(name.replaceFirst("^shunt-", ""))));
        }
    }
}
