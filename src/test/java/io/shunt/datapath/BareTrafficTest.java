package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Reach;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Real packets by devices that give them no link-layer header, as tunnels are: a client comes by one, the other node is
 * behind the second, and a virtual machine of this node behind the third. A pod is behind a veth, which has headers.
 */
@Tag("kernel")
class BareTrafficTest {
    private static final int SERVER = 8080;
    private static final int ECHO = 9090;
    private static final int FIRST_PORT = 30_080;
    private static final int FIRST_ECHO_PORT = 30_090;
    private static final int WITHOUT_BACKEND = 30_100;
    private static final int BYTES = 4 << 20;
    private static final List<Client> CLIENTS = List.of(Client.TCP4, Client.TCP6, Client.UDP4, Client.UDP6);
    private static final Closing closing = new Closing();

    private static Traffic outside;
    private static NodePod near;
    private static Traffic machine;
    private static Node node;
    private static Installation installation;

    /** Where a backend is. */
    private enum Place {
        POD("10.1.0.2", "fd00:1::2"),
        MACHINE("10.9.0.77", "fd00:9::77"),
        NODE("192.168.7.1", "fd07::1"),
        OTHER_NODE("192.168.6.2", "fd06::2");

        private final String v4;
        private final String v6;

        Place(String v4, String v6) {
            this.v4 = v4;
            this.v6 = v6;
        }
    }

    @BeforeAll
    static void start() {
        try {
            node = closing.add(new Node(1));
            near = node.pod("near");
            Pod client = pod("outside");
            Pod other = pod("other");
            Pod sandboxed = pod("machine");
            outside = client.traffic();
            machine = sandboxed.traffic();
            join("net", client.namespace());
            join("far", other.namespace());
            join("vm", sandboxed.namespace());
            addresses("net", client.namespace(), "192.168.7.", "fd07::", "9");
            addresses("far", other.namespace(), "192.168.6.", "fd06::", "2");
            Namespace here = node.namespace();
            here.ip("route", "add", "default", "dev", "net");
            here.ip("-6", "route", "add", "default", "dev", "net");
            for (String address : List.of(Place.MACHINE.v4, Place.MACHINE.v6)) {
                here.ip("route", "add", address, "dev", "vm");
                sandboxed.namespace().address("eth0", address + (address.indexOf(':') < 0 ? "/32" : "/128"));
            }
            sandboxed.namespace().ip("route", "add", "default", "dev", "eth0");
            sandboxed.namespace().ip("-6", "route", "add", "default", "dev", "eth0");
            serve(near.traffic(), Place.POD);
            serve(machine, Place.MACHINE);
            serve(node.traffic(), Place.NODE);
            serve(other.traffic(), Place.OTHER_NODE);
            install();
        } catch (RuntimeException | Error e) {
            closing.close();
            throw e;
        }
    }

    private static Pod pod(String hint) {
        return closing.add(new Pod(closing.add(Cgroup.create(hint)), hint));
    }

    /** A device of the node's and its peer's eth0. */
    private static void join(String device, Namespace peer) {
        node.traffic().tun(device, peer, "eth0");
        node.namespace().ip("link", "set", device, "up");
        peer.ip("link", "set", "eth0", "up");
    }

    private static void addresses(String device, Namespace peer, String v4, String v6, String host) {
        node.namespace().address(device, v4 + "1/24");
        node.namespace().address(device, v6 + "1/64");
        peer.address("eth0", v4 + host + "/24");
        peer.address("eth0", v6 + host + "/64");
        peer.ip("route", "add", "default", "dev", "eth0");
        peer.ip("-6", "route", "add", "default", "dev", "eth0");
    }

