package io.shunt.bench;

import io.shunt.net.Protocol;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Traffic;

/**
 * A server in a network namespace of its own, and clients in theirs, each linked to the server by a pair of devices and
 * to nothing else. The server is bound to the last CPU and the clients to the first, so that neither wanders.
 */
final class Bed implements AutoCloseable {
    private final Closing closing = new Closing();
    private final Namespace server;
    private int links;

    Bed() {
        try {
            server = closing.add(Namespace.create("bench-server"));
            Traffic traffic = traffic(Cgroup.create("bench-server"), server, lastCpu());
            traffic.serve(Protocol.TCP, "0.0.0.0", Cluster.BACKEND_PORT, "server");
        } catch (RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    private static int lastCpu() {
        return Runtime.getRuntime().availableProcessors() - 1;
    }

    private Traffic traffic(Cgroup cgroup, Namespace namespace, int cpu) {
        closing.add(cgroup);
        Traffic traffic = closing.add(Traffic.start(cgroup, namespace));
        // Until it answers, the process may still be the shell that enters the namespace.
        traffic.socket(Traffic.Kind.UDP4).close();
        namespace.run("taskset", "--cpu-list", "--pid", Integer.toString(cpu), Long.toString(traffic.pid()));
        return traffic;
    }

    /** A namespace whose only way leads to the server. */
    Site site(String hint) {
        Namespace namespace = closing.add(Namespace.create("bench-" + hint));
        int number = links++;
        String network = "10.200." + number + ".";
        namespace.link("eth0", server, "veth" + number);
        namespace.address("eth0", network + "2/24");
        server.address("veth" + number, network + "1/24");
        return new Site(namespace, network + "1");
    }

    /** Where clients are. Belongs to the bed. */
    final class Site {
        private final Namespace namespace;
        private final String server;

        private Site(Namespace namespace, String server) {
            this.namespace = namespace;
            this.server = server;
        }

        Namespace namespace() {
            return namespace;
        }

        /** The server's address as this site reaches it. */
        String server() {
            return server;
        }

        /** A client in a new cgroup right below the root. */
        Traffic client() {
            return traffic(Cgroup.create("bench-client"), namespace, 0);
        }

        /** A client in a new cgroup below this one. */
        Traffic client(Cgroup parent) {
            return traffic(parent.child("bench-client"), namespace, 0);
        }
    }

    @Override
    public void close() {
        closing.close();
    }
}
