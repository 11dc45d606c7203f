package io.shunt.api;

import io.shunt.flow.Flows;
import io.shunt.metrics.Metrics;
import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.Snapshots;
import io.shunt.snapshot.Status;
import java.io.OutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.Iterator;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import tools.jackson.databind.SequenceWriter;

/** What people, Prometheus and `shunt` itself ask, on kube-proxy's port 10249. */
final class MetricsPages {
    private static final ServiceCounters NOTHING_COUNTED = new ServiceCounters(0, 0);
    private static final String INDEX = """
            Shunt: a kube-proxy replacement. Everything here is read-only.

            /metrics           metrics, in Prometheus text format
            /metrics/slis      how often /healthz here was asked, as Kubernetes components say it
            /healthz           ok if the daemon answers
            /proxyMode         ebpf
            /configz           the configuration in force
            /flagz             the same as flags
            /statusz           version and uptime
            /api/v1/status     the daemon at a glance
            /api/v1/services   every service port, its addresses, backends and counters
            /api/v1/backends   every backend and the service port it serves
            /api/v1/flows      conversations that the packet programs know, a line each; of one Service with
                               service=NAMESPACE/NAME, no more than limit=1000; with dropped=true the last drops
                               that were told, and with follow=true also those that come
            """;

    private static final String ZPAGE_WARNING = "Warning: This endpoint is not meant to be machine parseable, has no"
            + " formatting compatibility guarantees and is for debugging purposes only.\n";

    private final Snapshots snapshots;
    private final Flows flows;
    private final Metrics metrics;
    private final Map<String, Map<String, ?>> configuration;

    /** @param configuration by group, and under {@code shunt} flags with their values, as they would be given */
    MetricsPages(Snapshots snapshots, Flows flows, Metrics metrics, Map<String, Map<String, ?>> configuration) {
        this.snapshots = snapshots;
        this.flows = flows;
        this.metrics = metrics;
        this.configuration = configuration;
    }

    Map<String, PageServer.Page> pages() {
        return Map.ofEntries(
                entry("/", () -> Reply.text(200, INDEX)),
                entry("/metrics", () -> new Reply(200, Metrics.CONTENT_TYPE, metrics::write)),
                entry("/metrics/slis", () -> new Reply(200, Metrics.CONTENT_TYPE, metrics::writeSlis)),
                entry("/healthz", this::healthz),
                entry("/proxyMode", () -> Reply.text(200, "ebpf")),
                entry("/configz", () -> Reply.json(200, configuration)),
                entry("/flagz", this::flagz),
                entry("/statusz", this::statusz),
                entry("/api/v1/status", () -> Reply.json(200, snapshots.status())),
                entry("/api/v1/services", this::services),
                entry("/api/v1/backends", this::backends),
                Map.entry("/api/v1/flows", new FlowPage(flows)));
    }

    private static Map.Entry<String, PageServer.Page> entry(String path, Supplier<Reply> page) {
        return Map.entry(path, query -> page.get());
    }

    private Reply healthz() {
        metrics.ping();
        return Reply.text(200, "ok");
    }

    /** In the manner of Kubernetes components (k8s.io/component-base/zpages). */
    private Reply flagz() {
        return Reply.text(
                200,
                "\nshunt flagz\n" + ZPAGE_WARNING + "\n"
                        + configuration.getOrDefault("shunt", Map.of()).entrySet().stream()
                                .map(flag -> flag.getKey() + "=" + flag.getValue() + "\n")
                                .sorted()
                                .collect(Collectors.joining()));
    }

    private Reply statusz() {
        Status status = snapshots.status();
        Duration up = Duration.between(status.started(), Instant.now());
        return Reply.text(
                200,
                "\nshunt statusz\n" + ZPAGE_WARNING + "\nStarted: " + status.started() + "\nUp: " + up.toHours()
                        + " hr "
                        + up.toMinutesPart() + " min " + up.toSecondsPart() + " sec\nJava version: " + Runtime.version()
                        + "\nBinary version: " + status.version() + "\n");
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
        return snapshots.services().sorted(ServiceEntry.ORDER);
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
