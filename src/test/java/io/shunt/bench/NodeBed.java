package io.shunt.bench;

import io.shunt.net.IpFamily;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Nodes, each with one device to the network and one to a pod, and nobody at the other ends but what counts. Every address
 * behind them has its link-layer address from the start, so no node looks for anybody.
 */
final class NodeBed implements AutoCloseable {
    /** By which a node meets the network. */
    static final String OUTSIDE = "eth0";

    /** By which a node meets its pod. */
    static final String INSIDE = "pod0";

    /** Elsewhere, behind the network. So many that masquerading finds ports for all of them. */
    static final int REMOTE_BACKENDS = 16;

    private final Closing closing = new Closing();
    private final Injector injector;
    private final Namespace network;
    private final Namespace pods;
    private int nodes;

    NodeBed() {
        try {
            network = closing.add(Namespace.create("bench-network"));
            pods = closing.add(Namespace.create("bench-pods"));
            injector = closing.add(new Injector(Cluster.BACKEND_PORT));
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    Injector injector() {
        return injector;
    }

    /** A node, whose forwarding is the kernel's as long as nobody changes it. */
    Node node(String hint) {
        return node(hint, false);
    }

    /** A node whose driver sends frames itself. */
    Node nodeOfDriver(String hint) {
        return node(hint, true);
    }

    private Node node(String hint, boolean sendsFrames) {
        return new Node(hint, nodes++, sendsFrames);
    }

    /** Belongs to the bed. */
    final class Node {
        private final int number;
        private final Namespace namespace;
        private final int ifindex;

        private Node(String hint, int number, boolean sendsFrames) {
            this.number = number;
            namespace = closing.add(Namespace.create("bench-" + hint));
            namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
            // What comes from the network and leaves by it again is on the right way here.
            namespace.run("sysctl", "-qw", "net.ipv4.conf.all.send_redirects=0");
            namespace.run("sysctl", "-qw", "net.ipv4.conf.default.send_redirects=0");
            String networkEnd = "n" + number;
            String podEnd = "p" + number;
            namespace.link(OUTSIDE, network, networkEnd);
            namespace.link(INSIDE, pods, podEnd);
            for (IpFamily family : IpFamily.values()) {
                String bits = family == IpFamily.IPV4 ? "/24" : "/64";
                namespace.address(OUTSIDE, address(family) + bits);
                namespace.address(INSIDE, at(family, 2, 1) + bits);
                know(at(family, 1, 2), OUTSIDE, network, networkEnd);
                know(localBackend(family), INSIDE, pods, podEnd);
                namespace.ip("route", "add", "default", "via", at(family, 1, 2));
            }
            ifindex = namespace.index(OUTSIDE);
            injector.countAt(pods, podEnd);
            if (sendsFrames) {
                injector.countAtDriver(network, networkEnd);
            } else {
                injector.countAt(network, networkEnd);
            }
        }

        private void know(String neighbour, String device, Namespace where, String peer) {
            String address = HexFormat.ofDelimiter(":").formatHex(NodeBed.linkAddress(where, peer));
            namespace.ip("neigh", "add", neighbour, "lladdr", address, "dev", device, "nud", "permanent");
        }

        /** @param net 1: to the network; 2: to the pod; 3: of the backends elsewhere */
        private String at(IpFamily family, int net, int host) {
            return family == IpFamily.IPV4
                    ? "10.20" + net + "." + number + "." + host
                    : "fd0" + net + ":" + Integer.toHexString(number) + "::" + Integer.toHexString(host);
        }

        Namespace namespace() {
            return namespace;
        }

        /** Of the device to the network. */
        int ifindex() {
            return ifindex;
        }

        /** Of the same device. */
        byte[] linkAddress() {
            return NodeBed.linkAddress(namespace, OUTSIDE);
        }

        /** The node's own, as the network knows it. */
        String address(IpFamily family) {
            return at(family, 1, 1);
        }

        /** The pod's. */
        String localBackend(IpFamily family) {
            return at(family, 2, 2);
        }

        List<String> remoteBackends(IpFamily family) {
            return IntStream.range(0, REMOTE_BACKENDS)
                    .mapToObj(i -> at(family, 3, 2 + i))
                    .toList();
        }
    }

    private static byte[] linkAddress(Namespace namespace, String device) {
        String address =
                namespace.ip("-br", "link", "show", "dev", device).getFirst().split("\\s+")[2];
        return HexFormat.ofDelimiter(":").parseHex(address);
    }

    @Override
    public void close() {
        closing.close();
    }
}
