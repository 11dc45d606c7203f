package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.datapath.PacketCheck.Made;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.datapath.PacketLab.Run;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Errno;
import io.shunt.net.Protocol;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
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

    /** RFC 3720, B.4: or the tests would believe in another checksum than the rest of the world. */
    @Test
    void crc32c_isThatOfTheStandard() {
        byte[] zeroes = new byte[32];
        byte[] ones = new byte[32];
        byte[] up = new byte[32];
        for (int i = 0; i < 32; i++) {
            ones[i] = -1;
            up[i] = (byte) i;
        }
        assertThat(crc32c(zeroes)).isEqualTo(0x8a9136aaL);
        assertThat(crc32c(ones)).isEqualTo(0x62a8ab43L);
        assertThat(crc32c(up)).isEqualTo(0x46dd794eL);
    }

    private static long crc32c(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return crc.getValue();
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
        node.run(Hook.OUTSIDE, Draft.first(talk.asks()).packet().framed(), false);
        Draft joined = Draft.more(talk.asks()).payload(2_000);
        int headers = net.v4() ? 40 : 60;
        node.run().segments(PacketLab.NARROW_MTU - headers);
        try {
            Packet in = joined.packet().framed();
            Made made = see(node, Hook.OUTSIDE, in, false);
            assertThat(made.verdict()).isEqualTo(Verdict.FORWARD);
            assertThat(made.packet())
                    .hasToString(joined.forwarded(heard).packet().framed().toString());
            Packet silent = net.v4() ? in.with(2, 0).with(3, 0) : in.with(4, 0).with(5, 0);
            assertThat(see(node, Hook.OUTSIDE, silent, false).verdict()).isEqualTo(Verdict.FORWARD);
            node.run().segments(PacketLab.NARROW_MTU - headers + 1);
            assertThat(see(node, Hook.OUTSIDE, in, false).verdict()).isEqualTo(Verdict.REPLY);
        } finally {
            node.run().segments(0);
        }
    }

    /** Straight to the backend of a node port that the client asks from the same port. */
    @ParameterizedTest
    @EnumSource
    void connectionThatEvadesAnother_keepsItsPort_whenItsSynIsSentAgain(PacketTable.Net net) {
        PacketTable.Talk talk = new PacketTable.Talk(net, Protocol.TCP);
        Tuple asks = talk.asks();
        Installed node = lab.installed(new PacketSettings(20_000, 4_000, false, false, List.of(), true));
        node.reset();
        node.put(talk.nodePort(PacketTable.HERE, talk.here()));
        Tuple direct = see(node, Hook.OUTSIDE, Draft.first(asks).packet().framed(), false)
                .packet()
                .tuple();
        Packet syn = Draft.first(direct).packet().framed();
        Tuple evading = see(node, Hook.OUTSIDE, syn, false).packet().tuple();
        assertThat(evading.sourcePort()).isNotEqualTo(direct.sourcePort());
        assertThat(see(node, Hook.OUTSIDE, syn, false).packet().tuple()).isEqualTo(evading);
    }

    /** It asks for no service, so no other node has chosen a backend for it. */
    @ParameterizedTest
    @EnumSource
    void connectionThatEvadesAnother_isNotTakenOutOfATunnel(PacketTable.Net net) {
        PacketTable.Talk talk = new PacketTable.Talk(net, Protocol.TCP);
        Installed node = lab.installed(new PacketSettings(20_000, 4_000, false, false, List.of(), true));
        node.reset();
        node.put(talk.nodePort(PacketTable.HERE, talk.here()));
        Tuple direct = see(node, Hook.OUTSIDE, Draft.first(talk.asks()).packet().framed(), false)
                .packet()
                .tuple();
        see(node, Hook.OUTSIDE, Draft.first(direct).packet().framed(), false);
        Packet wrapped = Draft.more(direct).packet().within(net.router, net.pod).framed();
        assertThat(see(node, Hook.OUTSIDE, wrapped, false).verdict()).isEqualTo(Verdict.PASS);
    }

    /** The kernel has just told the way for the sake of the source. A datagram may be all that its flow sends: it has to ask. */
    @ParameterizedTest
    @EnumSource
    void firstPacketInTheNodesName_isFramed_ofAConnectionOnly(PacketTable.Net net) {
        Installed node = lab.installed(PacketCase.settings(false, false, List.of()));
        assertThat(isFramedFirst(node, new PacketTable.Talk(net, Protocol.TCP))).isTrue();
        assertThat(isFramedFirst(node, new PacketTable.Talk(net, Protocol.UDP))).isFalse();
    }

    private static boolean isFramedFirst(Installed node, PacketTable.Talk talk) {
        node.reset();
        node.put(talk.nodePort(PacketTable.ANYWHERE, talk.here()));
        Packet first = Draft.first(talk.asks()).packet().framed();
        assertThat(see(node, Hook.OUTSIDE, first, false).verdict()).isEqualTo(Verdict.FORWARD);
        node.reset();
        node.put(talk.nodePort(PacketTable.ANYWHERE, talk.here()));
        byte[] out = node.run(Hook.OUTSIDE, first, false).out().bytes();
        return Arrays.equals(out, 0, 6, PacketLab.NEIGHBOUR, 0, 6) && Arrays.equals(out, 6, 12, PacketLab.DEVICE, 0, 6);
    }

    private static void check(PacketCase each, boolean summed) {
        Installed node = lab.installed(each.settings());
        PacketCheck.check(each, node, (hook, in, isLast) -> see(node, hook, in, summed && isLast));
    }

    /** @return a packet that goes on with the link-layer addresses that it came with, whoever writes those it leaves with */
    static Made see(Installed node, Hook hook, Packet in, boolean summed) {
        Run run = run(node, hook, in, summed);
        Verdict verdict = verdict(run, in);
        if (verdict != Verdict.FORWARD && verdict != Verdict.CONTINUE) {
            return new Made(verdict, run.out());
        }
        byte[] before = Arrays.copyOf(in.bytes(), 12);
        // Whoever sends it on knows better, unless the flow's packets went the same way just now.
        Packet framed = in.to(PacketLab.NEIGHBOUR).from(PacketLab.DEVICE);
        assertThat(Arrays.copyOf(run.out().bytes(), 12)).isIn(before, Arrays.copyOf(framed.bytes(), 12));
        return new Made(verdict, run.out().to(Arrays.copyOf(before, 6)).from(Arrays.copyOfRange(before, 6, 12)));
    }

    /** Older kernels cannot be told that a device has summed up a packet. */
    private static Run run(Installed node, Hook hook, Packet in, boolean summed) {
        try {
            return node.run(hook, in, summed);
        } catch (BpfException e) {
            if (summed && e.errno().equals(Errno.EINVAL)) {
                return node.run(hook, in, false);
            }
            throw e;
        }
    }

    private static Verdict verdict(Run run, Packet in) {
        boolean same = run.out().toString().equals(in.toString());
        return switch (run.retval()) {
            case TC_ACT_UNSPEC -> same ? Verdict.PASS : Verdict.CONTINUE;
            case TC_ACT_SHOT -> Verdict.DROP;
            case TC_ACT_REDIRECT -> redirected(Arrays.copyOf(run.out().bytes(), 6));
            default -> throw new AssertionError("returned " + run.retval());
        };
    }

    private static Verdict redirected(byte[] to) {
        if (Arrays.equals(to, PacketLab.DELIVERED)) {
            return Verdict.DELIVER;
        }
        return Arrays.equals(to, PacketLab.SENDER) ? Verdict.REPLY : Verdict.FORWARD;
    }
}
