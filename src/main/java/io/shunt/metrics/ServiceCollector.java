package io.shunt.metrics;

import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.shunt.snapshot.Drop;
import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.Snapshots;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The kernel's counters of each service, read when scraped: ten thousand services cost nothing in between, and a
 * service that is gone leaves no series behind.
 */
final class ServiceCollector implements MultiCollector {
    private static final Logger log = LoggerFactory.getLogger(ServiceCollector.class);

    private final Snapshots snapshots;

    ServiceCollector(Snapshots snapshots) {
        this.snapshots = snapshots;
    }

    private record Dropped(Labels labels, Drop drop) {}

    private record Counted(Labels labels, ServiceCounters counters) {}

    @Override
    public MetricSnapshots collect() {
        Map<Integer, ServiceCounters> counters = told(snapshots::counters, Map.of());
        Map<Integer, List<Drop>> drops =
                told(snapshots::drops, List.<Drop>of()).stream().collect(Collectors.groupingBy(Drop::serviceId));
        List<Counted> counted = new ArrayList<>(counters.size());
        List<Dropped> dropped = new ArrayList<>();
        snapshots.services().forEach(service -> {
            ServiceCounters counts = counters.get(service.serviceId());
            if (counts != null) {
                counted.add(new Counted(labels(service), counts));
            }
            drops.getOrDefault(service.serviceId(), List.of())
                    .forEach(drop -> dropped.add(new Dropped(labels(service), drop)));
        });
        return MetricSnapshots.of(
                Series.counters(
                        "shunt_service_connections",
                        "Connects to the service that were sent to a backend, and first datagrams to one",
                        counted,
                        Counted::labels,
                        it -> it.counters().connections()),
                Series.counters(
                        "shunt_service_refused",
                        "Attempts to reach the service while it had no backend",
                        counted,
                        Counted::labels,
                        it -> it.counters().refused()),
                Series.counters(
                        "shunt_service_drops",
                        "Packets to or from the service that were dropped, or answered instead of sent on",
                        dropped,
                        it -> it.labels()
                                .merge(Labels.of(
                                        "reason",
                                        it.drop().reason(),
                                        "direction",
                                        it.drop().direction())),
                        it -> it.drop().count()));
    }

    /** Nothing if the kernel does not tell: the other metrics are needed most when something is wrong. */
    private static <T> T told(Supplier<T> counters, T nothing) {
        try {
            return counters.get();
        } catch (RuntimeException e) {
            log.warn("cannot read the services' counters, so /metrics is without them", e);
            return nothing;
        }
    }

    private static Labels labels(ServiceView service) {
        return Labels.of(
                "namespace", service.namespace(),
                "service", service.name(),
                "port", service.port(),
                "protocol", service.protocol(),
                "ip_family", service.family());
    }
}
