package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static io.shunt.datapath.TwoNodes.SERVER;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Reach;
import io.shunt.testbed.Datagram;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Conversations that outlive programs and changes of the service. */
@Tag("kernel")
class LongLivedFlowTest {
    private static final int STREAM = 30080;
    private static final int NAMED = 30081;

    private static TwoNodes nodes;

    @BeforeAll
    static void start() {
        nodes = new TwoNodes(Between.VXLAN);
        nodes.first().install();
    }

    @AfterAll
    static void stop() {
        nodes.close();
    }

    private static void put(Client client, int port, int backendPort, Place... places) {
        put(client, port, TwoNodes.backends(client, backendPort, places));
    }

    private static void put(Client client, int port, List<Backend> backends) {
        nodes.first().put(TwoNodes.service(client, port, Reach.CLUSTER, backends));
    }

    private static Socket connect(Client client, int port) {
        Socket socket = client.socket(nodes.outside().traffic());
        socket.connect(Door.NODE_PORT.at(client, port));
        return socket;
    }

    static Stream<Arguments> everyPlace() {
        return Stream.of(Client.TCP4, Client.TCP6, Client.UDP4_CONNECTED, Client.UDP6_CONNECTED)
                .flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void programsAreSwapped_andConversationsGoOn(Client client, Place place) {
        put(client, STREAM, ECHO, place);
        try (Socket socket = connect(client, STREAM)) {
            socket.transfer(1_000);
            nodes.first().install();
            socket.transfer(1_000);
            put(client, STREAM, ECHO, place);
            long connections = nodes.first().connections();
            socket.transfer(1_000);
            assertThat(nodes.first().connections()).isEqualTo(connections);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "UDP4_CONNECTED", "UDP6_CONNECTED"})
    void aBackendThatDrains_keepsItsConversations_andGetsNoNewOnes(Client client) {
        put(client, STREAM, ECHO, Place.NEAR);
        put(client, NAMED, SERVER, Place.NEAR);
        try (Socket socket = connect(client, STREAM)) {
            socket.transfer(1_000);
            for (int port : List.of(STREAM, NAMED)) {
                int backendPort = port == STREAM ? ECHO : SERVER;
                Backend draining =
                        TwoNodes.backends(client, backendPort, Place.NEAR).getFirst();
                put(
                        client,
                        port,
                        List.of(
                                new Backend(draining.address(), draining.port(), State.DRAINING),
                                TwoNodes.backends(client, backendPort, Place.FAR)
                                        .getFirst()));
            }
            long connections = nodes.first().connections();
            socket.transfer(1_000);
            assertThat(nodes.first().connections()).isEqualTo(connections);
            assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, NAMED)))
                    .startsWith("FAR@");
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void aBackendThatIsGone_keepsItsConnections_andGetsNoNewOnes(Client client) {
        put(client, STREAM, ECHO, Place.NEAR);
        put(client, NAMED, SERVER, Place.NEAR);
        try (Socket socket = connect(client, STREAM)) {
            socket.transfer(1_000);
            put(client, STREAM, ECHO, Place.FAR);
            put(client, NAMED, SERVER, Place.FAR);
            socket.transfer(1_000);
            assertThat(client.ask(nodes.outside().traffic(), Door.NODE_PORT.at(client, NAMED)))
                    .startsWith("FAR@");
        }
    }

    /** By UDP nothing tells a client that its server is gone. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void datagramsToABackendThatIsGone_goToAnother(Client client) {
        put(client, NAMED, SERVER, Place.NEAR);
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            assertThat(client.ask(socket, Door.NODE_PORT.at(client, NAMED))).startsWith("NEAR@");
            put(client, NAMED, SERVER, Place.FAR);
            socket.sendTo(Door.NODE_PORT.at(client, NAMED), "hello");
            Datagram reply = socket.receiveFrom();
            assertThat(reply.text()).startsWith("FAR@");
            assertThat(reply.from()).isEqualTo(Door.NODE_PORT.at(client, NAMED));
        }
    }
}
