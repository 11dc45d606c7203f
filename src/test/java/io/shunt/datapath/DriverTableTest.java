package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.datapath.PacketCheck.Made;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.datapath.PacketLab.Run;
import io.shunt.datapath.PacketTable.Net;
import io.shunt.datapath.PacketTable.Talk;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The {@link PacketTable} with a program at the driver: what comes in from the network meets that one first, and the one at
 * TC gets what it leaves. What becomes of a packet is the same.
 */
@Tag("kernel")
class DriverTableTest {
    /** What the program returns (enum xdp_action in linux/bpf.h). */
    static final int XDP_DROP = 1;

    static final int XDP_PASS = 2;
    static final int XDP_TX = 3;
    static final int XDP_REDIRECT = 4;

    /** How many rows of the table are done with at the driver, of those that come from the network. */
    private static final int AT_LEAST = 30;

    private static PacketLab lab;
    private static int sentOn;
    private static int redirected;

    @BeforeAll
    static void start() {
        lab = PacketLab.accelerated();
    }

    @AfterAll
    static void stop() {
        lab.close();
        // Or the table would not have been held against this program, but against the other one twice.
        assertThat(sentOn).isGreaterThanOrEqualTo(AT_LEAST);
        assertThat(redirected).isPositive();
    }

    static List<PacketCase> cases() {
        return PacketTable.cases().stream()
                .filter(each -> each.hook() == Hook.OUTSIDE || each.in().hasWholeHeader())
                .toList();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void packet(PacketCase each) {
        Installed node = lab.installed(each.settings());
        PacketCheck.check(each, node, (hook, in, isLast) -> see(node, hook, in, isLast));
    }

    /** Or it would do little good: all of a conversation whose backend is on another node. */
    @ParameterizedTest
    @MethodSource("talks")
    void aConversationWithAnotherNode_neverLeavesTheDriver(Talk talk) {
        Installed node = node(talk, talk.far());
        Tuple heard = talk.masqueraded(talk.net().node, talk.net().far);

        assertSentOn(node, Draft.first(talk.asks()), Draft.first(talk.asks()).forwarded(heard), XDP_TX);
        Draft reply = Draft.more(heard.turnedRound());
        assertSentOn(node, reply, reply.forwarded(talk.asks().turnedRound()), XDP_TX);
        assertSentOn(node, Draft.more(talk.asks()), Draft.more(talk.asks()).forwarded(heard), XDP_TX);
        assertThat(node.installation().counters()).containsEntry(node.firstService(), new Installation.Counters(1, 0));
    }

    @ParameterizedTest
    @MethodSource("talks")
    void theWayOutByAnotherDevice_isTakenAtTheDriver(Talk talk) {
        Installed node = node(talk, talk.narrow());
        Tuple heard = talk.masqueraded(talk.net().tunnel, talk.net().narrow);

        assertSentOn(node, Draft.first(talk.asks()), Draft.first(talk.asks()).forwarded(heard), XDP_REDIRECT);
    }

    @ParameterizedTest
    @MethodSource("talks")
    void aConversationThatItsBackendAnswersItself_isLeftToOthers(Talk talk) {
        Access direct = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true);
        Installed node = node(talk, direct, talk.far());

        for (Draft draft : List.of(Draft.first(talk.asks()), Draft.more(talk.asks()))) {
            Packet packet = draft.packet().framed();
            Run run = node.runAtDriver(packet);
            assertThat(run.retval()).isEqualTo(XDP_PASS);
            assertThat(run.out()).hasToString(packet.toString());
            assertThat(see(node, Hook.OUTSIDE, packet, false).verdict()).isEqualTo(Verdict.FORWARD);
        }
        assertThat(node.installation().counters()).containsEntry(node.firstService(), new Installation.Counters(1, 0));
    }

    /** As a veth has them, whose packets never were on a wire. */
    @ParameterizedTest
    @MethodSource("talks")
    void aChecksumThatIsStillToBeFilledIn_isLeftToOthers(Talk talk) {
        Installed node = node(talk, talk.far());
        Packet packet = Draft.first(talk.asks()).packet().framed();
        byte[] bytes = packet.bytes().clone();
        int transport = Packet.ETHERNET + (talk.net().v4() ? 20 : 40);
        int length = bytes.length - transport;
        int at = transport
                + switch (talk.protocol()) {
                    case TCP -> 16;
                    case UDP -> 6;
                    case SCTP -> 8;
                };
        if (talk.protocol() == Protocol.SCTP) {
            Arrays.fill(bytes, at, at + 4, (byte) 0);
        } else {
            byte[] pseudo = Packet.pseudo(
                    packet.source(), packet.destination(), talk.protocol().number(), length);
            int sum = ~Packet.checksum(pseudo);
            bytes[at] = (byte) (sum >> 8);
            bytes[at + 1] = (byte) sum;
        }

        Run run = node.runAtDriver(new Packet(bytes));

        assertThat(run.retval()).isEqualTo(XDP_PASS);
        assertThat(run.out()).hasToString(new Packet(bytes).toString());
        assertThat(node.flow(talk.asks())).isNull();
    }

    static List<Talk> talks() {
        return Arrays.stream(Net.values())
                .flatMap(net -> Arrays.stream(Protocol.values()).map(protocol -> new Talk(net, protocol)))
                .toList();
    }

    private static Installed node(Talk talk, Backend backend) {
        return node(talk, PacketTable.ANYWHERE, backend);
    }

    private static Installed node(Talk talk, Access access, Backend backend) {
        Installed node = lab.installed(PacketCase.settings(false, false, List.of()));
        node.reset();
        node.put(talk.nodePort(access, backend));
        return node;
    }

    private static void assertSentOn(Installed node, Draft in, Draft out, int action) {
        Run run = node.runAtDriver(in.packet().framed());
        assertThat(run.retval()).isEqualTo(action);
        assertThat(run.out())
                .hasToString(out.packet()
                        .to(PacketLab.NEIGHBOUR)
                        .from(PacketLab.DEVICE)
                        .toString());
    }

    private static Made see(Installed node, Hook hook, Packet in, boolean isLast) {
        if (hook != Hook.OUTSIDE) {
            return PacketTableTest.see(node, hook, in, false);
        }
        Run run = node.runAtDriver(in);
        return switch (run.retval()) {
            case XDP_PASS -> {
                assertThat(run.out()).hasToString(in.toString());
                yield in.hasWholeHeader()
                        ? PacketTableTest.see(node, hook, in, false)
                        : new Made(Verdict.PASS, run.out());
            }
            case XDP_DROP -> new Made(Verdict.DROP, run.out());
            case XDP_TX, XDP_REDIRECT -> {
                byte[] bytes = run.out().bytes();
                assertThat(Arrays.copyOf(bytes, 6)).isEqualTo(PacketLab.NEIGHBOUR);
                assertThat(Arrays.copyOfRange(bytes, 6, 12)).isEqualTo(PacketLab.DEVICE);
                sentOn += isLast ? 1 : 0;
                redirected += run.retval() == XDP_REDIRECT ? 1 : 0;
                yield new Made(Verdict.FORWARD, run.out());
            }
            default -> throw new AssertionError("returned " + run.retval());
        };
    }
}
