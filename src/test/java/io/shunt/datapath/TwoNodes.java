package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.host.NodeDevices;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/**
 * Two nodes of a cluster, an outside machine and a router on one wire, and behind the router, where packets are smaller,
 * another outside machine. No process is in a cgroup with socket programs: all traffic is the packet programs', on each
 * node from when they are installed there. The nodes have a CNI's rules: only pods are forwarded, what conntrack does not
 * understand is dropped, pods leave the cluster by the name of their node, and who comes has to come by the way back.
 *
 * <p>At every backend address a server answers by TCP and UDP at {@link #SERVER} with the place and whom it has seen, and
 * an echo does at {@link #ECHO}. The outside machine knows no route to any pod, and service addresses by the first node.
 */
final class TwoNodes implements AutoCloseable {
    private static final int FIRST_NODE_PORT = 30_080;

    static final int SERVER = 8080;
    static final int ECHO = 9090;
    /** Of what goes over the link behind the router, in bytes. */
    static final int BEYOND_MTU = 1400;
    /** Clients from outside are told from those inside. */
    static final PacketSettings SETTINGS = new PacketSettings(1024, 28_976, false, true, List.of(), true);

    /** By both families and protocols, without connect() by UDP. */
    static final List<Client> CLIENTS = List.of(Client.TCP4, Client.TCP6, Client.UDP4, Client.UDP6);

    private static final String PODS4 = "{ 10.1.0.0/24, 10.2.0.0/24 }";
    private static final String PODS6 = "{ fd00:1::/64, fd00:2::/64 }";
    private static final List<String> SERVICE_RANGES4 = List.of("198.51.100.0/24", "10.96.0.0/16");
    private static final List<String> SERVICE_RANGES6 = List.of("2001:db8::/64", "fd00:96::/64");

    /** How pods of different nodes reach each other. */
    enum Between {
        /** The node of the other pod is the gateway to it. */
        ROUTES,
        /** By a tunnel, as flannel makes it. */
        VXLAN
    }

    /** An address by which a service is asked, with the port that tells it from others. */
    enum Door {
        NODE_PORT("192.168.7.1", "fd07::1"),
        EXTERNAL_IP("198.51.100.10", "2001:db8::10"),
        LOAD_BALANCER("198.51.100.20", "2001:db8::20"),
        CLUSTER_IP("10.96.0.10", "fd00:96::10");

        private final String v4;
        private final String v6;

        Door(String v4, String v6) {
            this.v4 = v4;
            this.v6 = v6;
        }

        Peer at(Client client, int port) {
            return new Peer(client.either(v4, v6), port);
        }
    }

    /** Where a backend is, seen from the first node. */
    enum Place {
        /** A pod here. */
        NEAR("10.1.0.2", "fd00:1::2"),
        /** A pod on the other node. */
        FAR("10.2.0.2", "fd00:2::2"),
        /** This node itself, as a pod with hostNetwork. */
        NODE("192.168.7.1", "fd07::1"),
        OTHER_NODE("192.168.7.2", "fd07::2");

        private final String v4;
        private final String v6;

        Place(String v4, String v6) {
            this.v4 = v4;
            this.v6 = v6;
        }

        String address(Client client) {
            return client.either(v4, v6);
        }
    }

    private final Closing closing = new Closing();
    private final Namespace wire;
    private final Site first;
    private final Site second;
    private final Pod outside;
    private final Pod beyond;
    private final NodePod near;
    private final NodePod sandboxed;
    private final NodePod far;

