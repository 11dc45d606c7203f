package io.shunt.datapath;

import static java.lang.foreign.MemoryLayout.PathElement.groupElement;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.TestObject;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Reach;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic.Socket;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Real packets to pods that a node reaches by a pair of veth each, as Calico and others set them up: straight into the pod's
 * namespace where that is a shortcut, and by the pair where not. Clients are another machine and the pods, none of which a
 * socket program sees.
 */
@Tag("kernel")
class ShortcutTrafficTest {
    private static final int SERVER = 8080;
    private static final int ECHO = 9090;
    private static final int PORT = 30_080;
    private static final int ECHO_PORT = 30_090;
    private static final int BYTES = 4 << 20;
    private static final int NETWORK_HEADER = 14;
    private static final Closing closing = new Closing();

    private static Namespace node;
    private static Pod outside;
    private static Pod server;
    private static Pod other;
    private static Installation installation;
    private static MemorySegment sight;

    @BeforeAll
    static void start() {
        try {
            Ground ground = closing.add(new Ground());
            Pod host = closing.add(new Pod(ground.cgroup(), "node"));
            node = host.namespace();
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
            Cgroup elsewhere = closing.add(Cgroup.create("elsewhere"));
            outside = machine(elsewhere, "outside", "eth0", "192.168.7.", "fd07::");
            server = machine(elsewhere, "server", "veth1", "10.1.1.", "fd00:1::");
            other = machine(elsewhere, "other", "veth2", "10.1.2.", "fd00:2::");
            BpfObject witnesses = closing.add(TestObject.loaded("tags"));
            sight = witnesses.map("sights").mmap(closing.add(Arena.ofShared()));
            int end = server.namespace().index("eth0");
            closing.add(server.namespace()
                    .call(() -> BpfLink.create(witnesses.program("witness"), end, AttachType.TCX_INGRESS)));
            installation = closing.add(ground.install(
                    Ground.SIZES, new Settings(host.traffic().namespaceCookie(), false), TwoNodes.SETTINGS));
            follow();
            assertThat(installation.packets().failures()).isEmpty();
            ground.onControl(() -> {
                installation.datapath().putNodeAddresses(Set.of(Address.of("192.168.7.1"), Address.of("fd07::1")));
                return null;
            });
            for (Client client : TwoNodes.CLIENTS) {
                Address address = Address.of(client.either("10.1.1.2", "fd00:1::2"));
                for (int port : List.of(PORT, ECHO_PORT)) {
                    int to = port == PORT ? SERVER : ECHO;
                    ground.put(
                            installation,
                            TwoNodes.service(
                                    client,
                                    port,
                                    Reach.LOCAL,
                                    List.of(new Backend(address, to, State.of(true, true)))));
                    if (port == PORT) {
                        server.traffic().serve(client.protocol(), address.toString(), to, "server@");
                    } else {
                        server.traffic().echo(client.protocol(), address.toString(), to);
                    }
                }
                // From here on the node knows who has the pod's addresses.
                assertThat(ask(outside, client, Door.NODE_PORT.at(client, PORT)))
                        .startsWith("server@");
            }
        } catch (RuntimeException | Error e) {
            closing.close();
            throw e;
        }
    }

    /** Whose eth0 is the other end of a device of the node's; the node is .1 or ::1 there, and it .2 or ::2. */
    private static Pod machine(Cgroup cgroup, String hint, String device, String v4, String v6) {
        Pod machine = closing.add(new Pod(cgroup, hint));
        machine.namespace().link("eth0", node, device);
        node.address(device, v4 + "1/24");
        node.address(device, v6 + "1/64");
        machine.namespace().address("eth0", v4 + "2/24");
        machine.namespace().address("eth0", v6 + "2/64");
        machine.namespace().ip("route", "add", "default", "via", v4 + "1");
        machine.namespace().ip("-6", "route", "add", "default", "via", v6 + "1");
        return machine;
    }

    private static void follow() {
        int network = node.index("eth0");
        List<PacketPrograms.Device> devices = List.of(
                new PacketPrograms.Device(network, "eth0", false, true),
                new PacketPrograms.Device(node.index("veth1"), "veth1", true, true),
                new PacketPrograms.Device(node.index("veth2"), "veth2", true, true));
        node.call(() -> {
            installation
                    .packets()
                    .follow(
                            devices,
                            Map.of(network, new AddressPair(Address.of("192.168.7.1"), Address.of("fd07::1"))));
            return null;
        });
    }

    @BeforeEach
    void cut() {
        setShortcut(true);
    }

    @AfterAll
    static void stop() {
        closing.close();
    }

