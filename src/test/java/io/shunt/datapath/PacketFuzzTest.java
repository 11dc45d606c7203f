package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Direction;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Reason;
import io.shunt.datapath.PacketLab.Flow;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.datapath.PacketModel.Fate;
import io.shunt.libbpf.PacketRun;
import io.shunt.net.Prefix;
import io.shunt.table.VirtualService;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The packet programs against {@link PacketModel}: random packets, most of them of conversations, some of them broken, while
 * the table changes. As a rule for some seconds; {@code -Dshunt.fuzz.packets=10000000} makes each of the two tests run so
 * many, a quarter by each of the rules, however long that takes, and {@code -Dshunt.fuzz.seed=7} others. What the programs
 * choose at random is not in the seed.
 */
@Tag("kernel")
class PacketFuzzTest {
    private static final long PACKETS = Long.getLong("shunt.fuzz.packets", 0);
    private static final long SEED = Long.getLong("shunt.fuzz.seed", 1);
    private static final long NANOS = TimeUnit.MILLISECONDS.toNanos(3_500);

    /** How often who waits for many packets hears how far it has come, to within an epoch. */
    private static final long TELL_NANOS = TimeUnit.SECONDS.toNanos(3);

    /** Fewer than the programs remember before they have to forget. */
    private static final int MOST_ENTRIES = 8_000;

    private static final int CHANGE = 2_000;
    private static final int SILENCE = 5 * CHANGE;

    /** Longer than half-open conversations keep their ports, which is 5 seconds. */
    private static final int SILENT_SECONDS = 6;

    /** Shorter than that, or the model would have to know the time. */
    private static final long EPOCH_NANOS = TimeUnit.SECONDS.toNanos(4);

    enum Rules {
        PLAIN(new PacketSettings(61_000, 64, false, false, List.of(), true)),
        MASQUERADE_ALL(new PacketSettings(20_000, 4_000, true, false, List.of(), true)),
        TOLD_BY_ADDRESS(new PacketSettings(
                2_000,
                500,
                false,
                true,
                List.of(
                        Prefix.parse("10.1.0.0/24").orElseThrow(),
                        Prefix.parse("fd00:1::/64").orElseThrow()),
                true)),
        TOLD_BY_DEVICE(new PacketSettings(61_000, 64, false, true, List.of(), false));

        private final PacketSettings settings;

        Rules(PacketSettings settings) {
            this.settings = settings;
        }
    }

    private final long[] fates = new long[Fate.values().length];
    private long packets;
    private long foretold;
    private long framed;
    private boolean accelerated;
    private long sentOnByDriver;

    @ParameterizedTest
    @EnumSource
    void programs_doAsTheModelSays(Rules rules) {
        compare(rules);
        assertThat(sentOnByDriver).isZero();
    }

    /** What comes in from the network meets the program at the driver first. */
    @ParameterizedTest
    @EnumSource
    void programsWithOneAtTheDriver_doAsTheModelSays(Rules rules) {
        accelerated = true;
        compare(rules);
        assertThat(sentOnByDriver).isPositive();
    }