    TwoNodes(Between between) {
        try {
            wire = closing.add(Namespace.create("wire"));
            wire.ip("link", "add", "br0", "type", "bridge");
            wire.ip("link", "set", "br0", "up");
            Namespace router = router("router");
            plug(router, 254);
            first = closing.add(new Site(1));
            second = closing.add(new Site(2));
            if (between == Between.VXLAN) {
                first.tunnelTo(second);
                second.tunnelTo(first);
            } else {
                first.routeTo(second);
                second.routeTo(first);
            }
            outside = closing.add(new Pod(closing.add(Cgroup.create("outside")), "outside"));
            plug(outside.namespace(), 9);
            routeServices(outside.namespace());
            routeServices(router);
            beyond = beyond(router);
            near = first.node.pod("near");
            sandboxed = first.node.pod("sandboxed");
            far = second.node.pod("far");
            hurry(outside.namespace(), beyond.namespace(), near.namespace(), sandboxed.namespace(), far.namespace());
            hurry(first.node.namespace(), second.node.namespace());
            serve(near.traffic(), Place.NEAR);
            serve(far.traffic(), Place.FAR);
            serve(first.node.traffic(), Place.NODE);
            serve(second.node.traffic(), Place.OTHER_NODE);
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    private Namespace router(String hint) {
        Namespace router = closing.add(Namespace.create(hint));
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
        return router;
    }

    private void plug(Namespace machine, int host) {
        String port = "p" + host;
        machine.link("eth0", wire, port);
        wire.ip("link", "set", port, "master", "br0");
        machine.address("eth0", v4(host) + "/24");
        machine.address("eth0", v6(host) + "/64");
        if (host != 254) {
            machine.ip("route", "add", "default", "via", v4(254));
            machine.ip("route", "add", "default", "via", v6(254));
        }
    }

    private static String v4(int host) {
        return "192.168.7." + host;
    }

    private static String v6(int host) {
        return "fd07::" + Integer.toHexString(host);
    }

    private static void routeServices(Namespace machine) {
        SERVICE_RANGES4.forEach(range -> machine.ip("route", "add", range, "via", v4(1)));
        SERVICE_RANGES6.forEach(range -> machine.ip("route", "add", range, "via", v6(1)));
    }

    /** Behind two routers, since only who forwards tells that a packet is too big for the link between them. */
    private Pod beyond(Namespace router) {
        Namespace next = router("next");
        Pod machine = closing.add(new Pod(closing.add(Cgroup.create("beyond")), "beyond"));
        router.link("narrow", next, "narrow");
        next.link("eth0", machine.namespace(), "eth0");
        for (Namespace each : List.of(router, next)) {
            each.ip("link", "set", "narrow", "mtu", String.valueOf(BEYOND_MTU));
        }
        router.address("narrow", "192.168.9.1/24");
        router.address("narrow", "fd09::1/64");
        next.address("narrow", "192.168.9.2/24");
        next.address("narrow", "fd09::2/64");
        next.address("eth0", "192.168.8.1/24");
        next.address("eth0", "fd08::1/64");
        machine.namespace().address("eth0", "192.168.8.9/24");
        machine.namespace().address("eth0", "fd08::9/64");
        router.ip("route", "add", "192.168.8.0/24", "via", "192.168.9.2");
        router.ip("route", "add", "fd08::/64", "via", "fd09::2");
        next.ip("route", "add", "default", "via", "192.168.9.1");
        next.ip("route", "add", "default", "via", "fd09::1");
        machine.namespace().ip("route", "add", "default", "via", "192.168.8.1");
        machine.namespace().ip("route", "add", "default", "via", "fd08::1");
        return machine;
    }

    /** Who does not get through is told so soon. */
    private static void hurry(Namespace... clients) {
        for (Namespace client : clients) {
            client.run("sysctl", "-qw", "net.ipv4.tcp_syn_retries=1");
        }
    }

    private static void serve(Traffic traffic, Place place) {
        for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
            for (String address : List.of(place.v4, place.v6)) {
                traffic.serve(protocol, address, SERVER, place + "@");
                traffic.echo(protocol, address, ECHO);
            }
        }
    }

    /** One of the nodes, and what is installed on it. */
    final class Site implements AutoCloseable {
        private final Closing own = new Closing();
        private final int number;
        private final Node node;
        private final Ground ground;
        private Installation installation;

        private Site(int number) {
            this.number = number;
            try {
                node = own.add(new Node(number));
                node.namespace().run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1");
                node.namespace().run("sysctl", "-qw", "net.ipv4.conf.default.rp_filter=1");
                plug(node.namespace(), number);
                node.namespace().run("nft", rules("ip", PODS4, "10." + number + ".0.0/24"));
                node.namespace().run("nft", rules("ip6", PODS6, "fd00:" + number + "::/64"));
                ground = own.add(new Ground());
                own.add(() -> {
                    if (installation != null) {
                        installation.close();
                    }
                });
            } catch (RuntimeException e) {
                throw own.closeAfter(e);
            }
        }

        /** What flannel's and kube-proxy's rules come to, with the policy that a container engine sets. */
        private static String rules(String family, String pods, String here) {
            return """
                    table %1$s cni {
                      chain forward {
                        type filter hook forward priority 0; policy drop;
                        ct state invalid drop
                        %1$s saddr %2$s accept
                        %1$s daddr %2$s accept
                      }
                      chain postrouting {
                        type nat hook postrouting priority 100;
                        %1$s saddr %2$s %1$s daddr %2$s return
                        %1$s saddr %2$s masquerade fully-random
                        %1$s daddr %3$s return
                        %1$s daddr %2$s masquerade fully-random
                      }
                    }""".formatted(family, pods, here);
        }

        private void routeTo(Site other) {
            node.namespace().ip("route", "add", "10." + other.number + ".0.0/24", "via", v4(other.number));
            node.namespace().ip("route", "add", "fd00:" + other.number + "::/64", "via", v6(other.number));
        }

        private void tunnelTo(Site other) {
            Namespace here = node.namespace();
            here.ip(("link add flannel.1 address " + mac(number) + " type vxlan id 1 dstport 8472 nolearning local "
                            + v4(number))
                    .split(" "));
            here.ip("link", "set", "flannel.1", "mtu", "1450", "up");
            here.address("flannel.1", "10." + number + ".0.0/32");
            here.address("flannel.1", "fd00:" + number + "::/128");
            for (String way : List.of("10." + other.number + ".0.0", "fd00:" + other.number + "::")) {
                String length = way.indexOf(':') < 0 ? "/24" : "/64";
                here.ip("route", "add", way + length, "via", way, "dev", "flannel.1", "onlink");
                here.ip("neigh", "add", way, "lladdr", mac(other.number), "dev", "flannel.1");
            }
            here.run("bridge", "fdb", "add", mac(other.number), "dev", "flannel.1", "dst", v4(other.number));
        }

        private static String mac(int number) {
            return "0a:00:00:00:00:0" + number;
        }

        void install() {
            install(Ground.SIZES, SETTINGS);
        }

        /** Installs the programs, or again in the place of those that are there, where the daemon would put them. */
        void install(MapSizes sizes, PacketSettings settings) {
            if (installation != null) {
                installation.close();
            }
            Settings node = new Settings(this.node.traffic().namespaceCookie(), false);
            installation = ground.install(sizes, node, settings);
            this.node.namespace().call(() -> {
                try (Rtnetlink kernel = new Rtnetlink()) {
                    follow(kernel);
                }
                return null;
            });
            assertThat(installation.packets().failures()).isEmpty();
            assertThat(installation.packets().attachments()).allMatch(DeviceHooks.Attachment::isInForce);
        }

        private void follow(Rtnetlink kernel) {
            NodeDevices.Found found = TwoNodes.follow(installation, kernel);
            Set<Address> own = found.sources().values().stream()
                    .flatMap(source -> Stream.of(source.v4(), source.v6()))
                    .filter(Objects::nonNull)
                    .collect(Collectors.toSet());
            ground.onControl(() -> {
                installation.datapath().putNodeAddresses(own);
                return null;
            });
        }

        Node node() {
            return node;
        }

        Installation installation() {
            return installation;
        }

        int put(VirtualService service) {
            return ground.put(installation, service);
        }

        /** Packets dropped for that reason, of enum drop_reason. */
        long drops(int reason) {
            long[] sum = new long[1];
            installation.packets().map("drops").forEach((key, value) -> {
                if (key.get(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "reason")) == reason) {
                    sum[0] += Installation.sumWords(value);
                }
            });
            return sum[0];
        }

        long connections() {
            return installation.counters().values().stream()
                    .mapToLong(Installation.Counters::connections)
                    .sum();
        }

        @Override
        public void close() {
            own.close();
        }
    }

