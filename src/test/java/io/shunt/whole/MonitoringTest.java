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
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What dashboards and alerts ask, the chart's own and kubernetes-mixin's, of what a running daemon says: Prometheus' own
 * engine, in promtool, answers from two scrapes of a daemon in a cluster, with traffic, changes and an API server in
 * trouble between them. What that has brought every minute brings again.
 */
@Tag("kernel")
@Tag("process")
class MonitoringTest {
    private static final String NODE = "192.168.7.1";
    private static final int HEALTH_CHECK = 32_000;
    private static final String INSTANCE = "node-1:10249";
    private static final Set<String> OF_THE_TARGET = Set.of("job", "instance");

    /** What happens to a cluster in other trouble than this one's: the beginnings of selectors. */
    private static final List<String> STILL = List.of(
            // No call fails, and nobody else writes to the maps.
            "shunt_map_call_errors_total",
            "shunt_socket_errors_total",
            "shunt_device_failures_total",
            "shunt_audit_repairs_total",
            // No backend leaves, and this Service has one.
            "shunt_stale_sockets_ended_total",
            "kubeproxy_conntrack_reconciler_deleted_entries_total",
            "shunt_service_refused_total{job=\"kube-proxy\", namespace=\"test\", service=\"web\"}",
            // No change takes 5 s: the share of those that do is 0.
            "kubeproxy_network_programming_duration_seconds_bucket{job=\"kube-proxy\", le=~",
            // No conversation gets old, and there is room for all.
            "shunt_flows_forgotten_total",
            "shunt_flows_evicted_total");

    @TempDir
    private static Path directory;

