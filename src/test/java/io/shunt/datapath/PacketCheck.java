package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Event;
import io.shunt.datapath.PacketCase.Forgotten;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Known;
import io.shunt.datapath.PacketCase.Put;
import io.shunt.datapath.PacketCase.Sent;
import io.shunt.datapath.PacketCase.Silence;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.datapath.PacketLab.Flow;
import io.shunt.datapath.PacketLab.Installed;
import java.util.Arrays;
import java.util.Objects;

/** Holds programs of any kind against a row of the {@link PacketTable}. */
final class PacketCheck {
    private PacketCheck() {}

    /** What became of a packet. */
    record Made(Verdict verdict, Packet packet) {}

    /** Programs of one kind. */
    @FunctionalInterface
    interface Programs {
        /** @param isLast whether it is the packet that the row is about, not one before it */
        Made see(Hook hook, Packet in, boolean isLast);
    }

    static void check(PacketCase each, Installed node, Programs programs) {
        node.reset();
        for (Event event : each.before()) {
            switch (event) {
                case Put put -> node.put(put.service());
                case Forgotten forgotten -> node.forget(forgotten.from());
                case Silence silence -> node.age(silence.seconds());
                case Sent sent -> programs.see(sent.hook(), sent.packet().framed(), false);
            }
        }
        Packet in = each.in().framed().to(each.linkAddress());
        Made made = programs.see(each.hook(), in, true);
        assertThat(made.verdict()).as("%s: becomes %s", each, made.packet()).isEqualTo(each.verdict());
        if (made.verdict() == Verdict.PASS) {
            assertThat(made.packet()).hasToString(in.toString());
        } else if (made.verdict() != Verdict.DROP) {
            // The link layer's addresses are the way's affair, but for answers.
            assertThat(made.packet().toString().substring(24))
                    .as(each.toString())
                    .isEqualTo(Objects.requireNonNull(each.out()).toString().substring(24));
        }
        if (made.verdict() == Verdict.REPLY) {
            byte[] bytes = made.packet().bytes();
            assertThat(Arrays.copyOf(bytes, 6)).isEqualTo(Arrays.copyOfRange(in.bytes(), 6, 12));
            assertThat(Arrays.copyOfRange(bytes, 6, 12)).isEqualTo(Arrays.copyOf(in.bytes(), 6));
        }
        assertCounted(each, node);
        each.flows().forEach(known -> assertKnown(each, node, known));
        for (Tuple from : each.unknown()) {
            assertThat(node.flow(from)).as(each.toString()).isNull();
        }
        assertThat(node.evicted()).as("%s: entries that were pushed out", each).isZero();
    }

    private static void assertCounted(PacketCase each, Installed node) {
        assertThat(node.drops()).as(each.toString()).containsExactlyInAnyOrderElementsOf(each.drops());
        if (each.connections() >= 0) {
            assertThat(node.installation().counters().get(node.firstService()))
                    .as(each.toString())
                    .isEqualTo(new Installation.Counters(each.connections(), each.refused()));
        }
    }

    private static void assertKnown(PacketCase each, Installed node, Known known) {
        Flow forth = node.flow(known.from());
        assertThat(forth).as(each.toString()).isNotNull();
        assertThat(forth.to()).as(each.toString()).isEqualTo(known.to());
        assertThat(forth.state()).as(each.toString()).isEqualTo(known.state());
        assertThat(forth.isReply()).as(each.toString()).isFalse();
        Flow back = node.flow(known.to().turnedRound());
        if (!known.bothWays()) {
            assertThat(back).as(each.toString()).isNull();
            return;
        }
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
