package io.shunt.metrics;

import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.shunt.net.Protocol;
import io.shunt.snapshot.Snapshots;
import io.shunt.snapshot.Status;
import io.shunt.snapshot.Status.AuditView;
import io.shunt.snapshot.Status.CallView;
import io.shunt.snapshot.Status.DropView;
import io.shunt.snapshot.Status.ErrorCount;
import io.shunt.snapshot.Status.EventCount;
import io.shunt.snapshot.Status.MapView;
import io.shunt.snapshot.Status.PacketsView;
import io.shunt.snapshot.Status.ProgramView;
import io.shunt.snapshot.Status.RepairCount;
import io.shunt.snapshot.Status.SourceView;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/** What `shunt status` shows, as metrics. */
final class StatusCollector implements MultiCollector {
    private final Snapshots snapshots;
    private final InstantSource clock;

    StatusCollector(Snapshots snapshots, InstantSource clock) {
        this.snapshots = snapshots;
        this.clock = clock;
    }

    @Override
    public MetricSnapshots collect() {
        Status status = snapshots.status();
        MetricSnapshots.Builder metrics = MetricSnapshots.builder();
        metrics.metricSnapshot(Series.gauges(
                        "shunt_build_info",
                        "Always 1; the labels say which Shunt this is and the Java it runs on",
                        List.of(status),
                        it -> Labels.of(
                                "version",
                                it.version(),
                                "java",
                                Runtime.version().toString()),
                        it -> 1))
                .metricSnapshot(Series.gauge(
                        "shunt_healthy",
                        "1 if `shunt status` has nothing to complain of, else 0",
                        bit(status.healthy())))
                .metricSnapshot(Series.gauge(
                        "shunt_services",
                        "Virtual services (Service ports, counted for each IP family) that are programmed",
                        status.services()))
                .metricSnapshot(Series.gauge(
                        "shunt_failed_services",
                        "Virtual services that could not be programmed as they should be",
                        status.failedServices()))
                .metricSnapshot(Series.gauge(
                        "shunt_backends", "Backends of the programmed virtual services", status.backends()));
        source(metrics, status.source());
        kernel(metrics, status);
        packets(metrics, status.packets());
        audit(metrics, status.audit());
        return metrics.build();
    }

    private void source(MetricSnapshots.Builder metrics, SourceView source) {
        metrics.metricSnapshot(Series.counters(
                        "shunt_source_events",
                        "Changes that the source has reported, by kind of object and action",
                        source.events(),
                        event -> Labels.of("kind", event.kind(), "action", event.action()),
                        EventCount::count))
                .metricSnapshot(Series.counters(
                        "shunt_source_errors",
                        "Errors of the source, by cause",
                        source.errors(),
                        error -> Labels.of("cause", error.cause()),
                        ErrorCount::count))
                .metricSnapshot(Series.gauge(
                        "shunt_source_problems",
                        "Objects that the source cannot use now; what worked before is still in force",
                        source.problems().size()))
                .metricSnapshot(Series.gauge(
                        "shunt_source_listed",
                        "1 once the source has told everything that existed, else 0",
                        bit(source.listed())));
        Instant last = source.lastEvent();
        if (last != null) {
            metrics.metricSnapshot(Series.gauge(
                    "shunt_source_last_event_age_seconds",
                    "Seconds since the source last said anything; absent before it has",
                    Math.max(0, Duration.between(last, clock.instant()).toMillis() / 1e3)));
        }
    }

    private static void kernel(MetricSnapshots.Builder metrics, Status status) {
        Function<MapView, Labels> map = it -> Labels.of("map", it.name());
        Function<CallView, Labels> call = it -> Labels.of("call", it.call(), "map", it.map());
        metrics.metricSnapshot(Series.gauges(
                        "shunt_map_entries",
                        "Entries of the eBPF map in use; absent where the kernel does not tell",
                        status.maps().stream().filter(it -> it.entries() >= 0).toList(),
                        map,
                        MapView::entries))
                .metricSnapshot(Series.gauges(
                        "shunt_map_max_entries",
                        "Entries that the eBPF map can hold",
                        status.maps(),
                        map,
                        MapView::maxEntries))
                .metricSnapshot(Series.gauges(
                        "shunt_map_bytes",
                        "Kernel memory charged to the eBPF map, in bytes",
                        status.maps(),
                        map,
                        MapView::bytes))
                .metricSnapshot(Series.counters(
                        "shunt_map_calls",
                        "Kernel calls made for the eBPF map, batches counted once",
                        status.calls(),
                        call,
                        CallView::count))
                .metricSnapshot(Series.counters(
                        "shunt_map_call_errors",
                        "Kernel calls made for the eBPF map that failed",
                        status.calls(),
                        call,
                        CallView::errors))
                .metricSnapshot(Series.counters(
                        "shunt_socket_errors",
                        "What the programs could not do, by cause: tcp_origin_lost and udp_origin_lost let a"
                                + " socket see its backend's address, bad_set refused an attempt, affinity_lost"
                                + " forgot which backend a client is to stay with, tunnel_narrow hid a client that"
                                + " should have been answered straight, as the MTU is too small",
                        status.socketErrors(),
                        error -> Labels.of("cause", error.cause()),
                        ErrorCount::count))
                .metricSnapshot(Series.counters(
                        "shunt_stale_sockets_ended",
                        "Sockets that were ended because the backend that they were connected to has left",
                        List.of(Protocol.UDP, Protocol.TCP),
                        protocol -> Labels.of("protocol", protocol.name()),
                        protocol -> protocol == Protocol.UDP
                                ? status.staleSockets().endedUdp()
                                : status.staleSockets().endedTcp()))
                .metricSnapshot(Series.gauge(
                        "shunt_ephemeral_node_ports",
                        "Node ports that the kernel may give to clients too, as net.ipv4.ip_local_reserved_ports does not"
                                + " name them",
                        status.ephemeralNodePorts().size()))
                .metricSnapshot(Series.gauges(
                        "shunt_program_attached",
                        "1 if the eBPF program is attached to its hook, else 0",
                        status.programs(),
                        (ProgramView it) -> Labels.of("program", it.name(), "hook", it.hook()),
                        it -> bit(it.attached())));
    }

