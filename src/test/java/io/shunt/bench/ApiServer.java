package io.shunt.bench;

import io.shunt.source.FakeApiServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A stand-in for an API server that has all of a cluster. */
final class ApiServer implements AutoCloseable {
    static {
        // Or each page waits 40 ms, Nagle's algorithm for an acknowledgement that is delayed; no API server does that.
        System.setProperty("sun.net.httpserver.nodelay", "true");
    }

    private final Cluster cluster;
    private final FakeApiServer server = new FakeApiServer();

    ApiServer(Cluster cluster) {
        this.cluster = cluster;
        for (int service = 0; service < cluster.services(); service++) {
            server.put((ObjectNode) JsonMapper.shared().valueToTree(cluster.service(service)));
            putSlice(service, 0);
        }
        server.compact();
        server.start();
    }

    /** @param version as {@link Cluster#slice} has it */
    void putSlice(int service, int version) {
        server.put((ObjectNode) JsonMapper.shared().valueToTree(cluster.slice(service, version)));
    }

    /** Writes a kubeconfig that leads to it. */
    Path kubeconfig(Path directory) throws IOException {
        return Files.writeString(directory.resolve("kubeconfig"), """
                apiVersion: v1
                kind: Config
                current-context: bench
                contexts: [{name: bench, context: {cluster: bench}}]
                clusters: [{name: bench, cluster: {server: "%s"}}]
                """.formatted(server.url()));
    }

    @Override
    public void close() {
        server.close();
    }
}
