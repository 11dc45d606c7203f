package io.shunt.metrics;

import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.ClassicHistogramBuckets;
import io.prometheus.metrics.model.snapshots.Exemplars;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot.HistogramDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricMetadata;
import io.prometheus.metrics.model.snapshots.MetricSnapshot;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.ApiRequests;
import io.shunt.snapshot.LocalShortage;
import io.shunt.snapshot.Snapshots;
import io.shunt.snapshot.Version;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * What kube-proxy's dashboards, alerts and tests ask for besides {@link ProgrammingMeters}, read when scraped
 * (pkg/proxy/metrics/metrics.go, k8s.io/component-base/metrics).
 */
final class KubeProxyCollector implements MultiCollector {
    /** The Kubernetes whose kube-proxy Shunt stands in for: alerts compare it with the other components' version. */
    private static final String KUBERNETES = "v1.36.2";

    private static final List<Labels> FAMILIES = Arrays.stream(IpFamily.values())
            .map(family -> Labels.of("ip_family", family.label()))
            .toList();

    private final Snapshots snapshots;

    KubeProxyCollector(Snapshots snapshots) {
        this.snapshots = snapshots;
    }

    @Override
    public MetricSnapshots collect() {
        ApiRequests requests = snapshots.apiRequests();
        return MetricSnapshots.of(
                Series.gauges(
                        "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                        "Service ports whose policy keeps traffic on this node, which has none of their endpoints,"
                                + " while others have",
                        snapshots.localShortages(),
                        shortage -> Labels.of(
                                "ip_family", shortage.family().label(), "traffic_policy", lower(shortage.policy())),
                        LocalShortage::count),
                never("kubeproxy_sync_proxy_rules_iptables_restore_failures", FAMILIES),
                never("kubeproxy_sync_proxy_rules_iptables_partial_restore_failures", FAMILIES),
                never("kubeproxy_iptables_ct_state_invalid_dropped_packets", List.of(Labels.EMPTY)),
                never("kubeproxy_iptables_localhost_nodeports_accepted_packets", List.of(Labels.EMPTY)),
                Series.counters(
                        "rest_client_requests",
                        "Requests to the API server, each try counted, by HTTP status",
                        requests.results(),
                        it -> Labels.of("code", it.code(), "host", it.host(), "method", it.method()),
                        ApiRequests.Results::count),
                new HistogramSnapshot(
                        new MetricMetadata(
                                "rest_client_request_duration_seconds",
                                "Seconds until the API server's answer began to come, watches left out"),
                        requests.latencies().stream()
                                .map(KubeProxyCollector::dataPoint)
                                .toList()),
                Series.gauges(
                        "kubernetes_build_info",
                        "Always 1; the labels name the Kubernetes whose kube-proxy this Shunt stands in for",
                        List.of(Version.current()),
                        KubeProxyCollector::buildInfo,
                        any -> 1),
                Series.gauges(
                        "kubernetes_feature_enabled",
                        "Always 0: feature gates are accepted, and switch nothing in Shunt",
                        List.of("Alpha", "Beta"),
                        stage -> Labels.of("name", "All" + stage, "stage", stage.toUpperCase(Locale.ROOT)),
                        any -> 0));
    }

    private static String lower(Enum<?> name) {
        return name.name().toLowerCase(Locale.ROOT);
    }

    /** Nothing here uses iptables, so nothing of it fails or meets a packet; who asks whether anything did gets an answer. */
    private static MetricSnapshot never(String name, List<Labels> series) {
        return Series.counters(
                name,
                "Always 0: Shunt does not use iptables; shunt_failed_services counts what it could not program",
                series,
                labels -> labels,
                any -> 0);
    }

    private static HistogramDataPointSnapshot dataPoint(ApiRequests.Latencies latencies) {
        return new HistogramDataPointSnapshot(
                ClassicHistogramBuckets.of(latencies.bounds(), latencies.counts()),
                latencies.sumSeconds(),
                Labels.of("host", latencies.host(), "verb", latencies.verb()),
                Exemplars.EMPTY,
                0);
    }

    private static Labels buildInfo(String version) {
        return Labels.of(
                "build_date",
                "",
                "compiler",
                "javac",
                "git_commit",
                "",
                "git_tree_state",
                "",
                "git_version",
                KUBERNETES + "+shunt." + version,
                "go_version",
                "",
                "major",
                "1",
                "minor",
                "36",
                "platform",
                "linux/" + System.getProperty("os.arch", ""));
    }
}
