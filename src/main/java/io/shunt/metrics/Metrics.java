package io.shunt.metrics;

import io.micrometer.core.instrument.Clock;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.prometheus.metrics.core.metrics.Counter;
import io.prometheus.metrics.core.metrics.Gauge;
import io.prometheus.metrics.model.registry.PrometheusRegistry;
import io.shunt.snapshot.Snapshots;
import java.io.IOException;
import java.io.OutputStream;
import java.time.InstantSource;

/**
 * Everything that /metrics serves. Where the name or the buckets are given from outside, or there may be ten thousand
 * series, Prometheus's own types are registered beside Micrometer's in one registry: Micrometer would add maxima, turn
 * names into its own, and keep an object a series.
 */
public final class Metrics {
    /** What {@link #write} writes: Prometheus text format 0.0.4, as kube-proxy serves. */
    public static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

    private final PrometheusRegistry registry = new PrometheusRegistry();
    private final PrometheusRegistry slis = new PrometheusRegistry();
    private final PrometheusMeterRegistry micrometer =
            new PrometheusMeterRegistry(PrometheusConfig.DEFAULT, registry, Clock.SYSTEM);
    private final ProgrammingMeters programming = new ProgrammingMeters(registry);
    private final Counter healthz = answers("healthz");
    private final Counter livez = answers("livez");
    private final Gauge pinged = Gauge.builder()
            .name("kubernetes_healthcheck")
            .help("1 if the health check went well when it was last asked for, else 0")
            .labelNames("name", "type")
            .withoutExemplars()
            .register(slis);
    private final Counter pings = Counter.builder()
            .name("kubernetes_healthchecks_total")
            .help("How often the health check was asked for, by how it went")
            .labelNames("name", "status", "type")
            .withoutExemplars()
            .register(slis);

    public Metrics() {
        new JvmMemoryMetrics().bindTo(micrometer);
        registry.register(new ProcessCollector());
    }

    /** The meters that the control thread feeds. */
    public ProgrammingMeters programming() {
        return programming;
    }

    /** From now on what these snapshots say is served too; called once. */
    public void serve(Snapshots snapshots, InstantSource clock) {
        registry.register(new StatusCollector(snapshots, clock));
        registry.register(new ServiceCollector(snapshots));
        registry.register(new KubeProxyCollector(snapshots));
    }

    /** /healthz has answered with this HTTP status. */
    public void healthz(int status) {
        healthz.labelValues(Integer.toString(status)).inc();
    }

    /** /livez has answered with this HTTP status. */
    public void livez(int status) {
        livez.labelValues(Integer.toString(status)).inc();
    }

    /** The metrics' own server has said that it is there, as /healthz of Kubernetes components does. */
    public void ping() {
        pinged.labelValues("ping", "healthz").set(1);
        pings.labelValues("ping", "success", "healthz").inc();
    }

    /** Writes what {@link #ping} has counted, as Kubernetes components do at /metrics/slis. */
    public void writeSlis(OutputStream out) throws IOException {
        new PrometheusMeterRegistry(PrometheusConfig.DEFAULT, slis, Clock.SYSTEM).scrape(out, CONTENT_TYPE);
    }

    /** Reads every metric now, on the caller's thread, and writes it in {@link #CONTENT_TYPE}. */
    public void write(OutputStream out) throws IOException {
        micrometer.scrape(out, CONTENT_TYPE);
    }

    private Counter answers(String probe) {
        return Counter.builder()
                .name("kubeproxy_proxy_" + probe + "_total")
                .help("Answers that /" + probe + " has given, by HTTP status")
                .labelNames("code")
                .withoutExemplars()
                .register(registry);
    }
}
