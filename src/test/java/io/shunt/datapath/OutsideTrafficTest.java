package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.SERVER;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.net.Protocol;
import io.shunt.table.Reach;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.AfterParameterizedClassInvocation;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Clients from elsewhere, by real packets: which backend they reach, and whom it sees. Only the first node has programs. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class OutsideTrafficTest {
    private static final int WITHOUT_BACKEND = 30100;
    private static final int NO_LOCAL_BACKEND = 1;

    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = new TwoNodes(between);
        nodes.first().install();
        for (Client client : TwoNodes.CLIENTS) {
            for (Place place : Place.values()) {
                for (Reach reach : Reach.values()) {
                    nodes.first()
                            .put(TwoNodes.service(
                                    client, port(place, reach), reach, TwoNodes.backends(client, SERVER, place)));
                }
            }
            nodes.first().put(TwoNodes.service(client, WITHOUT_BACKEND, Reach.CLUSTER, List.of()));
        }
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    private static int port(Place place, Reach outsideReach) {
        return 30080 + place.ordinal() * 2 + outsideReach.ordinal();
    }

    static Stream<Arguments> everyWay() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Door.values())
                        .flatMap(door -> Stream.of(Place.values()).map(place -> Arguments.of(client, door, place))));
    }

    @ParameterizedTest
    @MethodSource("everyWay")
    void everyDoor_leadsToABackendAtEveryPlace_whoSeesTheNode(Client client, Door door, Place place) {
        assertThat(client.ask(nodes.outside().traffic(), door.at(client, port(place, Reach.CLUSTER))))
                .isEqualTo(place + "@" + speaker(client, place));
    }

    /** The node's address on the way to the backend. */
    private String speaker(Client client, Place place) {
        return switch (place) {
            case NEAR -> client.either("10.1.0.1", "fd00:1::1");
            // Nothing hides a client from the node itself.
            case NODE -> client.either("192.168.7.9", "fd07::9");
            case FAR ->
                between == Between.VXLAN
                        ? client.either("10.1.0.0", "fd00:1::")
                        : client.either("192.168.7.1", "fd07::1");
            case OTHER_NODE -> client.either("192.168.7.1", "fd07::1");
        };
    }

    static Stream<Arguments> everyWayHere() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Door.NODE_PORT, Door.EXTERNAL_IP, Door.LOAD_BALANCER)
                        .flatMap(door ->
                                Stream.of(Place.NEAR, Place.NODE).map(place -> Arguments.of(client, door, place))));
    }

    @ParameterizedTest
    @MethodSource("everyWayHere")
    void policyLocal_showsTheBackendTheClientsAddress(Client client, Door door, Place place) {
        assertThat(client.ask(nodes.outside().traffic(), door.at(client, port(place, Reach.LOCAL))))
                .isEqualTo(place + "@" + client.either("192.168.7.9", "fd07::9"));
    }

    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void policyLocalWithoutABackendHere_drops(Client client) {
        long before = nodes.first().drops(NO_LOCAL_BACKEND);
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            socket.sendTo(Door.NODE_PORT.at(client, port(Place.FAR, Reach.LOCAL)), "hello");
            await().untilAsserted(() ->
                    assertThat(nodes.first().drops(NO_LOCAL_BACKEND)).isEqualTo(before + 1));
        }
    }

    static Stream<Arguments> everyDoor() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Door.values()).map(door -> Arguments.of(client, door)));
    }

    @ParameterizedTest
    @MethodSource("everyDoor")
    void withoutBackends_theClientIsRefusedAtOnce(Client client, Door door) {
        NodeFixture.assertFails("ECONNREFUSED", () -> {
            try (Socket socket = client.socket(nodes.outside().traffic())) {
                socket.connect(door.at(client, WITHOUT_BACKEND));
                socket.send("hello");
                socket.receive();
            }
        });
    }

    /** Else the tests above would show nothing of the CNI's rules. */
    @Test
    void thePlainWay_goesByTheRulesOfTheCni() {
        nodes.outside().traffic().serve(Protocol.TCP, "192.168.7.9", SERVER, "outside@");
        assertThat(Client.TCP4.ask(nodes.near().traffic(), new Peer("192.168.7.9", SERVER)))
                .isEqualTo("outside@192.168.7.1");
    }

    @Test
    void netfilterSeesNothingOfIt() {
        Namespace node = nodes.first().node().namespace();
        node.run("nft", """
                table inet watch {
                  counter services {}
                  counter others {}
                  chain coming { type filter hook prerouting priority -400; jump count; }
                  chain leaving { type filter hook postrouting priority -400; jump count; }
                  chain count {
                    ip daddr { 10.1.0.2, 10.2.0.2, 192.168.7.2 } th dport 8080 counter name services
                    ip saddr { 10.1.0.2, 10.2.0.2, 192.168.7.2 } th sport 8080 counter name services
                    ip6 daddr { fd00:1::2, fd00:2::2, fd07::2 } th dport 8080 counter name services
                    ip6 saddr { fd00:1::2, fd00:2::2, fd07::2 } th sport 8080 counter name services
                    th dport { 30080, 30082, 30086 } counter name services
                    th sport { 30080, 30082, 30086 } counter name services
                    th dport 9090 counter name others
                  }
                }""");
        try {
            for (Client client : TwoNodes.CLIENTS) {
                for (Door door : Door.values()) {
                    for (Place place : List.of(Place.NEAR, Place.FAR, Place.OTHER_NODE)) {
                        Peer at = door.at(client, port(place, Reach.CLUSTER));
                        assertThat(client.ask(nodes.outside().traffic(), at)).startsWith(place.toString());
                    }
                }
                try (Socket socket = client.socket(nodes.near().traffic())) {
                    Peer echo = new Peer(Place.FAR.address(client), TwoNodes.ECHO);
                    socket.connect(echo);
                    socket.transfer(1);
                }
            }
            assertThat(count(node, "services")).isZero();
            // Or the other would be no surprise.
            assertThat(count(node, "others")).isPositive();
        } finally {
            node.run("nft", "delete", "table", "inet", "watch");
        }
    }

    /** Packets. */
    private static long count(Namespace node, String counter) {
        return node.run("nft", "list", "counter", "inet", "watch", counter).stream()
                .map(String::strip)
                .filter(line -> line.startsWith("packets "))
                .mapToLong(line -> Long.parseLong(line.split(" ")[1]))
                .sum();
    }

    /** Where the client has the same port for both. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void policyLocal_leavesConnectionsToTheBackendItselfAlone(Client client) {
        Namespace outside = nodes.outside().namespace();
        String range =
                outside.run("sysctl", "-n", "net.ipv4.ip_local_port_range").getFirst();
        Peer backend = new Peer(Place.NEAR.address(client), TwoNodes.SERVER);
        outside.ip("route", "add", backend.address(), "via", client.either("192.168.7.1", "fd07::1"));
        outside.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=61500 61500");
        try (Socket byDoor = client.socket(nodes.outside().traffic());
                Socket direct = client.socket(nodes.outside().traffic())) {
            byDoor.connect(Door.NODE_PORT.at(client, port(Place.NEAR, Reach.LOCAL)));
            direct.connect(backend);
            for (Socket socket : List.of(byDoor, direct)) {
                socket.send("hello");
                assertThat(socket.receive()).contains(Place.NEAR.toString());
            }
        } finally {
            outside.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=" + range);
            outside.ip("route", "delete", backend.address());
        }
    }
}
