package io.shunt.bench;

import io.shunt.net.IpFamily;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** A daemon in a network namespace that is its node, which serves so many services, and node ports by TCP and UDP. */
final class NodeSite implements AutoCloseable {
    private static final int SLICES_A_FILE = 50;
    private static final String NODE_NAME = "here";

    private final Closing closing = new Closing();
    private final DaemonProcess daemon;

    /**
     * A node port.
     *
     * @param isLocal whether its traffic policy is Local, and its backends are this node's
     */
    record NodePort(int port, IpFamily family, boolean isLocal, List<String> backends) {}

    /** @param flags besides those that say what it serves */
    NodeSite(Namespace node, int services, List<NodePort> ports, String... flags) throws IOException {
        try {
            Cgroup cgroup = closing.add(Cgroup.create("bench-node"));
            Workspace manifests = closing.add(new Workspace());
            new Cluster(services, ShuntSite.ENDPOINTS, null)
                    .write(manifests.path(), Cluster.Format.JSON, SLICES_A_FILE);
            for (NodePort port : ports) {
                write(manifests.path(), port);
            }
            // The last so that all programs are there to be looked at.
            List<String> all = new ArrayList<>(List.of("--hostname-override", NODE_NAME, "--end-stale-tcp=true"));
            all.addAll(List.of(flags));
            daemon = closing.add(
                    DaemonProcess.start(cgroup, node, "file:" + manifests.path(), all.toArray(String[]::new)));
            daemon.awaitReady();
        } catch (IOException | RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    private static void write(Path directory, NodePort port) throws IOException {
        String endpoints = port.backends.stream()
                .map(backend -> "- {addresses: ['%s'], nodeName: %s, conditions: {ready: true}}"
                        .formatted(backend, port.isLocal ? NODE_NAME : "elsewhere"))
                .collect(Collectors.joining("\n"));
        Files.writeString(directory.resolve("node-port-" + port.port + ".yaml"), """
                apiVersion: v1
                kind: Service
                metadata: {name: door-%1$d, namespace: bench}
                spec:
                  type: NodePort
                  clusterIP: '%2$s'
                  ipFamilies: [%3$s]
                  externalTrafficPolicy: %4$s
                  ports:
                  - {name: tcp, port: 80, protocol: TCP, nodePort: %1$d}
                  - {name: udp, port: 80, protocol: UDP, nodePort: %1$d}
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata:
                  name: door-%1$d-1
                  namespace: bench
                  labels: {kubernetes.io/service-name: door-%1$d}
                addressType: %3$s
                ports:
                - {name: tcp, port: %5$d, protocol: TCP}
                - {name: udp, port: %5$d, protocol: UDP}
                endpoints:
                %6$s
                """.formatted(
                        port.port,
                        (port.family == IpFamily.IPV4 ? "10.95.0." : "fd00:95::") + (port.port & 127),
                        port.family.label(),
                        port.isLocal ? "Local" : "Cluster",
                        Cluster.BACKEND_PORT,
                        endpoints));
    }

    DaemonProcess daemon() {
        return daemon;
    }

    @Override
    public void close() {
        closing.close();
    }
}
