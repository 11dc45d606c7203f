package io.shunt.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.metrics.ProgrammingMeters.Kind;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.ApiRequests;
import io.shunt.snapshot.FixedSnapshots;
import io.shunt.snapshot.LocalShortage;
import io.shunt.snapshot.LocalShortage.Policy;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The real exposition against what kube-proxy 1.36 exposes (pkg/proxy/metrics/metrics.go and component-base). */
class KubeProxyMetricsTest {
    private static final String SYNC =
            "0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384 +Inf";
    private static final String REST = "0.005 0.025 0.1 0.25 0.5 1 2 4 8 15 30 60 +Inf";
    private static final String NETWORK =
            "0.25 0.5 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26"
                    + " 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 65"
                    + " 70 75 80 85 90 95 100 105 110 115 120 150 180 210 240 270 300 +Inf";

    /** Everything that kube-proxy would show after some work. */
    static Scrape scrape() {
        Metrics metrics = new Metrics();
        FixedSnapshots snapshots = new FixedSnapshots();
        snapshots.localShortages = List.of(
                new LocalShortage(Policy.INTERNAL, IpFamily.IPV4, 1),
                new LocalShortage(Policy.INTERNAL, IpFamily.IPV6, 0),
                new LocalShortage(Policy.EXTERNAL, IpFamily.IPV4, 2),
                new LocalShortage(Policy.EXTERNAL, IpFamily.IPV6, 0));
        snapshots.apiRequests = new ApiRequests(
                List.of(
                        new ApiRequests.Results("200", "GET", "10.0.0.1:6443", 3),
                        new ApiRequests.Results("<error>", "GET", "10.0.0.1:6443", 1)),
                List.of(new ApiRequests.Latencies(
                        "GET",
                        "10.0.0.1:6443",
                        Arrays.stream(REST.split(" "))
                                .map(bound -> Double.valueOf(bound.replace("+Inf", "Infinity")))
                                .toList(),
                        List.of(1L, 2L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L),
                        0.03)));
        metrics.serve(snapshots, InstantSource.system());
        metrics.healthz(200);
        metrics.livez(503);
        ProgrammingMeters programming = metrics.programming();
        programming.queued(Kind.ENDPOINT, 1);
        programming.synced(IpFamily.IPV4, 1_500_000);
        programming.syncedFully(20_000_000);
        programming.reconciled(3_000_000, Map.of(IpFamily.IPV4, 2L, IpFamily.IPV6, 0L));
        programming.programmed(IpFamily.IPV6, Instant.now(), Instant.now());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            metrics.write(out);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return new Scrape(out.toString(StandardCharsets.UTF_8));
    }

    private static String bounds(String buckets) {
        return switch (buckets) {
            case "sync" -> SYNC;
            case "network" -> NETWORK;
            case "rest" -> REST;
            default -> "";
        };
    }

