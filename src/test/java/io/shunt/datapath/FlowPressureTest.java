package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Reach;
import io.shunt.testbed.Load;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
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

    /** Here nobody answers, not even that nobody is there. */
    private static final int SILENT = 30081;

    private static final int SILENT_TARGET = 9;

    /** Half of what there is room for: enough that some rows of the smallest table are full. */
    private static final int AS_MANY_AS_FIT = 8_000;

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

    private void installSilent() {
        nodes.near()
                .namespace()
                .run(
                        "nft",
                        "add table ip silent; add chain ip silent input { type filter hook input priority 0; };"
                                + " add rule ip silent input tcp dport " + SILENT_TARGET + " drop");
        nodes.first()
                .put(TwoNodes.service(
                        CLIENT, SILENT, Reach.CLUSTER, TwoNodes.backends(CLIENT, SILENT_TARGET, Place.NEAR)));
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

    /** Each conversation has two entries: confirmed, unconfirmed, or pushed out. */
    @Test
    void firstPacketsBeyondTheRoom_pushOutTheirLike_andThatIsCounted() {
        install(Ground.SIZES, TwoNodes.SETTINGS);
        installSilent();
        Traffic outside = nodes.outside().traffic();
        Peer silent = Door.NODE_PORT.at(CLIENT, SILENT);
        try (Sweep sweep = Sweep.load(nodes.first().installation().packets().maps(), FlowTimeouts.USUAL)) {
            sweep.run();
            List<Socket> established = establish(2 * ROOM);
            outside.flood(silent, 1000);
            await().untilAsserted(() -> assertThat(nodes.first().connections()).isGreaterThanOrEqualTo(2 * ROOM + 990));
            sweep.run();
            assertThat(sweep.flows().evicted()).as("while there is room").isZero();
            outside.flood(silent, 30_000);
            await().untilAsserted(() -> {
                sweep.run();
                long gone = 2 * nodes.first().connections() - confirmed();
                assertThat(sweep.flows().evicted())
                        .isEqualTo((gone - unconfirmed()) / 2)
                        .isGreaterThan(10_000);
            });
            established.forEach(socket -> socket.transfer(100_000));
            Sweep.Flows before = sweep.flows();
            sweep.run();
            assertThat(sweep.flows()).as("nobody new has come").isEqualTo(before);
        }
        try (Sweep next = Sweep.load(nodes.first().installation().packets().maps(), FlowTimeouts.USUAL)) {
            next.run();
            assertThat(next.flows().evicted()).as("before it began").isZero();
            outside.flood(silent, 1000);
            await().untilAsserted(() -> {
                next.run();
                // A few rows still have room.
                assertThat(next.flows().evicted()).isBetween(900L, 1000L);
            });
        }
    }

    /** What is over takes no room from what begins: not one of them had to say anything twice. */
    @Test
    void connectionsThatComeAndGo_pushOutOnlyThoseThatAreOver() {
        install(Ground.SIZES, TwoNodes.SETTINGS);
        Peer service = Door.NODE_PORT.at(CLIENT, PORT);
        try (Sweep sweep = Sweep.load(nodes.first().installation().packets().maps(), FlowTimeouts.USUAL)) {
            CompletableFuture<Load> load = CompletableFuture.supplyAsync(() -> nodes.outside()
                    .traffic()
                    .load(Load.Kind.CONNECT, service.address(), service.port(), AS_MANY_AS_FIT, 2));
            assertThat(load.join().ok()).isEqualTo(AS_MANY_AS_FIT);
            sweep.run();
            assertThat(sweep.flows().evicted()).isZero();
        }
    }

    private long confirmed() {
        long[] entries = new long[1];
        nodes.first().installation().packets().map("flows").forEach((key, value) -> entries[0]++);
        return entries[0];
    }

    private long unconfirmed() {
        return new NewFlows(nodes.first().installation().packets().map("flows_new")).count();
    }
}