    /** Clients by TCP of both families, with each of these places. */
    static Stream<Arguments> byTcp(Place... places) {
        return Stream.of(Client.TCP4, Client.TCP6)
                .flatMap(client -> Stream.of(places).map(place -> Arguments.of(client, place)));
    }

    /** Sends so many bytes to a place that echoes, and compares what comes back. */
    static void transfer(Traffic traffic, Client client, Door door, Place place, int bytes) {
        try (Socket socket = client.socket(traffic)) {
            socket.connect(door.at(client, portOf(place)));
            socket.transfer(bytes);
        }
    }

    /** Puts the programs to the devices of the network namespace that the thread is in, as the daemon would. */
    static NodeDevices.Found follow(Installation installation, Rtnetlink kernel) {
        NodeDevices.Found found =
                NodeDevices.found().among(kernel.links(), kernel.addresses(), kernel.routes(route -> true));
        installation
                .packets()
                .follow(
                        found.devices().stream()
                                .map(device -> new PacketPrograms.Device(
                                        device.index(),
                                        device.name(),
                                        device.role() == NodeDevices.Role.PODS,
                                        device.isEthernet()))
                                .toList(),
                        found.sources());
        return found;
    }

    /**
     * With the programs on the first node, and behind {@link #portOf} each place a service that leads there.
     *
     * @param target the port of the backends
     */
    static TwoNodes serving(Between between, int target) {
        TwoNodes nodes = new TwoNodes(between);
        try {
            nodes.first.install();
            for (Client client : CLIENTS) {
                for (Place place : Place.values()) {
                    nodes.first.put(service(client, portOf(place), Reach.CLUSTER, backends(client, target, place)));
                }
            }
            return nodes;
        } catch (RuntimeException e) {
            throw nodes.closing.closeAfter(e);
        }
    }

