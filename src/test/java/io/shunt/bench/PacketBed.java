package io.shunt.bench;

import io.shunt.net.Protocol;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Traffic;

/**
 * A client from elsewhere and a server, and between them nodes that forward: each is linked to both by a pair of devices
 * of its own, and is the only way from one to the other. The server is bound to the last CPU and the client to the first.
 * What a node does for a packet is done on the sender's CPU.
 */
final class PacketBed implements AutoCloseable {
    /** By which a node meets the client. */
    static final String OUTSIDE = "eth0";

    /** By which a node meets the server. */
    static final String INSIDE = "pod0";

    private final Closing closing = new Closing();
    private final Cgroup cgroup;
    private final Namespace client;
    private final Namespace server;
    private final Traffic asking;
    private final Traffic answering;
    private int nodes;

    PacketBed() {
        try {
            cgroup = closing.add(Cgroup.create("bench-packets"));
            client = closing.add(Namespace.create("bench-client"));
            server = closing.add(Namespace.create("bench-server"));
            asking = traffic(client, 0);
            answering = traffic(server, Runtime.getRuntime().availableProcessors() - 1);
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    private Traffic traffic(Namespace namespace, int cpu) {
        Traffic traffic = closing.add(Traffic.start(closing.add(cgroup.child("traffic")), namespace));
        // Until it answers, the process may still be the shell that enters the namespace.
        traffic.socket(Traffic.Kind.UDP4).close();
        namespace.run("taskset", "--cpu-list", "--pid", Integer.toString(cpu), Long.toString(traffic.pid()));
        return traffic;
    }

    Traffic client() {
        return asking;
    }

    /** A node, whose forwarding is the kernel's as long as nobody changes it. */
    Node node(String hint) {
        return new Node(hint, nodes++);
    }

    /** A node, and what the client reaches through it. Belongs to the bed. */
    final class Node {
        private final Namespace namespace;
        private final String address;
        private final String backend;

        private Node(String hint, int number) {
            namespace = closing.add(Namespace.create("bench-" + hint));
            address = "10.201." + number + ".1";
            backend = "10.202." + number + ".2";
            String clientSide = "c" + number;
            String serverSide = "s" + number;
            namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
            namespace.link(OUTSIDE, client, clientSide);
            namespace.address(OUTSIDE, address + "/24");
            client.address(clientSide, "10.201." + number + ".2/24");
            namespace.link(INSIDE, server, serverSide);
            namespace.address(INSIDE, "10.202." + number + ".1/24");
            server.address(serverSide, backend + "/24");
            client.ip("route", "add", "10.202." + number + ".0/24", "via", address);
            server.ip("route", "add", "10.201." + number + ".0/24", "via", "10.202." + number + ".1");
            answering.serve(Protocol.TCP, backend, Cluster.BACKEND_PORT, "server");
            // Nobody reads from it: a full socket drops, and costs every way the same.
            answering.socket(Traffic.Kind.UDP4).bind(backend, Cluster.BACKEND_PORT);
        }

        Namespace namespace() {
            return namespace;
        }

        /** The node's own, as the client reaches it. */
        String address() {
            return address;
        }

        /** The server's, reached through this node. */
        String backend() {
            return backend;
        }
    }

    @Override
    public void close() {
        closing.close();
    }
}