    private static Scrape earlier;
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
            site.node().traffic().serve(Protocol.TCP, NODE, HEALTH_CHECK, "another");
            FakeApiServer api = node.call(() -> site.add(new FakeApiServer().start()));
            api.put("{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
            api.put(service("web", "10.96.0.10", 30080));
            api.put(slice("web", "IPv4", server.v4()));
            api.put(service("web6", "fd00:96::10", 30081));
            api.put(slice("web6", "IPv6", server.v6()));
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
            URI metrics = URI.create("http://" + daemon.metricsAddress() + "/metrics");
            ask(outside);
            earlier = scrapeWhen(node, metrics, page -> {
                assertThat(page.named("shunt_service_drops_total")).isNotEmpty();
                assertThat(requests(page, "201")).isPositive();
            });
            ask(outside);
            change(api, server);
            trouble(api, node, metrics);
            scrape = scrapeWhen(node, metrics, page -> {
                // Those that say that it runs, and that a port is taken.
                assertThat(requests(page, "201")).isGreaterThan(requests(earlier, "201"));
                assertThat(lists(page)).isGreaterThan(lists(earlier));
                assertThat(page.named("kubeproxy_network_programming_duration_seconds_count"))
                        .hasSize(2)
                        .allSatisfy(family -> assertThat(family.value()).isPositive());
            });
        }
    }

    /** Connections to a Service that has a backend, and to one that has none. */
    private static void ask(Pod outside) {
        await().atMost(DaemonProcess.PATIENCE)
                .ignoreExceptionsInstanceOf(CallFailedException.class)
                .untilAsserted(
                        () -> assertThat(outside.traffic().request(NODE, 30080)).isEqualTo("web"));
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> outside.traffic().request(NODE, 30082));
    }

    /** Two whose cause is known by its time, and one that the daemon has to complain of, as a port is taken. */
    private static void change(FakeApiServer api, NodePod server) {
        api.put(slice("web", "IPv4", server.v4()));
        api.put(slice("web6", "IPv6", server.v6()));
        api.put("""
                apiVersion: v1
                kind: Service
                metadata: {name: checked, namespace: test}
                spec:
                  type: LoadBalancer
                  clusterIP: 10.96.0.13
                  externalTrafficPolicy: Local
                  healthCheckNodePort: %d
                  ports: [{name: http, port: 80, protocol: TCP, nodePort: 30083}]
                """.formatted(HEALTH_CHECK));
    }

    /** It answers watches by what it should not, then forgets, so that all is listed anew. */
    private static void trouble(FakeApiServer api, Namespace node, URI metrics) {
        Map<String, String> codes = Map.of("/nodes", "304", "/endpointslices", "404", "/services", "500");
        codes.forEach((part, code) -> api.answer(part, Integer.parseInt(code), ""));
        api.dropWatches();
        scrapeWhen(
                node,
                metrics,
                page -> assertThat(codes.values())
                        .allSatisfy(code -> assertThat(requests(page, code)).isPositive()));
        api.compact();
        api.answerWell();
    }

    private static double requests(Scrape page, String code) {
        return page.named("rest_client_requests_total").stream()
                .filter(sample -> code.equals(sample.labels().get("code")))
                .mapToDouble(Sample::value)
                .sum();
    }

    private static double lists(Scrape page) {
        return page.named("rest_client_request_duration_seconds_count").stream()
                .filter(sample -> "GET".equals(sample.labels().get("verb")))
                .mapToDouble(Sample::value)
                .sum();
    }

    private static Scrape scrapeWhen(Namespace node, URI metrics, Consumer<Scrape> condition) {
        List<Scrape> pages = new ArrayList<>();
        await().atMost(DaemonProcess.PATIENCE).untilAsserted(() -> {
            pages.add(node.call(() -> scrape(metrics)));
            condition.accept(pages.getLast());
        });
        return pages.getLast();
    }

    private static String slice(String service, String type, String address) {
        return Manifest.slice(service, type, List.of(address), "http " + Site.HTTP + " TCP")
                .substring("---\n".length())
                .replace(
                        "namespace: test,",
                        "namespace: test, annotations: {endpoints.kubernetes.io/last-change-trigger-time: \""
                                + Instant.now() + "\"},");
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
                  clusterIP: "%s"
                  ports: [{name: http, port: 80, protocol: TCP, nodePort: %d}]
                """.formatted(name, clusterIp, nodePort);
    }

    private static List<Query> mixin() throws IOException {
        return Files.readAllLines(Path.of("src/test/resources/prometheus/kube-proxy-dashboard.txt")).stream()
                .filter(line -> !line.startsWith("#"))
                .map(line -> line.replace("$cluster", "").replace("$instance", INSTANCE))
                .map(expr -> new Query("kubernetes-mixin", expr, Set.of(), true))
                .toList();
    }

    private static List<Query> queries() throws IOException {
        return Stream.of(Queries.ofDashboards("test", "web"), Queries.ofRules(), mixin())
                .flatMap(List::stream)
                .toList();
    }

    /** The series as Prometheus would keep them, and one of each drop that may come. */
    private static List<String> kept() {
        Map<Identity, Double> before = new HashMap<>();
        earlier.samples.forEach(sample -> before.put(new Identity(sample.name(), sample.labels()), sample.value()));
        List<String> kept = new ArrayList<>();
        for (Sample sample : scrape.samples) {
            Identity series = new Identity(sample.name(), sample.labels());
            kept.add(series.with(
                    isCounter(sample.name())
                            ? rising(before.get(series), sample.value())
                            : plain(sample.value()) + "+0x20"));
        }
        for (String name : List.of("shunt_drops_total", "shunt_service_drops_total")) {
            Sample drop = scrape.named(name).getFirst();
            DropReasons.all().stream()
                    .filter(reason -> !reason.equals(drop.labels().get("reason")))
                    .forEach(reason -> {
                        Map<String, String> labels = new LinkedHashMap<>(drop.labels());
                        labels.put("reason", reason);
                        labels.replace("service", "web");
                        kept.add(new Identity(name, labels).with("0+1x20"));
                    });
        }
        kept.add(new Identity("up", Map.of()).with("1+0x20"));
        return kept;
    }

    private static boolean isCounter(String name) {
        return "counter".equals(scrape.types.get(name))
                || "histogram".equals(scrape.types.get(name.replaceFirst("_(bucket|sum|count)$", "")));
    }

    private static String rising(@Nullable Double before, double now) {
        return before == null
                ? "_ " + plain(now) + '+' + plain(now) + "x19"
                : plain(before) + '+' + plain(now - before) + "x20";
    }

    private static String plain(double value) {
        return BigDecimal.valueOf(value).toPlainString();
    }

    private record Identity(String name, Map<String, String> labels) {
        /** A line of promtool's, as the series of one target. */
        String with(String values) {
            Map<String, String> all = new LinkedHashMap<>(labels);
            all.put("job", "kube-proxy");
            all.put("instance", INSTANCE);
            return "    - series: '" + name
                    + all.entrySet().stream()
                            .map(label ->
                                    label.getKey() + "=\"" + label.getValue().replace("'", "''") + '"')
                            .collect(Collectors.joining(", ", "{", "}"))
                    + "'\n      values: '" + values + "'\n";
        }
    }

    /** What of these has no answer, or one with NaN in it, as promtool says it; nothing if all have one. */
    private static String unanswered(Set<String> expressions) throws IOException {
        return refused(expressions, "count((%1$s) >= -Inf) == bool count(%1$s)");
    }

    /** For which of these a condition does not come to 1. */
    private static String refused(Set<String> expressions, String condition) throws IOException {
        StringBuilder test = new StringBuilder(
                "rule_files: [" + Path.of("charts/shunt/rules.yaml").toAbsolutePath()
                        + "]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n");
        kept().forEach(test::append);
        test.append("  promql_expr_test:\n");
        for (String expression : expressions) {
            test.append("    - expr: '")
                    .append(condition.formatted(expression).replace("'", "''"))
                    .append("'\n      eval_time: 15m\n      exp_samples: [{labels: '{}', value: 1}]\n");
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
    void everyRate_rises_butOfWhatDoesNotHappenHere() throws IOException {
        Set<String> rates = queries().stream()
                .filter(Query::always)
                .filter(query -> query.expr().contains("rate(") || query.expr().contains("increase("))
                .filter(query -> query.selectors().stream()
                        .noneMatch(each -> STILL.stream().anyMatch(each::startsWith)))
                .map(Query::expr)
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(rates).hasSizeGreaterThan(30);
        assertThat(refused(rates, "sum(%s) > bool 0")).isEmpty();
    }

    @Test
    void anUnknownSeries_isFound() throws IOException {
        assertThat(unanswered(Set.of("shunt_healthy", "shunt_health", "shunt_drops_total{reason=\"none\"}")))
                .contains("count(shunt_health)", "none")
                .doesNotContain("count(shunt_healthy)");
    }

    @Test
    void notANumber_isFound() throws IOException {
        assertThat(unanswered(Set.of("up / 0"))).isEmpty();
        assertThat(unanswered(Set.of("shunt_failed_services / 0"))).isNotEmpty();
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
