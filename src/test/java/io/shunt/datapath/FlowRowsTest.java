package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Who is pushed out of a full row of new flows. All clients here have chosen their ports so that they meet in one. */
@Tag("kernel")
class FlowRowsTest {
    private static final int ROW = Layouts.ROW_FLOWS;
    private static final Frontend SERVICE = new Frontend(Address.of("10.96.0.1"), 80, Protocol.TCP);

    private PacketLab lab;
    private Installed node;
    private List<Tuple> clients;

    @BeforeEach
    void start() {
        lab = new PacketLab();
        node = lab.installed(new PacketSettings(1024, 28_976, false, false, List.of(), true));
        node.reset();
        node.put(new VirtualService(
                "web", List.of(SERVICE), List.of(new Backend(Address.of("10.1.0.2"), 8080, Backend.State.CLUSTER, 1))));
        int row = node.row(client(0));
        clients = IntStream.iterate(0, i -> i + 1)
                .mapToObj(FlowRowsTest::client)
                .filter(each -> node.row(each) == row)
                .limit(2 * ROW + 1)
                .toList();
    }

    @AfterEach
    void stop() {
        lab.close();
    }

    /** Few of them have the same port, so their replies stand in rows of their own. */
    private static Tuple client(int number) {
        return new Tuple(
                Address.of("198.18.%d.%d".formatted(number >> 16, number >> 8 & 255)),
                1024 + (number * 7919 & 0x7fff),
                SERVICE.address(),
                SERVICE.port(),
                SERVICE.protocol());
    }

    private void begin(int from, int to) {
        clients.subList(from, to).forEach(each -> say(each, Packet.TCP_SYN));
    }

    private void breakOff(int from, int to) {
        clients.subList(from, to).forEach(each -> say(each, Packet.TCP_RST));
    }

    private void say(Tuple client, int flags) {
        node.run(
                Hook.OUTSIDE,
                Packet.tcp(client, flags, 64, "").to(PacketLab.DEVICE).from(PacketLab.SENDER),
                false);
    }

    private List<Integer> known() {
        return IntStream.range(0, clients.size())
                .filter(i -> node.flow(clients.get(i)) != null)
                .boxed()
                .toList();
    }

    private static Integer[] range(int from, int to) {
        return IntStream.range(from, to).boxed().toArray(Integer[]::new);
    }

    @Test
    void fullRow_losesWhoHasStoodThereForLongest() {
        begin(0, ROW);
        assertThat(node.evicted()).isZero();
        assertThat(known()).containsExactly(range(0, ROW));
        begin(ROW, ROW + 3);
        assertThat(node.evicted()).isEqualTo(3);
        assertThat(known()).containsExactly(range(3, ROW + 3));
    }

    @Test
    void whoSaysHisFirstPacketAgain_pushesOutNobody() {
        begin(0, ROW);
        begin(0, ROW);
        assertThat(node.evicted()).isZero();
        assertThat(known()).containsExactly(range(0, ROW));
    }

    @Test
    void whereMostAreOver_theyGoFirst_andAreNotCounted() {
        begin(0, ROW);
        breakOff(ROW / 2, ROW);
        begin(ROW, ROW + 1);
        assertThat(known()).containsExactly(0, 1, 2, 3, 5, 6, 7, 8);
        assertThat(node.evicted()).isZero();
    }

    /** As in a flood of first packets: last acknowledgements find their flow for as long as first answers do. */
    @Test
    void whereFewAreOver_theyHaveAsMuchTimeAsTheOthers() {
        begin(0, ROW);
        breakOff(ROW - 3, ROW);
        begin(ROW, ROW + 5);
        assertThat(known()).containsExactly(range(5, ROW + 5));
        assertThat(node.evicted()).isEqualTo(5);
        begin(ROW + 5, ROW + 8);
        assertThat(known()).containsExactly(range(ROW, ROW + 8));
        assertThat(node.evicted()).as("those that were over do not count").isEqualTo(5);
    }

    /** As of a stream of datagrams that nobody answers, or a connection of which only one side is seen, and is closed. */
    @Test
    void flowInUse_staysForAnotherRound() {
        begin(0, ROW);
        begin(2, 3);
        begin(ROW, ROW + 7);
        assertThat(known()).containsExactly(2, 8, 9, 10, 11, 12, 13, 14);
        begin(ROW + 7, ROW + 9);
        assertThat(known()).containsExactly(2, 10, 11, 12, 13, 14, 15, 16);
        assertThat(node.evicted()).isEqualTo(9);
    }

    @Test
    void placeThatIsFreeAgain_isTakenBeforeAnybodyIsPushedOut() {
        begin(0, ROW);
        node.forget(clients.get(5));
        begin(ROW, ROW + 1);
        assertThat(known()).containsExactly(0, 1, 2, 3, 4, 6, 7, 8);
        assertThat(node.evicted()).isZero();
    }
}
