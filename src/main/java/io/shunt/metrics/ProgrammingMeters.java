package io.shunt.metrics;

import io.prometheus.metrics.core.datapoints.CounterDataPoint;
import io.prometheus.metrics.core.datapoints.DistributionDataPoint;
import io.prometheus.metrics.core.datapoints.GaugeDataPoint;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.Gauge;
import io.prometheus.metrics.core.metrics.Histogram;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import io.shunt.net.IpFamily;
import java.time.Instant;
import java.util.EnumMap;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * How long changes take to reach the kernel, under kube-proxy's names (pkg/proxy/metrics/metrics.go) so that its
 * dashboards and alerts go on working, and Shunt's finer one beside them. Every method may be called from any thread,
 * costs well under a microsecond and allocates nothing.
 */
public final class ProgrammingMeters {
    private static final double NANOS = 1e9;

    /** What changed, as kube-proxy's change metrics tell it apart. */
    public enum Kind {
        SERVICE,
        ENDPOINT
    }

    private final double startSeconds = System.currentTimeMillis() / 1e3;
    private final Map<Kind, Counter> changes = new EnumMap<>(Kind.class);
    private final Map<Kind, Gauge> pending = new EnumMap<>(Kind.class);
    private final Map<IpFamily, GaugeDataPoint> lastQueued = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, GaugeDataPoint> lastSynced = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, DistributionDataPoint> syncDuration = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, DistributionDataPoint> fullSyncDuration = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, DistributionDataPoint> partialSyncDuration = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, DistributionDataPoint> networkProgramming = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, DistributionDataPoint> reconcilerDuration = new EnumMap<>(IpFamily.class);
    private final Map<IpFamily, CounterDataPoint> reconcilerDeleted = new EnumMap<>(IpFamily.class);
    private final Histogram delay;

    ProgrammingMeters(PrometheusRegistry registry) {
        for (Kind kind : Kind.values()) {
            String name = "kubeproxy_sync_proxy_rules_" + (kind == Kind.SERVICE ? "service" : "endpoint") + "_changes";
            String what = kind == Kind.SERVICE ? "Service" : "EndpointSlice";
            changes.put(
                    kind,
                    Counter.builder()
                            .name(name + "_total")
                            .help(what + " changes that the source has reported")
                            .withoutExemplars()
                            .register(registry));
            pending.put(
                    kind,
                    Gauge.builder()
                            .name(name + "_pending")
                            .help(what + " changes that wait to be programmed")
                            .withoutExemplars()
                            .register(registry));
        }
        Gauge queuedAt = Gauge.builder()
                .name("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds")
                .help("When a change last arrived to be programmed, in seconds since 1970; much later than"
                        + " kubeproxy_sync_proxy_rules_last_timestamp_seconds means that programming hangs")
                .labelNames("ip_family")
                .withoutExemplars()
                .register(registry);
        Gauge syncedAt = Gauge.builder()
                .name("kubeproxy_sync_proxy_rules_last_timestamp_seconds")
                .help("When changes were last programmed into the kernel, in seconds since 1970")
                .labelNames("ip_family")
                .withoutExemplars()
                .register(registry);
        Histogram syncs = syncs(registry, "", "plan the changes of one Service and write them to the kernel");
        Histogram fullSyncs = syncs(
                registry,
                "_full",
                "program all Services, at the start and when this node's zone changes; each of them counts as a partial"
                        + " sync too");
        Histogram partialSyncs = syncs(registry, "_partial", "program one Service, as every change is");
        Histogram reconciler = seconds(
                registry,
                "kubeproxy_conntrack_reconciler_sync_duration_seconds",
                "look for sockets that backends which are gone have left behind, and end them; both families at once");
        Counter reconciled = Counter.builder()
                .name("kubeproxy_conntrack_reconciler_deleted_entries_total")
                .help("Sockets ended because their backend is gone")
                .labelNames("ip_family")
                .withoutExemplars()
                .register(registry);
        Histogram programming = Histogram.builder()
                .name("kubeproxy_network_programming_duration_seconds")
                .help("Seconds from the change of a pod or Service, as the EndpointSlice's annotation"
                        + " endpoints.kubernetes.io/last-change-trigger-time dates it, to its being programmed")
                .labelNames("ip_family")
                .classicOnly()
                .classicUpperBounds(networkProgrammingBounds())
                .withoutExemplars()
                .register(registry);
        for (IpFamily family : IpFamily.values()) {
            lastQueued.put(family, queuedAt.labelValues(family.label()));
            lastSynced.put(family, syncedAt.labelValues(family.label()));
            syncDuration.put(family, syncs.labelValues(family.label()));
            fullSyncDuration.put(family, fullSyncs.labelValues(family.label()));
            partialSyncDuration.put(family, partialSyncs.labelValues(family.label()));
            networkProgramming.put(family, programming.labelValues(family.label()));
            reconcilerDuration.put(family, reconciler.labelValues(family.label()));
            reconcilerDeleted.put(family, reconciled.labelValues(family.label()));
        }
        delay = Histogram.builder()
                .name("shunt_change_delay_seconds")
                .help("Seconds from a change's arrival at the daemon to its being programmed into the kernel")
                .classicOnly()
                .classicUpperBounds(delayBounds())
                .withoutExemplars()
                .register(registry);
    }

