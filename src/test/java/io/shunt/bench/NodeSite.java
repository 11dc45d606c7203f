package io.shunt.bench;

import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** A node with a daemon, which serves so many services, and node ports to the node's backend by TCP and UDP. */
final class NodeSite implements AutoCloseable {
    private static final int SLICES_A_FILE = 50;
    private static final String NODE_NAME = "here";

    private final Closing closing = new Closing();
    private final DaemonProcess daemon;

    /** @param policies by node port */
    NodeSite(PacketBed.Node node, int services, Map<Integer, String> policies) throws IOException {
        try {
            Cgroup cgroup = closing.add(Cgroup.create("bench-node"));
            Workspace manifests = closing.add(new Workspace());
            new Cluster(services, ShuntSite.ENDPOINTS, null)
                    .write(manifests.path(), Cluster.Format.JSON, SLICES_A_FILE);
            for (Map.Entry<Integer, String> each : policies.entrySet()) {
                writeNodePort(manifests.path(), each.getKey(), each.getValue(), node.backend());
            }
            daemon = closing.add(DaemonProcess.start(
                    cgroup,
                    node.namespace(),
                    "file:" + manifests.path(),
                    "--hostname-override",
                    NODE_NAME,
                    "--devices",
                    PacketBed.OUTSIDE + ",pod:" + PacketBed.INSIDE));
            daemon.awaitReady();
        } catch (IOException | RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    private static void writeNodePort(Path directory, int port, String policy, String backend) throws IOException {
        Files.writeString(directory.resolve("node-port-" + port + ".yaml"), """
                apiVersion: v1
                kind: Service
                metadata: {name: door-%1$d, namespace: bench}
                spec:
                  type: NodePort
                  clusterIP: 10.95.0.%2$d
                  externalTrafficPolicy: %3$s
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
                addressType: IPv4
                ports:
                - {name: tcp, port: %4$d, protocol: TCP}
                - {name: udp, port: %4$d, protocol: UDP}
                endpoints:
                - {addresses: [%5$s], nodeName: %6$s, conditions: {ready: true}}
                """.formatted(
                        port, port & 127, policy, Cluster.BACKEND_PORT, backend, NODE_NAME));
    }

    DaemonProcess daemon() {
        return daemon;
    }

    @Override
    public void close() {
        closing.close();
    }
}
