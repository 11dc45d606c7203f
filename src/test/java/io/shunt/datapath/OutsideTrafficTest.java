package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/**
 * Clients from elsewhere, by real packets: an outside machine and two nodes on one wire, pods behind bridges, and between
 * the nodes host-gateway routes. Only the first node has the programs; the outside machine knows no route to any pod.
 */
@Tag("kernel")
class OutsideTrafficTest {
    private static final int NODE_PORT = 30080;

    private final Closing closing = new Closing();
    private Ground ground;
    private Installation installation;
    private Node first;
    private Pod outside;
    private NodePod near;
    private NodePod far;

    @BeforeEach
    void start() {
        ground = closing.add(new Ground());
        Namespace wire = closing.add(Namespace.create("wire"));
        wire.ip("link", "add", "br0", "type", "bridge");
        wire.ip("link", "set", "br0", "up");
        first = closing.add(new Node(1));
        Node second = closing.add(new Node(2));
        outside = closing.add(new Pod(closing.add(Cgroup.create("outside")), "outside"));
        plug(wire, first.namespace(), "p1", 1);
        plug(wire, second.namespace(), "p2", 2);
        plug(wire, outside.namespace(), "p9", 9);
        first.namespace().ip("route", "add", "10.2.0.0/24", "via", "192.168.7.2");
        first.namespace().ip("route", "add", "fd00:2::/64", "via", "fd07::2");
        second.namespace().ip("route", "add", "10.1.0.0/24", "via", "192.168.7.1");
        second.namespace().ip("route", "add", "fd00:1::/64", "via", "fd07::1");
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
        follow();
    }

    private static void plug(Namespace wire, Namespace machine, String port, int host) {
        machine.link("eth0", wire, port);
        wire.ip("link", "set", port, "master", "br0");
        machine.address("eth0", "192.168.7." + host + "/24");
        machine.address("eth0", "fd07::" + host + "/64");
    }

    /** As the daemon does, which lives in the node's network namespace. */
    private void follow() {
        List<PacketPrograms.Device> devices = List.of(device("eth0", false), device("veth2", true));
        first.namespace().call(() -> {
            installation.packets().follow(devices, Map.of());
            return null;
        });
        assertThat(installation.packets().failures()).isEmpty();
    }

    private PacketPrograms.Device device(String name, boolean leadsInside) {
        return new PacketPrograms.Device(first.namespace().index(name), name, leadsInside, true);
    }

    @AfterEach
    void stop() {
        closing.close();
    }

    private void put(Client client, Reach outsideReach, NodePod... pods) {
        List<Backend> backends = new ArrayList<>();
        for (NodePod pod : pods) {
            backends.add(new Backend(
                    Address.of(client.either(pod.v4(), pod.v6())), 8080, Backend.State.of(true, pod == near)));
        }
        Frontend nodePort = client.nodePort(NODE_PORT);
        ground.put(
                installation,
                new VirtualService(
                        "web",
                        Map.of(nodePort, new Access(Reach.CLUSTER, outsideReach, false, true)),
                        backends,
                        List.of(),
                        0));
    }

    private static Peer nodePort(Client client) {
        return new Peer(client.either("192.168.7.1", "fd07::1"), NODE_PORT);
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*MAPPED.*")
    void aNodePort_leadsToABackendOnThisNode(Client client) {
        put(client, Reach.CLUSTER, near);
        assertThat(client.ask(outside.traffic(), nodePort(client))).isEqualTo("near");
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*MAPPED.*")
    void aNodePort_leadsToABackendOnAnotherNode(Client client) {
        put(client, Reach.CLUSTER, far);
        assertThat(client.ask(outside.traffic(), nodePort(client))).isEqualTo("far");
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*MAPPED.*")
    void policyLocal_staysOnThisNode(Client client) {
        put(client, Reach.LOCAL, near, far);
        for (int i = 0; i < 10; i++) {
            assertThat(client.ask(outside.traffic(), nodePort(client))).isEqualTo("near");
        }
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*MAPPED.*")
    void withoutBackends_theClientIsRefusedAtOnce(Client client) {
        put(client, Reach.CLUSTER);
        NodeFixture.assertFails("ECONNREFUSED", () -> {
            var socket = client.socket(outside.traffic());
            socket.connect(nodePort(client));
            socket.send("hello");
            socket.receive();
        });
    }

    /** Where both have the same port of the client's. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void policyLocal_leavesConnectionsToTheBackendItselfAlone(Client client) {
        outside.namespace().ip("route", "add", "10.1.0.0/24", "via", "192.168.7.1");
        outside.namespace().ip("route", "add", "fd00:1::/64", "via", "fd07::1");
        put(client, Reach.LOCAL, near);
        outside.namespace().run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40000");
        Peer backend = new Peer(client.either(near.v4(), near.v6()), 8080);
        List<Traffic.Socket> open = new ArrayList<>();
        for (Peer peer : List.of(nodePort(client), backend)) {
            Traffic.Socket socket = client.socket(outside.traffic());
            socket.connect(peer);
            open.add(socket);
        }
        for (Traffic.Socket socket : open) {
            socket.send("hello");
            assertThat(socket.receive()).contains("near");
        }
    }
}
