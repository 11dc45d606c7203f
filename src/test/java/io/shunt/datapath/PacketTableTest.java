package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Event;
import io.shunt.datapath.PacketCase.Forgotten;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Known;
import io.shunt.datapath.PacketCase.Put;
import io.shunt.datapath.PacketCase.Sent;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.datapath.PacketLab.Flow;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.datapath.PacketLab.Run;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Errno;
import io.shunt.net.Protocol;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The {@link PacketTable} at TC. */
@Tag("kernel")
class PacketTableTest {
    /** What the programs return (linux/pkt_cls.h). */
    private static final int TC_ACT_UNSPEC = -1;

    private static final int TC_ACT_SHOT = 2;
    private static final int TC_ACT_REDIRECT = 7;

    private static PacketLab lab;

    @BeforeAll
    static void start() {
        lab = new PacketLab();
    }

    @AfterAll
    static void stop() {
        lab.close();
    }

    /** Where a packet is for TC, the kernel has read a whole IP header. */
    static List<PacketCase> cases() {
        return PacketTable.cases().stream()
                .filter(each -> each.in().hasWholeHeader())
                .toList();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void packet(PacketCase each) {
        check(each, false);
    }

    /** Devices that sum up what they receive are believed further on, so the sum has to follow all that is written. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("forwarded")
    void packetThatTheDeviceHasSummedUp(PacketCase each) {
        check(each, true);
    }

    /** An answer made anew leaves by where no sum is looked at; nor does anyone look who was told that there is none. */
    static List<PacketCase> forwarded() {
        return cases().stream()
                .filter(each -> each.verdict() != Verdict.REPLY && each.verdict() != Verdict.DROP)
                .filter(each -> each.verdict() == Verdict.PASS || !each.in().isUnsummedDatagram())
                .toList();
    }

    /** What stands for several packets is as long on the wire as each of these; what joined them need not say how long it is. */
    @ParameterizedTest
    @EnumSource
    void packetThatStandsForSeveral(PacketTable.Net net) {
        PacketTable.Talk talk = new PacketTable.Talk(net, Protocol.TCP);
        Tuple heard = talk.masqueraded(net.tunnel, net.narrow);
        Installed node = lab.installed(PacketCase.settings(false, false, List.of()));
        node.reset();
        node.put(talk.nodePort(PacketTable.ANYWHERE, talk.narrow()));
        node.run(Hook.OUTSIDE, framed(Draft.first(talk.asks()).packet(), false), false);
        Draft joined = Draft.more(talk.asks()).payload(2_000);
        int headers = net.v4() ? 40 : 60;
        node.run().segments(PacketLab.NARROW_MTU - headers);
        try {
            Packet in = framed(joined.packet(), false);
            Run run = node.run(Hook.OUTSIDE, in, false);
            assertThat(verdict(run, in)).isEqualTo(Verdict.FORWARD);
            assertThat(run.out())
                    .hasToString(framed(joined.forwarded(heard).packet(), false).toString());
            Packet silent =
                    framed(net.v4() ? in.with(2, 0).with(3, 0) : in.with(4, 0).with(5, 0), false);
            assertThat(verdict(node.run(Hook.OUTSIDE, silent, false), silent)).isEqualTo(Verdict.FORWARD);
            node.run().segments(PacketLab.NARROW_MTU - headers + 1);
            assertThat(verdict(node.run(Hook.OUTSIDE, in, false), in)).isEqualTo(Verdict.REPLY);
        } finally {
            node.run().segments(0);
        }
    }

    private static void check(PacketCase each, boolean summed) {
        Installed node = lab.installed(each.settings());
        node.reset();
        for (Event event : each.before()) {
            switch (event) {
                case Put put -> node.put(put.service());
                case Forgotten forgotten -> node.forget(forgotten.from());
                case Sent sent -> node.run(sent.hook(), framed(sent.packet(), false), false);
            }
        }
        Packet in = framed(each.in(), each.isFlooded());
        Run run = run(each, node, in, summed);
        Verdict verdict = verdict(run, in);
        assertThat(verdict).as("%s: becomes %s", each, run.out()).isEqualTo(each.verdict());
        switch (verdict) {
            case PASS -> assertThat(run.out()).hasToString(in.toString());
            case FORWARD, CONTINUE -> {
                assertSame(each, run.out());
                assertThat(Arrays.copyOf(run.out().bytes(), 12)).isEqualTo(Arrays.copyOf(in.bytes(), 12));
            }
            case REPLY -> {
                assertSame(each, run.out());
                assertThat(Arrays.copyOf(run.out().bytes(), 6)).isEqualTo(Arrays.copyOfRange(in.bytes(), 6, 12));
                assertThat(Arrays.copyOfRange(run.out().bytes(), 6, 12)).isEqualTo(Arrays.copyOf(in.bytes(), 6));
            }
            case DROP -> {}
        }
        assertThat(node.drops()).as(each.toString()).containsExactlyInAnyOrderElementsOf(each.drops());
        if (each.connections() >= 0) {
            assertThat(node.installation().counters().get(node.firstService()))
                    .as(each.toString())
                    .isEqualTo(new Installation.Counters(each.connections(), each.refused()));
        }
        each.flows().forEach(known -> assertKnown(each, node, known));
        for (Tuple from : each.unknown()) {
            assertThat(node.flow(from)).as(each.toString()).isNull();
        }
    }

    /** Older kernels cannot be told that a device has summed up a packet. */
    private static Run run(PacketCase each, Installed node, Packet in, boolean summed) {
        try {
            return node.run(each.hook(), in, summed);
        } catch (BpfException e) {
            if (summed && e.errno().equals(Errno.EINVAL)) {
                return node.run(each.hook(), in, false);
            }
            throw new AssertionError(each + ": " + e.getMessage(), e);
        }
    }

    private static Packet framed(Packet packet, boolean flooded) {
        return packet.to(flooded ? new byte[] {2, 0, 0, 0, 0, 7} : PacketLab.DEVICE)
                .from(PacketLab.SENDER);
    }

    private static Verdict verdict(Run run, Packet in) {
        boolean same = run.out().toString().equals(in.toString());
        return switch (run.retval()) {
            case TC_ACT_UNSPEC -> same ? Verdict.PASS : Verdict.CONTINUE;
            case TC_ACT_SHOT -> Verdict.DROP;
            case TC_ACT_REDIRECT ->
                Arrays.equals(Arrays.copyOf(run.out().bytes(), 6), PacketLab.SENDER) ? Verdict.REPLY : Verdict.FORWARD;
            default -> throw new AssertionError("returned " + run.retval());
        };
    }

    /** From the link-layer addresses on, which are the device's affair. */
    private static void assertSame(PacketCase each, Packet packet) {
        assertThat(packet.toString().substring(24))
                .as(each.toString())
                .isEqualTo(each.out().toString().substring(24));
    }

    private static void assertKnown(PacketCase each, Installed node, Known known) {
        Flow forth = node.flow(known.from());
        assertThat(forth).as(each.toString()).isNotNull();
        assertThat(forth.to()).as(each.toString()).isEqualTo(known.to());
        assertThat(forth.state()).as(each.toString()).isEqualTo(known.state());
        assertThat(forth.isReply()).isFalse();
        Flow back = node.flow(known.to().turnedRound());
        assertThat(back)
                .as(each.toString())
                .isEqualTo(new Flow(
                        known.to().turnedRound(),
                        known.from().turnedRound(),
                        known.state(),
                        true,
                        forth.isConfirmed()));
    }
}
