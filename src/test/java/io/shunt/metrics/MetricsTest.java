package io.shunt.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.metrics.ProgrammingMeters.Kind;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.FixedSnapshots;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MetricsTest {
    private final FixedSnapshots snapshots = new FixedSnapshots();
    private final Metrics metrics = new Metrics();
    private final ProgrammingMeters programming = metrics.programming();

    private Scrape scrape() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try {
            metrics.write(out);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return new Scrape(out.toString(StandardCharsets.UTF_8));
    }

    private Scrape scrapeWithSnapshots() {
        metrics.serve(snapshots, InstantSource.fixed(FixedSnapshots.STARTED.plusSeconds(25)));
        return scrape();
    }

    @Test
    void everyMetric_hasTypeAndHelp() {
        programming.synced(IpFamily.IPV4, 1);
        metrics.healthz(200);
        metrics.livez(200);

        Scrape scrape = scrapeWithSnapshots();

        assertThat(scrape.helps.keySet()).isEqualTo(scrape.types.keySet());
        assertThat(scrape.helps.values()).allSatisfy(help -> assertThat(help).hasSizeGreaterThan(10));
        assertThat(scrape.samples)
                .allSatisfy(sample ->
                        assertThat(scrape.types).containsKey(sample.name().replaceFirst("_(bucket|sum|count)$", "")));
    }

    @Test
    void metrics_areTheDocumentedOnesAndNoOthers() {
        metrics.healthz(200);
        metrics.livez(200);

        Map<String, String> types = scrapeWithSnapshots().types;

        types.keySet().removeIf(name -> name.startsWith("jvm_"));
        assertThat(types)
                .containsExactlyInAnyOrderEntriesOf(Map.ofEntries(
                        Map.entry("kubeproxy_sync_proxy_rules_duration_seconds", "histogram"),
                        Map.entry("kubeproxy_sync_full_proxy_rules_duration_seconds", "histogram"),
                        Map.entry("kubeproxy_sync_partial_proxy_rules_duration_seconds", "histogram"),
                        Map.entry("kubeproxy_sync_proxy_rules_no_local_endpoints_total", "gauge"),
                        Map.entry("kubeproxy_sync_proxy_rules_iptables_restore_failures_total", "counter"),
                        Map.entry("kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total", "counter"),
                        Map.entry("kubeproxy_iptables_ct_state_invalid_dropped_packets_total", "counter"),
                        Map.entry("kubeproxy_iptables_localhost_nodeports_accepted_packets_total", "counter"),
                        Map.entry("rest_client_requests_total", "counter"),
                        Map.entry("rest_client_request_duration_seconds", "histogram"),
                        Map.entry("kubernetes_build_info", "gauge"),
                        Map.entry("kubernetes_feature_enabled", "gauge"),
                        Map.entry("kubeproxy_conntrack_reconciler_sync_duration_seconds", "histogram"),
                        Map.entry("kubeproxy_conntrack_reconciler_deleted_entries_total", "counter"),
                        Map.entry("go_goroutines", "gauge"),
                        Map.entry("kubeproxy_network_programming_duration_seconds", "histogram"),
                        Map.entry("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "gauge"),
                        Map.entry("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "gauge"),
                        Map.entry("kubeproxy_sync_proxy_rules_endpoint_changes_pending", "gauge"),
                        Map.entry("kubeproxy_sync_proxy_rules_endpoint_changes_total", "counter"),
                        Map.entry("kubeproxy_sync_proxy_rules_service_changes_pending", "gauge"),
                        Map.entry("kubeproxy_sync_proxy_rules_service_changes_total", "counter"),
                        Map.entry("kubeproxy_proxy_healthz_total", "counter"),
                        Map.entry("kubeproxy_proxy_livez_total", "counter"),
                        Map.entry("process_cpu_seconds_total", "counter"),
                        Map.entry("process_start_time_seconds", "gauge"),
                        Map.entry("process_resident_memory_bytes", "gauge"),
                        Map.entry("process_open_fds", "gauge"),
                        Map.entry("shunt_build_info", "gauge"),
                        Map.entry("shunt_healthy", "gauge"),
                        Map.entry("shunt_services", "gauge"),
                        Map.entry("shunt_failed_services", "gauge"),
                        Map.entry("shunt_backends", "gauge"),
                        Map.entry("shunt_change_delay_seconds", "histogram"),
                        Map.entry("shunt_source_events_total", "counter"),
                        Map.entry("shunt_source_errors_total", "counter"),
                        Map.entry("shunt_source_problems", "gauge"),
                        Map.entry("shunt_source_listed", "gauge"),
                        Map.entry("shunt_source_last_event_age_seconds", "gauge"),
                        Map.entry("shunt_map_entries", "gauge"),
                        Map.entry("shunt_map_max_entries", "gauge"),
                        Map.entry("shunt_map_bytes", "gauge"),
                        Map.entry("shunt_map_calls_total", "counter"),
                        Map.entry("shunt_map_call_errors_total", "counter"),
                        Map.entry("shunt_socket_errors_total", "counter"),
                        Map.entry("shunt_stale_sockets_ended_total", "counter"),
                        Map.entry("shunt_ephemeral_node_ports", "gauge"),
                        Map.entry("shunt_program_attached", "gauge"),
                        Map.entry("shunt_audit_repairs_total", "counter"),
                        Map.entry("shunt_audit_runs_total", "counter"),
                        Map.entry("shunt_audit_failures_total", "counter"),
                        Map.entry("shunt_audit_last_run_timestamp_seconds", "gauge"),
                        Map.entry("shunt_device_attached", "gauge"),
                        Map.entry("shunt_packet_programs_refused", "gauge"),
                        Map.entry("shunt_unmatched_devices", "gauge"),
                        Map.entry("shunt_device_failures_total", "counter"),
                        Map.entry("shunt_flows", "gauge"),
                        Map.entry("shunt_flows_max", "gauge"),
                        Map.entry("shunt_flows_forgotten_total", "counter"),
                        Map.entry("shunt_flows_evicted_total", "counter"),
                        Map.entry("shunt_drops_total", "counter"),
                        Map.entry("shunt_service_drops_total", "counter"),
                        Map.entry("shunt_service_connections_total", "counter"),
                        Map.entry("shunt_service_refused_total", "counter")));
    }

    @Test
    void statusMetrics_sayWhatTheStatusSays() {
        Scrape scrape = scrapeWithSnapshots();

        assertThat(scrape.value("shunt_healthy")).isOne();
        assertThat(scrape.value("shunt_services")).isEqualTo(2);
        assertThat(scrape.value("shunt_failed_services")).isEqualTo(1);
        assertThat(scrape.value("shunt_backends")).isEqualTo(3);
        assertThat(scrape.value("shunt_ephemeral_node_ports")).isEqualTo(2);
        assertThat(scrape.value("shunt_source_listed")).isOne();
        assertThat(scrape.value("shunt_source_last_event_age_seconds")).isEqualTo(15);
        assertThat(scrape.value("shunt_source_events_total", "kind", "service", "action", "set"))
                .isEqualTo(3);
        assertThat(scrape.value("shunt_source_errors_total", "cause", "parse")).isEqualTo(2);
        assertThat(scrape.value("shunt_map_entries", "map", "frontends")).isEqualTo(3);
        assertThat(scrape.named("shunt_map_entries")).hasSize(1);
        assertThat(scrape.value("shunt_map_max_entries", "map", "origins")).isEqualTo(16384);
        assertThat(scrape.value("shunt_map_bytes", "map", "frontends")).isEqualTo(4_194_304);
        assertThat(scrape.value("shunt_map_calls_total", "call", "update", "map", "frontends"))
                .isEqualTo(12);
        assertThat(scrape.value("shunt_stale_sockets_ended_total", "protocol", "UDP"))
                .isEqualTo(4);
        assertThat(scrape.value("shunt_stale_sockets_ended_total", "protocol", "TCP"))
                .isEqualTo(1);
        assertThat(scrape.value("shunt_socket_errors_total", "cause", "bad_set"))
                .isEqualTo(5);
        assertThat(scrape.value("shunt_map_call_errors_total", "call", "update", "map", "frontends"))
                .isEqualTo(1);
        assertThat(scrape.value("shunt_program_attached", "program", "connect4", "hook", "cgroup/connect4"))
                .isOne();
        assertThat(scrape.value("shunt_audit_repairs_total", "map", "frontends"))
                .isEqualTo(2);
        assertThat(scrape.value("shunt_audit_repairs_total", "map", "sets")).isZero();
        assertThat(scrape.value("shunt_audit_runs_total")).isEqualTo(7);
        assertThat(scrape.value("shunt_audit_failures_total")).isEqualTo(1);
        assertThat(scrape.named("shunt_build_info").getFirst().labels()).containsEntry("version", "1.2.3");
    }

    @Test
    void packetMetrics_sayWhatTheStatusSays() {
        Scrape scrape = scrapeWithSnapshots();

        assertThat(scrape.value(
                        "shunt_device_attached", "device", "eth0", "program", "from_host", "direction", "egress"))
                .isOne();
        assertThat(scrape.value("shunt_packet_programs_refused")).isZero();
        assertThat(scrape.value("shunt_unmatched_devices")).isEqualTo(1);
        assertThat(scrape.value("shunt_device_failures_total")).isEqualTo(2);
        assertThat(scrape.value("shunt_flows")).isEqualTo(17);
        assertThat(scrape.value("shunt_flows_max")).isEqualTo(131_072);
        assertThat(scrape.value("shunt_flows_forgotten_total")).isEqualTo(40);
        assertThat(scrape.value("shunt_flows_evicted_total")).isEqualTo(9);
        assertThat(scrape.value("shunt_drops_total", "reason", "no_port", "direction", "to_backend"))
                .isEqualTo(6);
        assertThat(scrape.value(
                        "shunt_service_drops_total",
                        "namespace",
                        "shop",
                        "service",
                        "web",
                        "port",
                        "http",
                        "protocol",
                        "TCP",
                        "ip_family",
                        "IPv4",
                        "reason",
                        "no_port",
                        "direction",
                        "to_backend"))
                .isEqualTo(4);
        assertThat(scrape.named("shunt_service_drops_total"))
                .as("services that are gone have no series")
                .hasSize(1);
    }

    @Test
    void serviceCounters_haveOneSeriesAServicePortAndFamily() {
        Scrape scrape = scrapeWithSnapshots();

        String[] v4 = {"namespace", "shop", "service", "web", "port", "http", "protocol", "TCP", "ip_family", "IPv4"};
        assertThat(scrape.value("shunt_service_connections_total", v4)).isEqualTo(300);
        assertThat(scrape.value("shunt_service_refused_total", v4)).isEqualTo(2);
        assertThat(scrape.named("shunt_service_connections_total"))
                .as("a service that is not in the kernel has no counters")
                .hasSize(2);
    }

    @Test
    void serviceCounters_goWithTheirService() {
        scrapeWithSnapshots();
        snapshots.services = List.of();

        assertThat(scrape().named("shunt_service_connections_total")).isEmpty();
    }

    @Test
    void unreadableCounters_leaveTheOtherMetrics() {
        snapshots.countersFailure = new IllegalStateException("the map is gone");
        Scrape scrape = scrapeWithSnapshots();

        assertThat(scrape.named("shunt_service_connections_total")).isEmpty();
        assertThat(scrape.value("shunt_services")).isEqualTo(2);
    }

    @Test
    void delay_hasSixBucketsADecade_from10MicrosecondsTo10Seconds() {
        assertThat(scrape().bounds("shunt_change_delay_seconds"))
                .startsWith("1.0E-5", "1.5E-5", "2.0E-5", "3.0E-5", "5.0E-5", "7.0E-5", "1.0E-4")
                .contains("0.001", "1.5")
                .endsWith("5.0", "7.0", "10.0", "+Inf")
                .hasSize(6 * 6 + 2);
    }

    @Test
    void synced_isObservedInItsFamily() {
        long before = System.currentTimeMillis();
        programming.synced(IpFamily.IPV6, 3_000_000);
        Scrape scrape = scrape();

        String name = "kubeproxy_sync_proxy_rules_duration_seconds";
        assertThat(scrape.value(name + "_count", "ip_family", "IPv6")).isOne();
        assertThat(scrape.value(name + "_sum", "ip_family", "IPv6")).isEqualTo(0.003);
        assertThat(scrape.value(name + "_bucket", "ip_family", "IPv6", "le", "0.002"))
                .isZero();
        assertThat(scrape.value(name + "_bucket", "ip_family", "IPv6", "le", "0.004"))
                .isOne();
        assertThat(scrape.value(name + "_count", "ip_family", "IPv4")).isZero();
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "ip_family", "IPv6"))
                .isBetween(before / 1e3, System.currentTimeMillis() / 1e3);
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "ip_family", "IPv4"))
                .isZero();
    }

    @Test
    void changes_pendUntilTaken() {
        programming.queued(Kind.ENDPOINT, 5);
        programming.queued(Kind.ENDPOINT, 1);
        programming.taken(Kind.ENDPOINT, 4);
        programming.queued(Kind.SERVICE, 1);
        Scrape scrape = scrape();

        assertThat(scrape.value("kubeproxy_sync_proxy_rules_endpoint_changes_total"))
                .isEqualTo(6);
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_endpoint_changes_pending"))
                .isEqualTo(2);
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_service_changes_total"))
                .isEqualTo(1);
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_service_changes_pending"))
                .isEqualTo(1);
        assertThat(scrape.value("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "ip_family", "IPv6"))
                .isPositive();
    }

    @Test
    void programmed_countsOnlyWhatWasTriggeredSinceTheStart() {
        Instant now = Instant.now().plusSeconds(100);
        programming.programmed(IpFamily.IPV4, now.minusMillis(1_500), now);
        programming.programmed(IpFamily.IPV4, now.plusMillis(10), now);
        programming.programmed(IpFamily.IPV4, now.minusSeconds(3600), now);
        Scrape scrape = scrape();

        String name = "kubeproxy_network_programming_duration_seconds";
        assertThat(scrape.value(name + "_count", "ip_family", "IPv4")).isEqualTo(2);
        assertThat(scrape.value(name + "_sum", "ip_family", "IPv4")).isBetween(1.499, 1.501);
        assertThat(scrape.value(name + "_bucket", "ip_family", "IPv4", "le", "0.25"))
                .isOne();
    }

    @Test
    void delay_isInSeconds() {
        programming.delay(40_000);
        Scrape scrape = scrape();

        assertThat(scrape.value("shunt_change_delay_seconds_bucket", "le", "3.0E-5"))
                .isZero();
        assertThat(scrape.value("shunt_change_delay_seconds_bucket", "le", "5.0E-5"))
                .isOne();
    }

    @Test
    void processMetrics_areOfThisProcess() {
        Scrape scrape = scrape();

        assertThat(scrape.value("process_resident_memory_bytes")).isBetween(10e6, 10e9);
        assertThat(scrape.value("process_open_fds")).isBetween(3.0, 100_000.0);
        assertThat(scrape.value("process_cpu_seconds_total")).isPositive();
        assertThat(scrape.value("process_start_time_seconds"))
                .isEqualTo(ProcessHandle.current()
                                .info()
                                .startInstant()
                                .orElseThrow()
                                .toEpochMilli()
                        / 1e3);
        assertThat(scrape.named("jvm_memory_used_bytes")).isNotEmpty();
    }
}