    private static void setShortcut(boolean isOne) {
        setExit(new Exits.Exit(node.index("veth1"), isOne));
    }

    private static void setExit(Exits.Exit exit) {
        BpfMap exits = installation.packets().map("exits");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(Layouts.EXIT);
            exit.write(value);
            exits.update(arena.allocateFrom(JAVA_INT, node.index("veth1") % exits.maxEntries()), value, BpfMap.ANY);
        }
    }

    private static Set<Exits.Exit> exits() {
        Set<Exits.Exit> found = new HashSet<>();
        installation.packets().map("exits").forEach((key, value) -> found.add(Exits.Exit.read(value)));
        return found;
    }

    private static boolean isShortcut() {
        return exits().contains(new Exits.Exit(node.index("veth1"), true));
    }

    private static String ask(Pod from, Client client, Peer at) {
        return client.ask(from.traffic(), at);
    }

    /** Packets that have gone into the server's pair of veth on the node. */
    private static long sent() {
        return sent("veth1");
    }

    private static long sent(String device) {
        return Long.parseLong(node.run("cat", "/proc/net/dev").stream()
                .map(String::strip)
                .filter(line -> line.startsWith(device + ":"))
                .findFirst()
                .orElseThrow()
                .split("[: ]+")[10]);
    }

    static List<Client> clients() {
        return TwoNodes.CLIENTS;
    }

    @ParameterizedTest
    @MethodSource("clients")
    void whatComesFromOutside_goesStraightIn(Client client) {
        long before = sent();
        assertThat(ask(outside, client, Door.NODE_PORT.at(client, PORT)))
                .isEqualTo("server@" + client.either("192.168.7.2", "fd07::2"));
        assertThat(sent()).isEqualTo(before);
        setShortcut(false);
        assertThat(ask(outside, client, Door.NODE_PORT.at(client, PORT)))
                .isEqualTo("server@" + client.either("192.168.7.2", "fd07::2"));
        assertThat(sent()).isGreaterThan(before);
    }

    @ParameterizedTest
    @MethodSource("clients")
    void whatComesFromAnotherPod_goesStraightIn(Client client) {
        long before = sent();
        assertThat(ask(other, client, Door.CLUSTER_IP.at(client, PORT)))
                .isEqualTo("server@" + client.either("10.1.2.2", "fd00:2::2"));
        assertThat(sent()).isEqualTo(before);
    }

    @ParameterizedTest
    @MethodSource("clients")
    void podThatAsksItself_isAnsweredInTheNodesName(Client client) {
        assertThat(ask(server, client, Door.CLUSTER_IP.at(client, PORT)))
                .isEqualTo("server@" + client.either("10.1.1.1", "fd00:1::1"));
    }

    @ParameterizedTest
    @MethodSource("clients")
    void muchOfIt_comesWhole(Client client) {
        try (Socket socket = client.socket(outside.traffic())) {
            socket.connect(Door.NODE_PORT.at(client, ECHO_PORT));
            socket.transfer(client.protocol() == Protocol.TCP ? BYTES : 1200);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void frame_isToThePodAndFromItsGateway(Client client) {
        int before = sight.get(JAVA_INT, 0);
        try (Socket socket = client.socket(outside.traffic())) {
            socket.connect(Door.NODE_PORT.at(client, ECHO_PORT));
            socket.send("hello-tag!");
            assertThat(socket.receive()).isEqualTo("hello-tag!");
        }
        await().until(() -> sight.get(JAVA_INT, 0) > before);
        assertThat(HexFormat.of()
                        .formatHex(sight.asSlice(16, NETWORK_HEADER - 2).toArray(JAVA_BYTE)))
                .isEqualTo(linkAddress(server.namespace(), "eth0") + linkAddress(node, "veth1"));
    }

    private static String linkAddress(Namespace machine, String device) {
        return macAddress(machine, device).replace(":", "");
    }

    private static String macAddress(Namespace machine, String device) {
        return machine.ip("-o", "link", "show", "dev", device)
                .getLast()
                .split("link/ether ")[1]
                .split(" ")[0];
    }

    @ParameterizedTest
    @MethodSource("clients")
    void podThatNobodyHasSpokenToYet_isFoundByItsAddress(Client client) {
        node.ip("neighbour", "flush", "dev", "veth1");
        assertThat(ask(outside, client, Door.NODE_PORT.at(client, PORT))).startsWith("server@");
    }

    /** What the programs know of a flow's way is forgotten when the daemon looks, which it does when routes change. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void routeThatChanges_isFollowedInTheMiddleOfAConversation(Client client) {
        String pod = client.either("10.1.1.2", "fd00:1::2");
        linkAgain(pod);
        try (Socket socket = client.socket(outside.traffic())) {
            setShortcut(false);
            socket.connect(Door.NODE_PORT.at(client, ECHO_PORT));
            for (int i = 0; i < 20; i++) {
                exchange(socket);
            }
            long before = sent();
            node.ip("route", "add", pod, "dev", "veth3", "metric", "1");
            follow();
            for (int i = 0; i < 20; i++) {
                exchange(socket);
            }
            assertThat(sent("veth3")).isGreaterThanOrEqualTo(20);
            // Neighbours may speak to one another at any time.
            assertThat(sent()).isLessThan(before + 20);
        } finally {
            node.ip("link", "del", "veth3");
            follow();
        }
    }

    /** Nobody tells of a rule: the flow's way is asked for again within a second. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void ruleThatChanges_isFollowedWithinASecondOrTwo(Client client) {
        String pod = client.either("10.1.1.2", "fd00:1::2");
        String family = client.either("-4", "-6");
        linkAgain(pod);
        try (Socket socket = client.socket(outside.traffic())) {
            node.ip(family, "route", "add", pod, "dev", "veth3", "table", "77");
            socket.connect(Door.NODE_PORT.at(client, ECHO_PORT));
            exchange(socket);
            exchange(socket);
            node.ip(family, "rule", "add", "to", pod, "lookup", "77", "priority", "7");
            long before = sent("veth3");
            await().pollInterval(Duration.ofMillis(10)).until(() -> {
                exchange(socket);
                return sent("veth3") > before + 3;
            });
        } finally {
            node.ip(family, "rule", "del", "priority", "7");
            node.ip("link", "del", "veth3");
            follow();
        }
    }

    /** Its frames may begin with something else than Ethernet's header. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void wayByADeviceThatIsNoExit_isNotKept(Client client) {
        try (Socket socket = client.socket(outside.traffic())) {
            socket.connect(Door.NODE_PORT.at(client, ECHO_PORT));
            await().until(() -> {
                exchange(socket);
                return devicesOnTheWay().contains(node.index("veth1"));
            });
            setExit(Exits.Exit.NONE);
            // The way that is known lasts for no more than a second.
            await().until(() -> {
                exchange(socket);
                return !devicesOnTheWay().contains(node.index("veth1"));
            });
            assertThat(devicesOnTheWay()).contains(node.index("eth0"));
        }
    }

    /** A second pair of veth to the server, by which no route leads to it yet. */
    private static void linkAgain(String pod) {
        server.namespace().link("eth1", node, "veth3");
        String mac = macAddress(server.namespace(), "eth1");
        node.ip("neighbour", "add", pod, "dev", "veth3", "lladdr", mac, "nud", "permanent");
    }

    private static Set<Integer> devicesOnTheWay() {
        long seen = Layouts.ROUTED_FLOW.byteOffset(groupElement("flow"), groupElement("seen"));
        long second = Layouts.ROUTED_FLOW.byteOffset(groupElement("way"), groupElement("second"));
        long device = Layouts.ROUTED_FLOW.byteOffset(groupElement("way"), groupElement("device"));
        Set<Integer> devices = new HashSet<>();
        installation.packets().map("flows").forEach((key, value) -> {
            if (value.get(JAVA_INT, second) == value.get(JAVA_INT, seen)) {
                devices.add(value.get(JAVA_INT, device));
            }
        });
        return devices;
    }

    private static void exchange(Socket socket) {
        socket.send("hello");
        assertThat(socket.receive()).isEqualTo("hello");
    }

    /** A real probation: what this daemon says of its devices, it says after that. */
    @Test
    void followedDevice_isAShortcutAfterItsProbation_untilAQueueComes() {
        follow();
        assertThat(isShortcut()).isFalse();
        await().atMost(Shortcuts.PROBATION.plus(Duration.ofSeconds(30)))
                .pollInterval(Duration.ofSeconds(1))
                .until(() -> {
                    follow();
                    return isShortcut();
                });
        long before = sent();
        assertThat(ask(outside, Client.TCP4, Door.NODE_PORT.at(Client.TCP4, PORT)))
                .startsWith("server@");
        assertThat(sent()).isEqualTo(before);
        node.run("tc", "qdisc", "add", "dev", "veth1", "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "1s");
        try {
            follow();
            assertThat(isShortcut()).isFalse();
            assertThat(ask(outside, Client.TCP4, Door.NODE_PORT.at(Client.TCP4, PORT)))
                    .startsWith("server@");
            assertThat(sent()).isGreaterThan(before);
        } finally {
            node.run("tc", "qdisc", "del", "dev", "veth1", "root");
        }
    }
}
