package io.shunt.metrics;

import io.micrometer.core.instrument.Clock;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.prometheus.metrics.core.metrics.Counter;
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
    private final PrometheusMeterRegistry micrometer =
            new PrometheusMeterRegistry(PrometheusConfig.DEFAULT, registry, Clock.SYSTEM);
    private final ProgrammingMeters programming = new ProgrammingMeters(registry);
    private final Counter healthz = answers("healthz");
    private final Counter livez = answers("livez");

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
    }

    /** /healthz has answered with this HTTP status. */
    public void healthz(int status) {
        healthz.labelValues(Integer.toString(status)).inc();
    }

    /** /livez has answered with this HTTP status. */
    public void livez(int status) {
        livez.labelValues(Integer.toString(status)).inc();
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