    static int portOf(Place place) {
        return FIRST_NODE_PORT + place.ordinal();
    }

    /** A service at all doors of the first node, open to everyone. */
    static VirtualService service(Client client, int port, Reach outsideReach, List<Backend> backends) {
        Access external = new Access(Reach.CLUSTER, outsideReach, false, true);
        Frontend externalIp = frontend(client, Door.EXTERNAL_IP, port);
        Frontend loadBalancer = frontend(client, Door.LOAD_BALANCER, port);
        Frontend clusterIp = frontend(client, Door.CLUSTER_IP, port);
        return new VirtualService(
                client.protocol() + "-" + client.family() + "-" + port,
                Map.of(
                        client.nodePort(port),
                        external,
                        externalIp,
                        external,
                        loadBalancer,
                        external,
                        clusterIp,
                        Access.OPEN),
                backends,
                List.of(),
                0);
    }

    private static Frontend frontend(Client client, Door door, int port) {
        return client.frontend(door.v4, door.v6, port);
    }

    /** Backends that take new connections. */
    static List<Backend> backends(Client client, int port, Place... places) {
        List<Backend> backends = new ArrayList<>();
        for (Place place : places) {
            boolean local = place == Place.NEAR || place == Place.NODE;
            backends.add(new Backend(Address.of(place.address(client)), port, State.of(true, local)));
        }
        return backends;
    }

    /** What is here to the one is elsewhere to the other. */
    static List<Backend> seenFromSecond(List<Backend> backends) {
        return backends.stream()
                .map(each -> new Backend(
                        each.address(),
                        each.port(),
                        State.of(true, !each.state().takes(Reach.LOCAL))))
                .toList();
    }

    Site first() {
        return first;
    }

    Site second() {
        return second;
    }

    /** On the wire with the nodes: 192.168.7.9 and fd07::9. */
    Pod outside() {
        return outside;
    }

    /** Behind {@link #BEYOND_MTU}: 192.168.8.9 and fd08::9. */
    Pod beyond() {
        return beyond;
    }

    NodePod near() {
        return near;
    }

    /** Another pod of the first node: 10.1.0.3 and fd00:1::3. */
    NodePod sandboxed() {
        return sandboxed;
    }

    NodePod far() {
        return far;
    }

    @Override
    public void close() {
        closing.close();
    }
}