    private static List<Double> numbers(List<String> texts) {
        return texts.stream()
                .map(text -> Double.valueOf(text.replace("+Inf", "Infinity")))
                .toList();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', emptyValue = "", textBlock = """
            kubeproxy_sync_proxy_rules_duration_seconds                            | histogram | ip_family                | sync
            kubeproxy_sync_full_proxy_rules_duration_seconds                       | histogram | ip_family                | sync
            kubeproxy_sync_partial_proxy_rules_duration_seconds                    | histogram | ip_family                | sync
            kubeproxy_conntrack_reconciler_sync_duration_seconds                   | histogram | ip_family                | sync
            kubeproxy_conntrack_reconciler_deleted_entries_total                   | counter   | ip_family                | ''
            kubeproxy_network_programming_duration_seconds                         | histogram | ip_family                | network
            kubeproxy_sync_proxy_rules_last_timestamp_seconds                      | gauge     | ip_family                | ''
            kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds               | gauge     | ip_family                | ''
            kubeproxy_sync_proxy_rules_no_local_endpoints_total                    | gauge     | ip_family traffic_policy | ''
            kubeproxy_sync_proxy_rules_endpoint_changes_pending                    | gauge     | ''                       | ''
            kubeproxy_sync_proxy_rules_service_changes_pending                     | gauge     | ''                       | ''
            kubeproxy_sync_proxy_rules_endpoint_changes_total                      | counter   | ''                       | ''
            kubeproxy_sync_proxy_rules_service_changes_total                       | counter   | ''                       | ''
            kubeproxy_proxy_healthz_total                                          | counter   | code                     | ''
            kubeproxy_proxy_livez_total                                            | counter   | code                     | ''
            kubeproxy_sync_proxy_rules_iptables_restore_failures_total             | counter   | ip_family                | ''
            kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total     | counter   | ip_family                | ''
            kubeproxy_iptables_ct_state_invalid_dropped_packets_total              | counter   | ''                       | ''
            kubeproxy_iptables_localhost_nodeports_accepted_packets_total          | counter   | ''                       | ''
            rest_client_requests_total                                             | counter   | code host method         | ''
            rest_client_request_duration_seconds                                   | histogram | host verb                | rest
            process_resident_memory_bytes                                          | gauge     | ''                       | ''
            process_cpu_seconds_total                                              | counter   | ''                       | ''
            process_start_time_seconds                                             | gauge     | ''                       | ''
            process_open_fds                                                       | gauge     | ''                       | ''
            go_goroutines                                                          | gauge     | ''                       | ''
            kubernetes_feature_enabled                                             | gauge     | name stage               | ''
            kubernetes_build_info                                                  | gauge     | build_date compiler git_commit git_tree_state git_version go_version major minor platform | ''
            """)
    void metric_hasKubeProxysTypeLabelsAndBuckets(String name, String type, String labels, String buckets) {
        Scrape scrape = scrape();

        assertThat(scrape.types).containsEntry(name, type);
        boolean histogram = type.equals("histogram");
        List<Scrape.Sample> samples = scrape.named(histogram ? name + "_count" : name);
        assertThat(samples).isNotEmpty();
        Set<String> wanted = Arrays.stream(labels.split(" "))
                .filter(label -> !label.isEmpty())
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(samples)
                .allSatisfy(sample -> assertThat(sample.labels().keySet()).isEqualTo(wanted));
        if (wanted.contains("ip_family")) {
            assertThat(samples)
                    .extracting(sample -> sample.labels().get("ip_family"))
                    .containsOnly("IPv4", "IPv6");
        }
        if (histogram) {
            Scrape.Sample first = samples.getFirst();
            String label = wanted.iterator().next();
            assertThat(numbers(scrape.bounds(name, label, first.labels().get(label))))
                    .isEqualTo(numbers(List.of(bounds(buckets).split(" "))));
        }
    }

    @ParameterizedTest(name = "{0} {1} is {2}")
    @CsvSource(delimiter = '|', textBlock = """
            kubeproxy_sync_proxy_rules_no_local_endpoints_total | traffic_policy=external,ip_family=IPv4 | 2
            kubeproxy_sync_proxy_rules_no_local_endpoints_total | traffic_policy=internal,ip_family=IPv4 | 1
            kubeproxy_sync_proxy_rules_no_local_endpoints_total | traffic_policy=internal,ip_family=IPv6 | 0
            kubeproxy_sync_full_proxy_rules_duration_seconds_sum | ip_family=IPv6 | 0.02
            kubeproxy_sync_partial_proxy_rules_duration_seconds_sum | ip_family=IPv4 | 0.0015
            kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total | ip_family=IPv4 | 0
            kubeproxy_iptables_ct_state_invalid_dropped_packets_total | '' | 0
            kubeproxy_iptables_localhost_nodeports_accepted_packets_total | '' | 0
            kubeproxy_conntrack_reconciler_sync_duration_seconds_sum | ip_family=IPv6 | 0.003
            kubeproxy_conntrack_reconciler_deleted_entries_total | ip_family=IPv4 | 2
            kubeproxy_conntrack_reconciler_deleted_entries_total | ip_family=IPv6 | 0
            kubernetes_feature_enabled | name=AllAlpha,stage=ALPHA | 0
            kubeproxy_proxy_livez_total | code=503 | 1
            rest_client_requests_total | code=<error>,method=GET,host=10.0.0.1:6443 | 1
            rest_client_request_duration_seconds_bucket | verb=GET,host=10.0.0.1:6443,le=0.005 | 1
            rest_client_request_duration_seconds_bucket | verb=GET,host=10.0.0.1:6443,le=0.025 | 3
            rest_client_request_duration_seconds_count | verb=GET,host=10.0.0.1:6443 | 3
            """)
    void sample_hasItsValue(String name, String labels, double value) {
        String[] namesAndValues = labels.isEmpty() ? new String[0] : labels.split("[=,]");

        assertThat(scrape().value(name, namesAndValues)).isEqualTo(value);
    }
}
