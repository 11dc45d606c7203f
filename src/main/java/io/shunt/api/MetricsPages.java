package io.shunt.api;

import io.shunt.metrics.Metrics;
import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.Snapshots;
import java.io.OutputStream;
import java.util.Iterator;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import tools.jackson.databind.SequenceWriter;

/** What people, Prometheus and `shunt` itself ask, on kube-proxy's port 10249. */
final class MetricsPages {
    private static final ServiceCounters NOTHING_COUNTED = new ServiceCounters(0, 0);
    private static final String INDEX = """
            Shunt: a kube-proxy replacement. Everything here is read-only.

            /metrics           metrics, in Prometheus text format
            /healthz           ok if the daemon answers
            /proxyMode         ebpf
            /configz           the configuration in force
            /api/v1/status     the daemon at a glance
            /api/v1/services   every service port, its addresses, backends and counters
            /api/v1/backends   every backend and the service port it serves
            """;

    private final Snapshots snapshots;
    private final Metrics metrics;
    private final Map<String, String> configuration;

    /** @param configuration flags and their values, as they would be given */
    MetricsPages(Snapshots snapshots, Metrics metrics, Map<String, String> configuration) {
        this.snapshots = snapshots;
        this.metrics = metrics;
        this.configuration = configuration;
    }

    Map<String, Supplier<Reply>> pages() {
        return Map.of(
                "/", () -> Reply.text(200, INDEX),
                "/metrics", () -> new Reply(200, Metrics.CONTENT_TYPE, metrics::write),
                "/healthz", () -> Reply.text(200, "ok"),
                "/proxyMode", () -> Reply.text(200, "ebpf"),
                "/configz", () -> Reply.json(200, Map.of("shunt", configuration)),
                "/api/v1/status", () -> Reply.json(200, snapshots.status()),
                "/api/v1/services", this::services,
                "/api/v1/backends", this::backends);
    }

    private Reply services() {
        Map<Integer, ServiceCounters> counters = snapshots.counters();
        return list(sorted().map(service ->
                ServiceEntry.of(service, counters.getOrDefault(service.serviceId(), NOTHING_COUNTED))));
    }

    private Reply backends() {
        return list(sorted().flatMap(service -> service.backends().stream()
                .map(backend -> new BackendEntry(
                        backend.address(),
                        backend.state(),
                        service.namespace(),
                        service.name(),
                        service.port(),
                        service.protocol(),
                        service.family()))));
    }

    private Stream<ServiceView> sorted() {
        return snapshots.services().stream().sorted(ServiceEntry.ORDER);
    }

    /** A JSON array that is made entry by entry while it is sent. */
    private static Reply list(Stream<?> entries) {
        return new Reply(200, "application/json", (OutputStream out) -> {
            try (SequenceWriter array = Json.MAPPER.writer().writeValuesAsArray(out)) {
                for (Iterator<?> each = entries.iterator(); each.hasNext(); ) {
                    array.write(each.next());
                }
            }
        });
    }
}
