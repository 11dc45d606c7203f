package io.shunt.api;

import io.shunt.flow.Flows;
import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import io.shunt.snapshot.Snapshots;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The daemon's two HTTP servers: health (kube-proxy's port 10256) and metrics with the API (10249). */
public final class HttpFaces implements AutoCloseable {
    private final @Nullable PageServer health;
    private final @Nullable PageServer metrics;

    private HttpFaces(@Nullable PageServer health, @Nullable PageServer metrics) {
        this.health = health;
        this.metrics = metrics;
    }

    /**
     * Listens and serves until closed.
     *
     * @param healthzBindAddress null: health is not served
     * @param metricsBindAddress null: metrics and the API are not served
     * @param probes what the health pages answer
     * @param metrics already told of {@code snapshots}
     * @param configuration what /configz answers, by the group that it is of; its entry {@code shunt} has flags and their
     *     values, as they would be given
     * @throws IOException if an address cannot be had; the message is one line that names the flag and the cure
     */
    public static HttpFaces open(
            @Nullable InetSocketAddress healthzBindAddress,
            @Nullable InetSocketAddress metricsBindAddress,
            Probes probes,
            Snapshots snapshots,
            Flows flows,
            Metrics metrics,
            Map<String, Map<String, ?>> configuration)
            throws IOException {
        PageServer health = open(
                healthzBindAddress,
                "--healthz-bind-address",
                PageServer.Methods.ANY,
                new HealthPages(probes, metrics).pages());
        try {
            return new HttpFaces(
                    health,
                    open(
                            metricsBindAddress,
                            "--metrics-bind-address",
                            PageServer.Methods.READING,
                            new MetricsPages(snapshots, flows, metrics, configuration).pages()));
        } catch (IOException | RuntimeException e) {
            close(health);
            throw e;
        }
    }

    private static @Nullable PageServer open(
            @Nullable InetSocketAddress address,
            String flag,
            PageServer.Methods methods,
            Map<String, PageServer.Page> pages)
            throws IOException {
        return address == null ? null : PageServer.open(address, flag, methods, pages);
    }

    private static void close(@Nullable PageServer server) {
        if (server != null) {
            server.close();
        }
    }

    private static Optional<InetSocketAddress> address(@Nullable PageServer server) {
        return Optional.ofNullable(server).map(PageServer::address);
    }

    /** Where health is served, if it is; the port is a real one also if 0 was asked for. */
    public Optional<InetSocketAddress> healthzAddress() {
        return address(health);
    }

    /** Where metrics and the API are served, if they are; the port is a real one also if 0 was asked for. */
    public Optional<InetSocketAddress> metricsAddress() {
        return address(metrics);
    }

    /** Stops both, giving requests under way a second. */
    @Override
    public void close() {
        close(metrics);
        close(health);
    }
}
