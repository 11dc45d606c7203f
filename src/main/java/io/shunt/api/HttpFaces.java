package io.shunt.api;

import io.shunt.flow.Flows;
import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import io.shunt.snapshot.Snapshots;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What the daemon answers at its {@link HttpPorts}. */
public final class HttpFaces implements AutoCloseable {
    private final HttpPorts ports;

    private HttpFaces(HttpPorts ports) {
        this.ports = ports;
    }

    /**
     * Serves until closed.
     *
     * @param ports closed with this
     * @param probes what the health pages answer
     * @param metrics already told of {@code snapshots}
     * @param configuration what /configz answers, by the group that it is of; its entry {@code shunt} has flags and their
     *     values, as they would be given
     */
    public static HttpFaces open(
            HttpPorts ports,
            Probes probes,
            Snapshots snapshots,
            Flows flows,
            Metrics metrics,
            Map<String, Map<String, ?>> configuration) {
        serve(ports.health(), PageServer.Methods.ANY, new HealthPages(probes, metrics).pages());
        serve(
                ports.metrics(),
                PageServer.Methods.READING,
                new MetricsPages(snapshots, flows, metrics, configuration).pages());
        return new HttpFaces(ports);
    }

    private static void serve(
            @Nullable PageServer server, PageServer.Methods methods, Map<String, PageServer.Page> pages) {
        if (server != null) {
            server.serve(methods, pages);
        }
    }

    private static Optional<InetSocketAddress> address(@Nullable PageServer server) {
        return Optional.ofNullable(server).map(PageServer::address);
    }

    /** Where health is served, if it is; the port is a real one also if 0 was asked for. */
    public Optional<InetSocketAddress> healthzAddress() {
        return address(ports.health());
    }

    /** Where metrics and the API are served, if they are; the port is a real one also if 0 was asked for. */
    public Optional<InetSocketAddress> metricsAddress() {
        return address(ports.metrics());
    }

    /** Ends what {@link HttpPorts#close} ends. */
    @Override
    public void close() {
        ports.close();
    }
}