    private void compare(Rules rules) {
        long seed = SEED * Rules.values().length + rules.ordinal();
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        long wanted = PACKETS / Rules.values().length;
        long start = System.nanoTime();
        long told = start;
        try (PacketLab lab = accelerated ? PacketLab.accelerated() : new PacketLab()) {
            Installed node = lab.installed(rules.settings);
            RandomPackets source = new RandomPackets(random, rules.settings);
            while (PACKETS > 0 ? packets < wanted : System.nanoTime() - start < NANOS) {
                long end = PACKETS > 0 ? wanted : Long.MAX_VALUE;
                lab.call(() -> {
                    epoch(node, source, rules, seed, end, start);
                    return null;
                });
                if (PACKETS > 0 && System.nanoTime() - told >= TELL_NANOS) {
                    told = System.nanoTime();
                    System.out.printf(
                            "PacketFuzzTest %s, seed %d: %,d of %,d packets in %.1f s%n",
                            rules, seed, packets, wanted, (told - start) / 1e9);
                }
            }
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        Map<Fate, Long> met = new EnumMap<>(Fate.class);
        for (Fate fate : Fate.values()) {
            met.put(fate, fates[fate.ordinal()]);
        }
        System.out.printf(
                "PacketFuzzTest %s, seed %d: %,d packets in %.1f s, %,d sent on by the driver, %,d by a known way, %,d backends"
                        + " chosen by hash, 0 differences: %s%n",
                rules, seed, packets, seconds, sentOnByDriver, framed, foretold, met);
        // Or it would show nothing.
        assertThat(foretold).isPositive();
        assertThat(framed).isPositive();
        assertThat(met).allSatisfy((fate, times) -> assertThat(times).isPositive());
    }

    /** From an empty node until it knows many conversations. */
    private void epoch(Installed node, RandomPackets source, Rules rules, long seed, long end, long start) {
        node.reset();
        PacketModel model = new PacketModel(rules.settings, fates, node::flow);
        for (VirtualService service : source.services()) {
            model.put(service, node.put(service));
        }
        PacketRun run = node.run();
        run.summed(false);
        byte[] out = new byte[PacketRun.ROOM];
        long begun = System.nanoTime();
        for (int i = 1; model.size() < MOST_ENTRIES && packets < end && System.nanoTime() - begun < EPOCH_NANOS; i++) {
            if (i % SILENCE == 0) {
                node.age(SILENT_SECONDS);
                model.age();
            }
            if (i % CHANGE == 0) {
                VirtualService changed = source.changed();
                model.put(changed, node.put(changed));
                if (PACKETS == 0 && System.nanoTime() - start > NANOS) {
                    break;
                }
            }
            byte[] in = source.next(model.talks());
            Hook hook = source.hook();
            if (!PacketModel.isKnownGround(in, in.length)) {
                continue;
            }
            node.at(hook);
            MemorySegment.copy(in, 0, run.in(), JAVA_BYTE, 0, in.length);
            int retval = accelerated && hook == Hook.OUTSIDE
                    ? runAtDriver(node, in)
                    : run.run(node.program(hook), in.length);
            int size = run.size();
            MemorySegment.copy(run.out(), JAVA_BYTE, 0, out, 0, size);
            if (retval == PacketModel.REDIRECT && isFramed(out)) {
                // As if its flow had had no packet just now.
                framed++;
                System.arraycopy(in, 0, out, 0, 12);
            }
            packets++;
            String difference = model.judge(hook, in, in.length, retval, out, size);
            if (difference != null) {
                throw new AssertionError(String.format(
                        "%s, seed %d, packet %d from %s%n%s%nreturned %d and became%n%s%nbut %s",
                        rules,
                        seed,
                        packets,
                        hook,
                        new Packet(in),
                        retval,
                        new Packet(Arrays.copyOf(out, size)),
                        difference));
            }
        }
        foretold += model.foretold();
        assertCounted(node, model, seed);
        Map<Tuple, Flow> known = node.flows();
        model.flows()
                .forEach((from, flow) -> assertThat(known.remove(from))
                        .as("seed %d, packet %d", seed, packets)
                        .isEqualTo(flow));
        assertThat(known).as("seed %d, packet %d", seed, packets).isEmpty();
        assertThat(node.evicted()).as("seed %d, packet %d", seed, packets).isZero();
    }

    /** Whether a program has written who sends it to whom on the link. */
    private static boolean isFramed(byte[] frame) {
        return Arrays.equals(frame, 0, 6, PacketLab.NEIGHBOUR, 0, 6)
                && Arrays.equals(frame, 6, 12, PacketLab.DEVICE, 0, 6);
    }

    /** As if the program at TC had done it: it does what is left to it. */
    private int runAtDriver(Installed node, byte[] in) {
        PacketRun run = node.run();
        MemorySegment out = run.out();
        switch (node.runAtDriver(in.length)) {
            case DriverTableTest.XDP_PASS -> {
                assertThat(run.size()).isEqualTo(in.length);
                assertThat(out.asSlice(0, in.length).mismatch(MemorySegment.ofArray(in)))
                        .isEqualTo(-1);
                return run.run(node.program(Hook.OUTSIDE), in.length);
            }
            case DriverTableTest.XDP_DROP -> {
                return PacketModel.SHOT;
            }
            default -> {
                sentOnByDriver++;
                assertThat(out.asSlice(0, 6).toArray(JAVA_BYTE)).isEqualTo(PacketLab.NEIGHBOUR);
                assertThat(out.asSlice(6, 6).toArray(JAVA_BYTE)).isEqualTo(PacketLab.DEVICE);
                // Which the other program leaves to whoever sends the packet on.
                MemorySegment.copy(in, 0, out, JAVA_BYTE, 0, 12);
                return PacketModel.REDIRECT;
            }
        }
    }

    private void assertCounted(Installed node, PacketModel model, long seed) {
        Map<PacketModel.Count, Long> drops = new HashMap<>();
        node.map("drops")
                .forEach((key, value) -> drops.put(
                        new PacketModel.Count(
                                key.get(JAVA_INT, 0),
                                Reason.values()[key.get(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "reason"))],
                                Direction.values()[key.get(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "direction"))]),
                        Installation.sumWords(value)));
        // Of earlier epochs.
        drops.keySet().removeIf(count -> count.service() == Drops.GONE);
        assertThat(drops).as("drops, seed %d, packet %d", seed, packets).isEqualTo(model.drops());
        Map<Integer, Installation.Counters> counters = node.installation().counters();
        model.offers()
                .forEach((name, offer) -> assertThat(counters.get(offer.id))
                        .as("%s, seed %d, packet %d", name, seed, packets)
                        .isEqualTo(new Installation.Counters(offer.connections, offer.refused)));
    }
}
