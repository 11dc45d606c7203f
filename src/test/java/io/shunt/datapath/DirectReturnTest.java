package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static io.shunt.datapath.TwoNodes.SERVER;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.libbpf.Offloads;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.AfterParameterizedClassInvocation;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Direct server return by real packets: a client asks the first of two nodes, both with the programs, and the backend's answers it. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class DirectReturnTest {
    private static final Access DIRECT = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true);

    /** Behind {@link TwoNodes#portOf} plus this each place echoes. */
    private static final int ECHOES = 100;

    /** Its backend is another one in each test. */
    private static final int CHANGING = 31_000;

    private static final int BYTES = 8 << 20;

    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = new TwoNodes(between);
        nodes.first().install();
        nodes.second().install();
        for (Client client : TwoNodes.CLIENTS) {
            for (Place place : Place.values()) {
                put(client, portOf(place), TwoNodes.backends(client, SERVER, place));
                put(client, portOf(place) + ECHOES, TwoNodes.backends(client, ECHO, place));
            }
        }
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    private static void put(Client client, int port, List<Backend> backends) {
        nodes.first().put(service(client, port, backends));
        nodes.second().put(service(client, port, TwoNodes.seenFromSecond(backends)));
    }

    private static VirtualService service(Client client, int port, List<Backend> backends) {
        return new VirtualService(
                client.protocol() + "-" + client.family() + "-" + port,
                Map.of(client.nodePort(port), DIRECT, client.frontend("198.51.100.10", "2001:db8::10", port), DIRECT),
                backends,
                List.of(),
                0);
    }

    static Stream<Arguments> everyPlace() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void everyBackend_hearsTheClientItself(Client client, Place place) {
        for (Door door : List.of(Door.NODE_PORT, Door.EXTERNAL_IP)) {
            // Of a connection that is known, too.
            for (int i = 0; i < 2; i++) {
                assertThat(client.ask(nodes.outside().traffic(), door.at(client, portOf(place))))
                        .isEqualTo(place + "@" + client.either("192.168.7.9", "fd07::9"));
            }
            assertThat(client.ask(nodes.beyond().traffic(), door.at(client, portOf(place))))
                    .isEqualTo(place + "@" + client.either("192.168.8.9", "fd08::9"));
        }
    }

    static Stream<Client> clients() {
        return TwoNodes.CLIENTS.stream();
    }

    @ParameterizedTest
    @MethodSource("clients")
    void backendThatHasLeft_isNotAskedAgain(Client client) {
        put(client, CHANGING, TwoNodes.backends(client, SERVER, Place.FAR));
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            assertThat(client.ask(socket, Door.NODE_PORT.at(client, CHANGING))).startsWith("FAR@");
        }
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            assertThat(client.ask(socket, Door.NODE_PORT.at(client, CHANGING))).startsWith("FAR@");
            put(client, CHANGING, TwoNodes.backends(client, SERVER, Place.OTHER_NODE));
            if (client == Client.UDP4 || client == Client.UDP6) {
                assertThat(client.ask(socket, Door.NODE_PORT.at(client, CHANGING)))
                        .startsWith("OTHER_NODE@");
            }
        }
        assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, CHANGING)))
                .startsWith("OTHER_NODE@");
    }

    /** The first node has not heard yet. */
    @ParameterizedTest
    @MethodSource("clients")
    void backendThatDrains_isReachedByWhoeverIsSentThere(Client client) {
        List<Backend> far = TwoNodes.backends(client, SERVER, Place.FAR);
        put(client, CHANGING, far);
        nodes.second()
                .put(service(client, CHANGING, List.of(new Backend(far.get(0).address(), SERVER, State.DRAINING))));
        assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, CHANGING)))
                .startsWith("FAR@");
    }

    static Stream<Arguments> everyTransfer() {
        return TwoNodes.byTcp(Place.values());
    }

    @ParameterizedTest
    @MethodSource("everyTransfer")
    void largeTransfers_goThereByOneNodeAndStraightBack(Client client, Place place) {
        long before = sent();
        transfer(nodes.outside(), client, place);
        if (place == Place.FAR || place == Place.OTHER_NODE) {
            // Once all bytes, what acknowledges them, and what was sent again; not those that come back.
            assertThat(sent() - before).isBetween((long) BYTES, BYTES * 19L / 10);
        }
    }

    /** Bytes that the first node has put on the wire. */
    private static long sent() {
        return nodes.first().node().namespace().run("cat", "/proc/net/dev").stream()
                .map(line -> line.strip().split("[:\\s]+"))
                .filter(words -> words[0].equals("eth0"))
                .mapToLong(words -> Long.parseLong(words[9]))
                .sum();
    }

    /** A router says so to the node that the client asked, which does not send what is too big. */
    @ParameterizedTest
    @MethodSource("everyTransfer")
    void largeTransfers_arriveWhereTheWayToTheClientIsNarrow(Client client, Place place) {
        transfer(nodes.beyond(), client, place);
    }

    /** Only the backend's node knows, and the client has to hear it. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void largeTransfers_arriveWhereTheWayToThePodIsNarrow(Client client) {
        nodes.second().node().namespace().ip("link", "set", "cni0", "mtu", "1300");
        try {
            transfer(nodes.outside(), client, Place.FAR);
        } finally {
            nodes.second().node().namespace().ip("link", "set", "cni0", "mtu", "1500");
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP6", "UDP6"})
    void aWayTooNarrowForPacketsWithinOthers_hidesTheClientInstead(Client client) {
        Namespace first = nodes.first().node().namespace();
        String device = between == Between.VXLAN ? "flannel.1" : "eth0";
        long before = nodes.first().installation().packets().narrowTunnels();
        first.ip("link", "set", device, "mtu", "1319");
        try {
            assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, portOf(Place.FAR))))
                    .isEqualTo("FAR@" + (between == Between.VXLAN ? "fd00:1::" : "fd07::1"));
            assertThat(nodes.first().installation().packets().narrowTunnels()).isEqualTo(before + 1);
            first.ip("link", "set", device, "mtu", "1320");
            assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, portOf(Place.FAR))))
                    .isEqualTo("FAR@fd07::9");
            assertThat(nodes.first().installation().packets().narrowTunnels()).isEqualTo(before + 1);
        } finally {
            first.ip("link", "set", device, "mtu", between == Between.VXLAN ? "1450" : "1500");
        }
    }

    /** As on real wires: what has been joined is cut when it is within another packet, or when it is so no more. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void largeTransfers_arriveWhereDevicesDoNotCut(Client client) {
        transfer(client, nodes.first(), between == Between.VXLAN ? "flannel.1" : "eth0");
        transfer(client, nodes.second(), "veth2");
    }

    private static void transfer(Client client, TwoNodes.Site without, String device) {
        Namespace node = without.node().namespace();
        offload(node, device, Offloads::sumUp);
        try {
            transfer(nodes.outside(), client, Place.FAR);
        } finally {
            offload(node, device, Offloads::leaveToDevice);
        }
    }

    private static void offload(Namespace node, String device, Consumer<String> state) {
        node.call(() -> {
            state.accept(device);
            return null;
        });
    }

    private static void transfer(Pod from, Client client, Place place) {
        try (Socket socket = client.socket(from.traffic())) {
            socket.connect(Door.NODE_PORT.at(client, portOf(place) + ECHOES));
            socket.transfer(BYTES);
        }
    }

    /** Longer than one packet, so the first ones do not fit until the client has heard how much does. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4_CONNECTED", "UDP6_CONNECTED"})
    void largeDatagrams_arriveOnceTheClientKnowsHowMuchFits(Client client) {
        for (Place place : Place.values()) {
            try (Socket socket = client.socket(nodes.outside().traffic())) {
                socket.connect(Door.NODE_PORT.at(client, portOf(place) + ECHOES));
                await().ignoreExceptionsInstanceOf(CallFailedException.class)
                        .untilAsserted(() -> socket.transfer(9_000));
            }
        }
    }

    /** Two hops from the client to the backend's node. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4_CONNECTED", "UDP6_CONNECTED"})
    void packetsThatMayGoNoFurther_areToldByTheBackendsNode(Client client) {
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            socket.hops(2);
            socket.connect(Door.NODE_PORT.at(client, portOf(Place.FAR)));
            socket.send("hello");
            assertThatExceptionOfType(CallFailedException.class)
                    .isThrownBy(socket::receive)
                    .extracting(CallFailedException::errno)
                    .isEqualTo("EHOSTUNREACH");
        }
    }
}
