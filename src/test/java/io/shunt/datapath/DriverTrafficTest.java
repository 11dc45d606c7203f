package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.Offloads;
import io.shunt.libbpf.TestObject;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * As {@link OutsideTrafficTest}, with programs at the driver of the first node's device. Nobody but that one translates
 * where a test has taken the others away.
 */
@Tag("kernel")
class DriverTrafficTest {
    private static final int NODE_PORT = 30080;

    private final Closing closing = new Closing();
    private Ground ground;
    private Installation installation;
    private Namespace wire;
    private Node first;
    private Pod outside;
    private NodePod near;
    private NodePod far;

    @BeforeEach
    void start() {
        ground = closing.add(new Ground());
        wire = closing.add(Namespace.create("wire"));
        wire.ip("link", "add", "br0", "type", "bridge");
        wire.ip("link", "set", "br0", "up");
        first = closing.add(new Node(1));
        Node second = closing.add(new Node(2));
        outside = closing.add(new Pod(closing.add(Cgroup.create("outside")), "outside"));
        plug(first.namespace(), "p1", 1);
        plug(second.namespace(), "p2", 2);
        plug(outside.namespace(), "p9", 9);
        first.namespace().ip("route", "add", "10.2.0.0/24", "via", "192.168.7.2");
        first.namespace().ip("route", "add", "fd00:2::/64", "via", "fd07::2");
        for (int host : List.of(2, 9)) {
            for (String address : List.of("192.168.7." + host, "fd07::" + host)) {
                first.namespace()
                        .ip("neighbour", "add", address, "lladdr", mac(host), "dev", "eth0", "nud", "permanent");
            }
        }
        near = first.pod("near");
        far = second.pod("far");
        for (NodePod pod : List.of(near, far)) {
            for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
                pod.traffic().serve(protocol, pod.v4(), 8080, pod == near ? "near" : "far");
                pod.traffic().serve(protocol, pod.v6(), 8080, pod == near ? "near" : "far");
            }
        }
        installation = ground.add(ground.install(new Settings(first.traffic().namespaceCookie(), false)));
        ground.onControl(() -> {
            installation.datapath().putNodeAddresses(Set.of(Address.of("192.168.7.1"), Address.of("fd07::1")));
            return null;
        });
        // A veth takes frames from a driver only if there is a program at the other end, too.
        BpfObject frames = closing.add(TestObject.loaded("frames"));
        int port = wire.index("p1");
        closing.add(wire.call(() -> BpfLink.create(frames.program("pass"), port, AttachType.XDP, BpfLink.XDP_NATIVE)));
    }

    private static String mac(int host) {
        return "02:00:00:00:07:0" + host;
    }

    private void plug(Namespace machine, String port, int host) {
        machine.link("eth0", wire, port);
        machine.ip("link", "set", "eth0", "address", mac(host));
        wire.ip("link", "set", port, "master", "br0");
        machine.address("eth0", "192.168.7." + host + "/24");
        machine.address("eth0", "fd07::" + host + "/64");
    }

    @AfterEach
    void stop() {
        closing.close();
    }

    static Stream<Arguments> clients() {
        return Stream.of(Acceleration.NATIVE, Acceleration.GENERIC)
                .flatMap(mode -> Stream.of(Client.TCP4, Client.TCP6, Client.UDP4, Client.UDP6)
                        .map(client -> Arguments.of(mode, client)));
    }

    private void accelerate(Acceleration mode) {
        installation.accelerate(mode, Ground.PACKETS);
        follow();
        assertThat(installation.packets().failures()).isEmpty();
    }

    private void follow() {
        List<PacketPrograms.Device> devices = List.of(device("eth0", false), device("veth2", true));
        first.namespace().call(() -> {
            installation.packets().follow(devices, Map.of());
            return null;
        });
    }

    private PacketPrograms.Device device(String name, boolean leadsInside) {
        return new PacketPrograms.Device(first.namespace().index(name), name, leadsInside, true);
    }

    /** As real devices send it; else what comes from this machine has no checksums yet. */
    private void sumUp() {
        wire.call(() -> {
            Offloads.sumUp("p1");
            return null;
        });
    }

    /** Leaves the packets of the device to the driver alone. */
    private void takeAwayTheOthers() {
        for (String program : List.of("from_outside@eth0", "from_host@eth0")) {
            try (BpfLink link =
                    BpfLink.openPinned(ground.pins().path().resolve("links").resolve(program))) {
                link.detach();
            }
        }
    }

    private int put(Client client, NodePod... pods) {
        return ground.put(
                installation,
                new VirtualService(
                        "web",
                        Map.of(client.nodePort(NODE_PORT), new Access(Reach.CLUSTER, Reach.CLUSTER, false, true)),
                        Stream.of(pods)
                                .map(pod -> new Backend(
                                        Address.of(client.either(pod.v4(), pod.v6())),
                                        8080,
                                        Backend.State.of(true, pod == near)))
                                .toList(),
                        List.of(),
                        0));
    }

    private String ask(Client client) {
        return client.ask(outside.traffic(), new Peer(client.either("192.168.7.1", "fd07::1"), NODE_PORT));
    }

    private int entries() {
        AtomicInteger confirmed = new AtomicInteger();
        installation.packets().map("flows").forEach((key, value) -> confirmed.incrementAndGet());
        return confirmed.get() + new NewFlows(installation.packets().map("flows_new")).count();
    }

    @ParameterizedTest
    @MethodSource("clients")
    void theDriverAlone_leadsToABackendOnAnotherNode(Acceleration mode, Client client) {
        int id = put(client, far);
        accelerate(mode);
        sumUp();
        takeAwayTheOthers();

        assertThat(ask(client)).isEqualTo("far");

        assertThat(installation.counters()).containsEntry(id, new Installation.Counters(1, 0));
        // Where the last acknowledgement moves it to, it is in both maps for a moment.
        await().untilAsserted(() -> assertThat(entries()).isEqualTo(2));
    }

    @ParameterizedTest
    @MethodSource("clients")
    void whatTheDriverCannotDo_theOthersDo(Acceleration mode, Client client) {
        int id = put(client, near);
        accelerate(mode);
        sumUp();

        assertThat(ask(client)).isEqualTo("near");

        assertThat(installation.counters()).containsEntry(id, new Installation.Counters(1, 0));
    }

    @ParameterizedTest
    @MethodSource("clients")
    void packetsWithoutTheirChecksum_areLeftToTheOthers(Acceleration mode, Client client) {
        put(client, far);
        accelerate(mode);

        assertThat(ask(client)).isEqualTo("far");
    }
}