    private static void packets(MetricSnapshots.Builder metrics, PacketsView packets) {
        metrics.metricSnapshot(Series.gauges(
                        "shunt_device_attached",
                        "1 if the packet program is attached to the device, else 0",
                        packets.devices(),
                        it -> Labels.of("device", it.device(), "program", it.program(), "direction", it.direction()),
                        it -> bit(it.attached())))
                .metricSnapshot(Series.gauge(
                        "shunt_packet_programs_refused",
                        "1 if the kernel refuses the packet programs, so that sockets alone are served, else 0",
                        bit(!packets.refusal().isEmpty())))
                .metricSnapshot(Series.counters(
                        "shunt_device_failures",
                        "Attempts to put a packet program to a device, or to take one away, that failed",
                        List.of(packets),
                        it -> Labels.EMPTY,
                        PacketsView::deviceFailures))
                .metricSnapshot(Series.gauge(
                        "shunt_unmatched_devices",
                        "Names in --devices that no device that is up has",
                        packets.unmatchedDevices().size()))
                .metricSnapshot(Series.gauges(
                        "shunt_flows",
                        "Flows of packets that are remembered, counted every few seconds",
                        Stream.of(packets).filter(it -> it.flows() >= 0).toList(),
                        it -> Labels.EMPTY,
                        PacketsView::flows))
                .metricSnapshot(
                        Series.gauge("shunt_flows_max", "Flows of packets that can be remembered", packets.maxFlows()))
                .metricSnapshot(Series.counters(
                        "shunt_flows_forgotten",
                        "Flows of packets that had ended, or were silent for too long",
                        List.of(packets),
                        it -> Labels.EMPTY,
                        PacketsView::forgottenFlows))
                .metricSnapshot(Series.counters(
                        "shunt_flows_evicted",
                        "Flows of packets that were forgotten to make room for new ones before they were confirmed",
                        List.of(packets),
                        it -> Labels.EMPTY,
                        PacketsView::evictedFlows))
                .metricSnapshot(Series.counters(
                        "shunt_drops",
                        "Packets that were dropped, or answered instead of sent on, for all services together",
                        packets.drops(),
                        it -> Labels.of("reason", it.reason(), "direction", it.direction()),
                        DropView::count));
    }

    private static void audit(MetricSnapshots.Builder metrics, AuditView audit) {
        metrics.metricSnapshot(Series.counters(
                        "shunt_audit_repairs",
                        "What others had changed in the kernel's maps and was put right, by map; links are programs"
                                + " that were attached to the cgroup again",
                        audit.repairs(),
                        it -> Labels.of("map", it.map()),
                        RepairCount::count))
                .metricSnapshot(Series.counters(
                        "shunt_audit_runs",
                        "Comparisons of what the kernel has with what it should have",
                        List.of(audit),
                        it -> Labels.EMPTY,
                        AuditView::runs))
                .metricSnapshot(Series.counters(
                        "shunt_audit_failures",
                        "Comparisons that could not see everything, or could not put it right",
                        List.of(audit),
                        it -> Labels.EMPTY,
                        AuditView::failures));
        Instant last = audit.lastRun();
        if (last != null) {
            metrics.metricSnapshot(Series.gauge(
                    "shunt_audit_last_run_timestamp_seconds",
                    "When the last comparison ended, in seconds since 1970; absent before it has",
                    last.toEpochMilli() / 1e3));
        }
    }

    private static double bit(boolean value) {
        return value ? 1 : 0;
    }
}
