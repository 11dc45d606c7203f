package io.shunt.api;

import java.io.IOException;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * The addresses of the daemon's two HTTP servers, health (kube-proxy's port 10256) and metrics with the API (10249). They
 * are taken before there is anything to tell; who connects waits until {@link HttpFaces} answer.
 */
public final class HttpPorts implements AutoCloseable {
    private final @Nullable PageServer health;
    private final @Nullable PageServer metrics;

    private HttpPorts(@Nullable PageServer health, @Nullable PageServer metrics) {
        this.health = health;
        this.metrics = metrics;
    }

    /**
     * Takes both addresses, or none.
     *
     * @param healthz null: health is not served
     * @param metrics null: metrics and the API are not served
     * @throws IOException if an address cannot be had; the message is one line that names the flag and the cure
     */
    public static HttpPorts bind(@Nullable InetSocketAddress healthz, @Nullable InetSocketAddress metrics)
            throws IOException {
        PageServer health = bind(healthz, "--healthz-bind-address");
        try {
            return new HttpPorts(health, bind(metrics, "--metrics-bind-address"));
        } catch (IOException | RuntimeException e) {
            close(health);
            throw e;
        }
    }

    private static @Nullable PageServer bind(@Nullable InetSocketAddress address, String flag) throws IOException {
        return address == null ? null : PageServer.bind(address, flag);
    }

    private static void close(@Nullable PageServer server) {
        if (server != null) {
            server.close();
        }
    }

    @Nullable
    PageServer health() {
        return health;
    }

    @Nullable
    PageServer metrics() {
        return metrics;
    }

    /** Lets go of both, giving requests under way a second. */
    @Override
    public void close() {
        close(metrics);
        close(health);
    }
}