    private static void serve(Traffic traffic, Place place) {
        for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
            for (String address : List.of(place.v4, place.v6)) {
                traffic.serve(protocol, address, SERVER, place + "@");
                traffic.echo(protocol, address, ECHO);
            }
        }
    }

    private static void install() {
        Ground ground = closing.add(new Ground());
        installation = closing.add(
                ground.install(Ground.SIZES, new Settings(node.traffic().namespaceCookie(), false), TwoNodes.SETTINGS));
        node.namespace().call(() -> {
            try (Rtnetlink kernel = new Rtnetlink()) {
                TwoNodes.follow(installation, kernel);
            }
            return null;
        });
        ground.onControl(() -> {
            installation.datapath().putNodeAddresses(Set.of(Address.of("192.168.7.1"), Address.of("fd07::1")));
            return null;
        });
        for (Client client : CLIENTS) {
            for (Place place : Place.values()) {
                State state = State.of(true, place != Place.OTHER_NODE);
                Address address = Address.of(client.either(place.v4, place.v6));
                ground.put(
                        installation,
                        TwoNodes.service(
                                client, port(place), Reach.CLUSTER, List.of(new Backend(address, SERVER, state))));
                ground.put(
                        installation,
                        TwoNodes.service(
                                client, echoPort(place), Reach.CLUSTER, List.of(new Backend(address, ECHO, state))));
            }
            ground.put(installation, TwoNodes.service(client, WITHOUT_BACKEND, Reach.CLUSTER, List.of()));
        }
    }

    private static int port(Place place) {
        return FIRST_PORT + place.ordinal();
    }

    private static int echoPort(Place place) {
        return FIRST_ECHO_PORT + place.ordinal();
    }

    @AfterAll
    static void stop() {
        closing.close();
    }

    static Stream<Arguments> everyWay() {
        return CLIENTS.stream().flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @Test
    void devicesWithoutHeader_haveProgramsOfTheirOwn() {
        List<DeviceHooks.Attachment> attachments =
                node.namespace().call(() -> installation.packets().attachments());
        assertThat(attachments).allMatch(DeviceHooks.Attachment::isInForce);
        assertThat(attachments.stream()
                        .map(each -> each.device() + " " + each.hook().program()))
                .containsExactlyInAnyOrder(
                        "net from_outside_l3",
                        "net from_host_l3",
                        "far from_outside_l3",
                        "far from_host_l3",
                        "vm from_pod_l3",
                        "vm from_host_l3",
                        "veth2 from_pod",
                        "veth2 from_host");
    }

    @ParameterizedTest
    @MethodSource("everyWay")
    void fromOutside_aNodePortLeadsToEveryPlace(Client client, Place place) {
        String speaker = switch (place) {
            case POD, MACHINE -> client.either("10.1.0.1", "fd00:1::1");
            case NODE -> client.either("192.168.7.9", "fd07::9");
            case OTHER_NODE -> client.either("192.168.6.1", "fd06::1");
        };
        assertThat(client.ask(outside, Door.NODE_PORT.at(client, port(place)))).isEqualTo(place + "@" + speaker);
    }

    @ParameterizedTest
    @MethodSource("everyWay")
    void fromInside_aClusterIpLeadsToEveryPlace(Client client, Place place) {
        List<Traffic> clients = new ArrayList<>(List.of(near.traffic(), machine));
        if (place != Place.NODE) {
            // The kernel takes in nothing that seems to come from the node itself.
            clients.add(node.traffic());
        }
        for (Traffic traffic : clients) {
            assertThat(client.ask(traffic, Door.CLUSTER_IP.at(client, port(place))))
                    .startsWith(place + "@");
        }
    }

    static Stream<Arguments> everyTransfer() {
        return Stream.of(Client.TCP4, Client.TCP6)
                .flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyTransfer")
    void largeTransfers_arriveAsTheyWere(Client client, Place place) {
        try (Socket socket = client.socket(outside)) {
            socket.connect(Door.NODE_PORT.at(client, echoPort(place)));
            socket.transfer(BYTES);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"UDP4_CONNECTED", "UDP6_CONNECTED"})
    void fragments_goTheWayOfTheFirst(Client client) {
        for (Place place : Place.values()) {
            try (Socket socket = client.socket(outside)) {
                socket.connect(Door.NODE_PORT.at(client, echoPort(place)));
                socket.transfer(9_000);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "UDP4_CONNECTED", "UDP6_CONNECTED"})
    void withoutBackends_theClientIsRefusedAtOnce(Client client) {
        for (Traffic traffic : List.of(outside, machine)) {
            NodeFixture.assertFails("ECONNREFUSED", () -> {
                try (Socket socket = client.socket(traffic)) {
                    socket.connect(Door.NODE_PORT.at(client, WITHOUT_BACKEND));
                    socket.send("hello");
                    socket.receive();
                }
            });
        }
    }
}