    private static Histogram syncs(PrometheusRegistry registry, String kind, String what) {
        return seconds(registry, "kubeproxy_sync" + kind + "_proxy_rules_duration_seconds", what);
    }

    private static Histogram seconds(PrometheusRegistry registry, String name, String what) {
        return Histogram.builder()
                .name(name)
                .help("Seconds to " + what)
                .labelNames("ip_family")
                .classicOnly()
                .classicUpperBounds(syncBounds())
                .withoutExemplars()
                .register(registry);
    }

    /** {@code count} changes have arrived and wait. */
    public void queued(Kind kind, int count) {
        of(changes, kind).inc(count);
        of(pending, kind).inc(count);
        double now = System.currentTimeMillis() / 1e3;
        of(lastQueued, IpFamily.IPV4).set(now);
        of(lastQueued, IpFamily.IPV6).set(now);
    }

    /** {@code count} changes wait no longer: they are programmed, coalesced into a later one, or given up. */
    public void taken(Kind kind, int count) {
        of(pending, kind).dec(count);
    }

    /** The changes of one Service are in the kernel now; planning and writing them took so long. */
    public void synced(IpFamily family, long durationNanos) {
        of(syncDuration, family).observe(durationNanos / NANOS);
        of(partialSyncDuration, family).observe(durationNanos / NANOS);
        of(lastSynced, family).set(System.currentTimeMillis() / 1e3);
    }

    /** All Services had to be programmed, and have been; it took so long. */
    public void syncedFully(long durationNanos) {
        fullSyncDuration.values().forEach(duration -> duration.observe(durationNanos / NANOS));
    }

    /**
     * Stale sockets have been looked for.
     *
     * @param ended how many were ended, by the family that they spoke
     */
    public void reconciled(long durationNanos, Map<IpFamily, Long> ended) {
        reconcilerDuration.values().forEach(duration -> duration.observe(durationNanos / NANOS));
        ended.forEach((family, count) -> of(reconcilerDeleted, family).inc(count));
    }

    /**
     * A slice that says when its change was triggered has been programmed. What was triggered before this process
     * started says nothing about it and is left out, as kube-proxy does.
     */
    public void programmed(IpFamily family, Instant trigger, Instant now) {
        double triggered = trigger.getEpochSecond() + trigger.getNano() / NANOS;
        if (triggered >= startSeconds) {
            double seconds =
                    now.getEpochSecond() - trigger.getEpochSecond() + (now.getNano() - trigger.getNano()) / NANOS;
            // The trigger is another machine's clock, which may be ahead of ours.
            of(networkProgramming, family).observe(Math.max(0, seconds));
        }
    }

    /** A change has been programmed so long after it arrived. */
    public void delay(long nanos) {
        delay.observe(nanos / NANOS);
    }

    private static <K extends Enum<K>, V> V of(Map<K, V> map, K key) {
        V value = map.get(key);
        if (value == null) {
            throw new IllegalStateException("no meter for " + key);
        }
        return value;
    }

    /** 0.001 * 2^0 ... 2^14. */
    private static double[] syncBounds() {
        return DoubleStream.iterate(0.001, bound -> bound * 2).limit(15).toArray();
    }

    /** 0.25, 0.5, 1 to 59 by 1, 60 to 115 by 5, 120 to 300 by 30. */
    private static double[] networkProgrammingBounds() {
        return Stream.of(
                        DoubleStream.of(0.25, 0.5),
                        DoubleStream.iterate(1, bound -> bound + 1).limit(59),
                        DoubleStream.iterate(60, bound -> bound + 5).limit(12),
                        DoubleStream.iterate(120, bound -> bound + 30).limit(7))
                .flatMapToDouble(bounds -> bounds)
                .toArray();
    }

    /** 1, 1.5, 2, 3, 5 and 7 of every decade from 10 us to 10 s: a quantile read from it is off by a factor of 1.7 at most. */
    private static double[] delayBounds() {
        return IntStream.rangeClosed(-5, 1)
                .boxed()
                .flatMap(decade -> Stream.of("1", "1.5", "2", "3", "5", "7").map(digit -> digit + "e" + decade))
                .mapToDouble(Double::parseDouble)
                .filter(bound -> bound <= 10)
                .toArray();
    }
}
