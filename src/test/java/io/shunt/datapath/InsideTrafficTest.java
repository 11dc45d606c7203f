package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.SERVER;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.net.Address;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
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

/** Clients on the node itself that no socket program sees: pods with kernels of their own, and processes of the node. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class InsideTrafficTest {
    private static final int HAIRPIN = 30100;
    private static final int WITHOUT_BACKEND = 30101;
    private static final int NO_SOURCE = 5;

    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = new TwoNodes(between);
        nodes.first().install();
        for (Client client : TwoNodes.CLIENTS) {
            for (Place place : Place.values()) {
                put(client, portOf(place), TwoNodes.backends(client, SERVER, place));
            }
            String itself = sandboxed(client);
            nodes.sandboxed().traffic().serve(client.protocol(), itself, SERVER, "itself@");
            put(client, HAIRPIN, List.of(new Backend(Address.of(itself), SERVER, Backend.State.BOTH)));
            put(client, WITHOUT_BACKEND, List.of());
        }
    }

    private static void put(Client client, int port, List<Backend> backends) {
        nodes.first().put(TwoNodes.service(client, port, Reach.CLUSTER, backends));
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    private static String sandboxed(Client client) {
        return client.either(nodes.sandboxed().v4(), nodes.sandboxed().v6());
    }

    static Stream<Arguments> everyPlace() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client ->
                        Stream.of(Place.NEAR, Place.FAR, Place.NODE).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void aSandboxedPod_reachesClusterIps_inItsOwnName(Client client, Place place) {
        assertThat(client.ask(nodes.sandboxed().traffic(), Door.CLUSTER_IP.at(client, portOf(place))))
                .isEqualTo(place + "@" + sandboxed(client));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void aSandboxedPod_reachesExternalIps_inTheNodesName(Client client, Place place) {
        assertThat(client.ask(nodes.sandboxed().traffic(), Door.EXTERNAL_IP.at(client, portOf(place))))
                .startsWith(place + "@");
    }

    @ParameterizedTest
    @MethodSource("clients")
    void aSandboxedPod_reachesItself(Client client) {
        assertThat(client.ask(nodes.sandboxed().traffic(), Door.CLUSTER_IP.at(client, HAIRPIN)))
                .isEqualTo("itself@" + client.either("10.1.0.1", "fd00:1::1"));
    }

    static List<Client> clients() {
        return TwoNodes.CLIENTS;
    }

    static Stream<Arguments> everyPlaceAndDoor() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Place.NEAR, Place.FAR, Place.OTHER_NODE)
                        .flatMap(place -> Stream.of(Door.CLUSTER_IP, Door.EXTERNAL_IP, Door.LOAD_BALANCER)
                                .map(door -> Arguments.of(client, place, door))));
    }

    @ParameterizedTest
    @MethodSource("everyPlaceAndDoor")
    void theNode_reachesEveryPlaceButItself(Client client, Place place, Door door) {
        assertThat(client.ask(nodes.first().node().traffic(), door.at(client, portOf(place))))
                .isEqualTo(place + "@" + speaker(client, place));
    }

    /** The node's address on the way to the backend, as if it had asked that itself. */
    private String speaker(Client client, Place place) {
        if (place == Place.NEAR) {
            return client.either("10.1.0.1", "fd00:1::1");
        }
        return place == Place.FAR && between == Between.VXLAN
                ? client.either("10.1.0.0", "fd00:1::")
                : client.either("192.168.7.1", "fd07::1");
    }

    /** The kernel takes in no packet by a device that seems to come from the node itself. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void theNodeAskingItself_isDroppedAndCounted(Client client) {
        long before = nodes.first().drops(NO_SOURCE);
        try (Socket socket = client.socket(nodes.first().node().traffic())) {
            socket.sendTo(Door.CLUSTER_IP.at(client, portOf(Place.NODE)), "hello");
            await().untilAsserted(
                            () -> assertThat(nodes.first().drops(NO_SOURCE)).isEqualTo(before + 1));
        }
    }

    @ParameterizedTest
    @MethodSource("clients")
    void withoutBackends_everyoneIsRefusedAtOnce(Client client) {
        for (var traffic :
                List.of(nodes.sandboxed().traffic(), nodes.first().node().traffic())) {
            NodeFixture.assertFails("ECONNREFUSED", () -> {
                try (Socket socket = client.socket(traffic)) {
                    socket.connect(Door.CLUSTER_IP.at(client, WITHOUT_BACKEND));
                    socket.send("hello");
                    socket.receive();
                }
            });
        }
    }
}
