package io.shunt.api;

import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import io.shunt.snapshot.Snapshots;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.InstantSource;
import java.util.Map;

/** The daemon's two HTTP servers: health (kube-proxy's port 10256) and metrics with the API (10249). */
public final class HttpFaces implements AutoCloseable {
    private final PageServer health;
    private final PageServer metrics;

    private HttpFaces(PageServer health, PageServer metrics) {
        this.health = health;
        this.metrics = metrics;
    }

    /**
     * Listens and serves until closed.
     *
     * @param metrics already told of {@code snapshots}
     * @param configuration flags and their values, as they would be given; for /configz
     * @throws IOException if an address cannot be had; the message is one line that names the flag and the cure
     */
    public static HttpFaces open(
            InetSocketAddress healthzBindAddress,
            InetSocketAddress metricsBindAddress,
            Snapshots snapshots,
            Metrics metrics,
            Map<String, String> configuration)
            throws IOException {
        Probes probes = new Probes(snapshots, InstantSource.system());
        PageServer health =
                PageServer.open(healthzBindAddress, "--healthz-bind-address", new HealthPages(probes, metrics).pages());
        try {
            return new HttpFaces(
                    health,
                    PageServer.open(
                            metricsBindAddress,
                            "--metrics-bind-address",
                            new MetricsPages(snapshots, metrics, configuration).pages()));
        } catch (IOException | RuntimeException e) {
            health.close();
            throw e;
        }
    }

    /** Where health is served; the port is a real one also if 0 was asked for. */
    public InetSocketAddress healthzAddress() {
        return health.address();
    }

    /** Where metrics and the API are served; the port is a real one also if 0 was asked for. */
    public InetSocketAddress metricsAddress() {
        return metrics.address();
    }

    /** Stops both, giving requests under way a second. */
    @Override
    public void close() {
        metrics.close();
        health.close();
    }
}
