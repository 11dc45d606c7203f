package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.chart.Promtool;
import io.shunt.chart.Queries;
import io.shunt.chart.Queries.Query;
import io.shunt.datapath.DropReasons;
import io.shunt.metrics.Scrape;
import io.shunt.metrics.Scrape.Sample;
import io.shunt.net.Protocol;
import io.shunt.source.FakeApiServer;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Pod;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What dashboards and alerts ask, the chart's own and kubernetes-mixin's, of what a running daemon says: Prometheus' own
 * engine, in promtool, answers from one scrape of a daemon in a cluster that has seen some traffic.
 */
@Tag("kernel")
@Tag("process")
class MonitoringTest {
    private static final String NODE = "192.168.7.1";
    private static final Set<String> OF_THE_TARGET = Set.of("job", "instance");

    @TempDir
    private static Path directory;

    private static Scrape scrape;

    @BeforeAll
    static void scrapeADaemon() throws IOException {
        try (Site site = new Site()) {
            Namespace node = site.node().namespace();
            Pod outside = site.add(new Pod(site.add(Cgroup.create("outside")), "outside"));
            outside.namespace().link("eth0", node, "eth0");
            outside.namespace().address("eth0", "192.168.7.9/24");
            node.address("eth0", NODE + "/24");
            NodePod server = site.node().pod("web");
            server.traffic().serve(Protocol.TCP, server.v4(), Site.HTTP, "web");
            FakeApiServer api = node.call(() -> site.add(new FakeApiServer().start()));
            api.put("{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
            api.put(service("web", "10.96.0.10", 30080));
            api.put(Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP")
                    .substring("---\n".length()));
            api.put(service("empty", "10.96.0.12", 30082));
            Path kubeconfig = Files.writeString(directory.resolve("kubeconfig"), """
                    apiVersion: v1
                    kind: Config
                    current-context: here
                    contexts: [{name: here, context: {cluster: mine}}]
                    clusters: [{name: mine, cluster: {server: "%s"}}]
                    """.formatted(api.url()));
            DaemonProcess daemon = site.start(
                            Launcher.plain().under("nsenter", "--net=" + node.path()),
                            "kubernetes",
                            "--kubeconfig=" + kubeconfig,
                            "--devices=eth0")
                    .awaitServing();
            await().atMost(DaemonProcess.PATIENCE)
                    .ignoreExceptionsInstanceOf(CallFailedException.class)
                    .untilAsserted(() ->
                            assertThat(outside.traffic().request(NODE, 30080)).isEqualTo("web"));
            URI metrics = URI.create("http://" + daemon.metricsAddress() + "/metrics");
            // Before the second Service is programmed it is the node itself that refuses, and counts nothing.
            await().atMost(DaemonProcess.PATIENCE).untilAsserted(() -> {
                assertThatExceptionOfType(CallFailedException.class)
                        .isThrownBy(() -> outside.traffic().request(NODE, 30082));
                scrape = node.call(() -> scrape(metrics));
                assertThat(scrape.named("shunt_service_drops_total")).isNotEmpty();
            });
        }
    }

    private static Scrape scrape(URI metrics) throws IOException {
        try (InputStream page = metrics.toURL().openStream()) {
            return new Scrape(new String(page.readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    private static String service(String name, String clusterIp, int nodePort) {
        return """
                apiVersion: v1
                kind: Service
                metadata: {name: %s, namespace: test}
                spec:
                  type: NodePort
                  clusterIP: %s
                  ports: [{name: http, port: 80, protocol: TCP, nodePort: %d}]
                """.formatted(name, clusterIp, nodePort);
    }

    private static List<Query> mixin() throws IOException {
        return Files.readAllLines(Path.of("src/test/resources/prometheus/kube-proxy-dashboard.txt")).stream()
                .filter(line -> !line.startsWith("#"))
                .map(expr -> new Query("kubernetes-mixin", expr, Set.of(), true))
                .toList();
    }

    private static List<Query> queries() throws IOException {
        return Stream.of(Queries.ofDashboards("test", "web"), Queries.ofRules(), mixin())
                .flatMap(List::stream)
                .toList();
    }

    /** Each sample of the scrape as Prometheus would keep it, and one of each drop that may come. */
    private static List<Sample> kept() {
        List<Sample> kept = new ArrayList<>();
        scrape.samples.forEach(sample -> kept.add(ofTarget(sample.name(), sample.labels(), sample.value())));
        for (String name : List.of("shunt_drops_total", "shunt_service_drops_total")) {
            Sample drop = scrape.named(name).getFirst();
            DropReasons.all().stream()
                    .filter(reason -> !reason.equals(drop.labels().get("reason")))
                    .forEach(reason -> {
                        Map<String, String> labels = new LinkedHashMap<>(drop.labels());
                        labels.put("reason", reason);
                        labels.replace("service", "web");
                        kept.add(ofTarget(name, labels, 1));
                    });
        }
        kept.add(ofTarget("up", Map.of(), 1));
        return kept.stream().distinct().toList();
    }

    private static Sample ofTarget(String name, Map<String, String> labels, double value) {
        Map<String, String> all = new LinkedHashMap<>(labels);
        all.put("job", "kube-proxy");
        all.put("instance", "node-1:10249");
        return new Sample(name, all, value);
    }

    private static String series(Sample sample) {
        return "    - series: '" + sample.name()
                + sample.labels().entrySet().stream()
                        .map(label -> label.getKey() + "=\"" + label.getValue().replace("'", "''") + '"')
                        .collect(Collectors.joining(", ", "{", "}"))
                + "'\n      values: '" + BigDecimal.valueOf(sample.value()).toPlainString() + "+0x20'\n";
    }

    /** What of these has no answer, as promtool says it; nothing if all have one. */
    private static String unanswered(Set<String> expressions) throws IOException {
        StringBuilder test = new StringBuilder(
                "rule_files: [" + Path.of("charts/shunt/rules.yaml").toAbsolutePath()
                        + "]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n");
        kept().forEach(sample -> test.append(series(sample)));
        test.append("  promql_expr_test:\n");
        for (String expression : expressions) {
            test.append("    - expr: 'count(")
                    .append(expression.replace("'", "''"))
                    .append(") > bool 0'\n      eval_time: 15m\n      exp_samples: [{labels: '{}', value: 1}]\n");
        }
        Files.writeString(directory.resolve("test.yaml"), test);
        Promtool.Outcome outcome = Promtool.run(directory, "test", "rules", "test.yaml");
        return outcome.exitCode() == 0 ? "" : outcome.output();
    }

    @Test
    void everyQuery_isAnswered() throws IOException {
        Set<String> expressions = queries().stream()
                .filter(Query::always)
                .map(Query::expr)
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(expressions).hasSizeGreaterThan(60);
        assertThat(unanswered(expressions)).isEmpty();
    }

    @Test
    void everySelector_findsSeries() throws IOException {
        Set<String> selectors = queries().stream()
                .flatMap(query -> query.selectors().stream())
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(selectors).hasSizeGreaterThan(60);
        assertThat(unanswered(selectors)).isEmpty();
    }

    @Test
    void anUnknownSeries_isFound() throws IOException {
        assertThat(unanswered(Set.of("shunt_healthy", "shunt_health", "shunt_drops_total{reason=\"none\"}")))
                .contains("count(shunt_health)", "none")
                .doesNotContain("count(shunt_healthy)");
    }

    @Test
    void everyLabel_thatAQueryGroupsByOrShows_isThere() throws IOException {
        for (Query query : queries()) {
            Set<String> there = new TreeSet<>(OF_THE_TARGET);
            query.selectors().stream()
                    .map(selector -> selector.replaceFirst("\\{.*", ""))
                    .forEach(name -> scrape.named(name)
                            .forEach(sample -> there.addAll(sample.labels().keySet())));
            assertThat(there).as("%s: %s", query.where(), query.expr()).containsAll(query.labels());
        }
    }
}
