package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Reach;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** More conversations than there is room or are ports for: those that there are go on, new ones are refused and counted. */
@Tag("kernel")
class FlowPressureTest {
    private static final int PORT = 30080;
    private static final int FLOWS_FULL = 3;
    private static final int NO_PORT = 4;
    private static final int ROOM = 8;
    private static final Client CLIENT = Client.TCP4;

    private TwoNodes nodes;

    @BeforeEach
    void start() {
        nodes = new TwoNodes(Between.ROUTES);
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    private void install(MapSizes sizes, PacketSettings settings) {
        nodes.first().install(sizes, settings);
        nodes.first().put(TwoNodes.service(CLIENT, PORT, Reach.CLUSTER, TwoNodes.backends(CLIENT, ECHO, Place.NEAR)));
    }

    private Socket connect() {
        Socket socket = CLIENT.socket(nodes.outside().traffic());
        socket.connect(Door.NODE_PORT.at(CLIENT, PORT));
        return socket;
    }

    private List<Socket> establish(int count) {
        List<Socket> sockets = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Socket socket = connect();
            socket.transfer(1);
            sockets.add(socket);
        }
        return sockets;
    }

    @Test
    void moreConnectionsThanEntries_leaveTheEstablishedAlone() {
        install(new MapSizes(64, 256, ROOM), TwoNodes.SETTINGS);
        List<Socket> established = establish(ROOM);
        assertThat(nodes.first().drops(FLOWS_FULL)).isZero();
        // The client knows of no refusal until it speaks: the drop is of what would confirm the connection.
        connect().send("hello");
        await().untilAsserted(() -> assertThat(nodes.first().drops(FLOWS_FULL)).isPositive());
        established.forEach(socket -> socket.transfer(100_000));
    }

    @Test
    void withAllPortsInUse_newConnectionsWaitForOne() {
        install(Ground.SIZES, new PacketSettings(40_000, ROOM, false, true, List.of(), true));
        List<Socket> established = establish(ROOM);
        NodeFixture.assertFails("ETIMEDOUT", this::connect);
        assertThat(nodes.first().drops(NO_PORT)).isPositive();
        established.forEach(socket -> socket.transfer(100_000));
        established.removeFirst().close();
        Socket next = connect();
        next.transfer(1);
        established.forEach(socket -> socket.transfer(1));
    }
}
