package io.shunt.testbed;

/**
 * A node of a cluster: a network namespace with a bridge, a cgroup above those of its pods, and one process of traffic
 * that uses the node's own network. Node 3 is 10.3.0.1 and fd00:3::1 to its pods, which get the addresses that follow.
 * Closing it closes its pods.
 */
public final class Node implements AutoCloseable {
    private static final String BRIDGE = "cni0";

    private final Closing closing = new Closing();
    private final int number;
    private final Namespace namespace;
    private final Cgroup cgroup;
    private final Traffic traffic;
    private int pods;

    /**
     * @param number 0 to 255, to tell it from the other nodes of the test
     */
    public Node(int number) {
        this.number = number;
        try {
            namespace = closing.add(Namespace.create("node" + number));
            cgroup = closing.add(Cgroup.create("node" + number));
            namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
            namespace.ip("link", "add", BRIDGE, "type", "bridge");
            namespace.ip("link", "set", BRIDGE, "up");
            namespace.address(BRIDGE, v4(1) + "/24");
            namespace.address(BRIDGE, v6(1) + "/64");
            traffic = closing.add(Traffic.start(closing.add(cgroup.child("host")), namespace));
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    /** Starts a pod, which belongs to this node; {@code hint} is its name in `ip netns`. */
    public NodePod pod(String hint) {
        Pod pod = closing.add(new Pod(cgroup, hint));
        int host = ++pods + 1;
        String port = "veth" + host;
        pod.namespace().link("eth0", namespace, port);
        namespace.ip("link", "set", port, "master", BRIDGE);
        pod.namespace().address("eth0", v4(host) + "/24");
        pod.namespace().address("eth0", v6(host) + "/64");
        pod.namespace().ip("route", "add", "default", "via", v4(1));
        pod.namespace().ip("route", "add", "default", "via", v6(1));
        return new NodePod(pod, v4(host), v6(host));
    }

    /** A pod with its addresses on the node's bridge. Belongs to the node. */
    public record NodePod(Pod pod, String v4, String v6) {
        public Traffic traffic() {
            return pod.traffic();
        }

        public Namespace namespace() {
            return pod.namespace();
        }
    }

    private String v4(int host) {
        return "10." + number + ".0." + host;
    }

    private String v6(int host) {
        return "fd00:" + Integer.toHexString(number) + "::" + Integer.toHexString(host);
    }

    public Namespace namespace() {
        return namespace;
    }

    public Cgroup cgroup() {
        return cgroup;
    }

    /** Traffic of the node itself, as of a pod with hostNetwork. */
    public Traffic traffic() {
        return traffic;
    }

    @Override
    public void close() {
        closing.close();
    }
}
