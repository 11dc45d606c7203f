package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.shunt.libbpf.BpfMap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Flows in `flows_new` as the packet programs find them (src/main/bpf/new.h), while no packets come. For one thread. */
final class NewFlows {
    /** TUPLE_FACTOR of new.h. */
    private static final long FACTOR = 0x9e3779b97f4a7c15L;

    private static final long FROM = Layouts.offset(Layouts.FLOW, "from");

    private static final long PUSHED_OUT = Layouts.offset(Layouts.FLOW_ROW, "pushed_out");
    private static final MemorySegment EMPTY = Arena.global().allocate(Layouts.FLOW_ROW);

    private final BpfMap rows;
    private final MemorySegment row = Arena.ofAuto().allocate(Layouts.FLOW_ROW);
    private final MemorySegment index = Arena.ofAuto().allocate(JAVA_INT);
    private int tag;

    NewFlows(BpfMap rows) {
        this.rows = rows;
    }

    /** A copy that is good until the next call; null if there is none. */
    @Nullable
    MemorySegment find(MemorySegment tuple) {
        int place = read(tuple);
        return place < 0 ? null : flow(place);
    }

    boolean delete(MemorySegment tuple) {
        int place = read(tuple);
        if (place < 0) {
            return false;
        }
        setTag(place, 0);
        write();
        return true;
    }

    /** In the place of one with the same key, or in a free one. */
    void put(MemorySegment flow) {
        int place = read(flow.asSlice(FROM, Layouts.TUPLE));
        for (int i = 0; place < 0 && i < Layouts.ROW_FLOWS; i++) {
            place = tag(i) == 0 ? i : place;
        }
        if (place < 0) {
            throw new IllegalStateException("the row is full");
        }
        setTag(place, tag);
        MemorySegment.copy(flow, 0, flow(place), 0, Layouts.FLOW.byteSize());
        write();
    }

    void forEach(Consumer<MemorySegment> visitor) {
        rows.forEach((key, value) -> FlowRows.anyMatch(value, flow -> {
            visitor.accept(flow);
            return false;
        }));
    }

    int count() {
        int[] count = new int[1];
        forEach(flow -> count[0]++);
        return count[0];
    }

    /** How many that were not over the programs have pushed out since the last clear(). */
    int pushedOut() {
        int[] sum = new int[1];
        rows.forEach((key, value) -> sum[0] += value.get(JAVA_INT, PUSHED_OUT));
        return sum[0];
    }

    void clear() {
        List<Integer> used = new ArrayList<>();
        rows.forEach((key, value) -> {
            if (value.mismatch(EMPTY) >= 0) {
                used.add(key.get(JAVA_INT, 0));
            }
        });
        for (int each : used) {
            index.set(JAVA_INT, 0, each);
            rows.update(index, EMPTY, BpfMap.ANY);
        }
    }

    /** The number of the row where such a flow stands, if it does. */
    int row(MemorySegment tuple) {
        return PeerHash.place((int) (hash(tuple) >>> Integer.SIZE), rows.maxEntries());
    }

    /** Reads the row where it would stand; returns its place, or -1. */
    private int read(MemorySegment tuple) {
        int hash = (int) hash(tuple);
        tag = hash == 0 ? 1 : hash;
        index.set(JAVA_INT, 0, row(tuple));
        rows.lookup(index, row);
        for (int i = 0; i < Layouts.ROW_FLOWS; i++) {
            if (tag(i) == tag && flow(i).asSlice(FROM, Layouts.TUPLE).mismatch(tuple) < 0) {
                return i;
            }
        }
        return -1;
    }

    private void write() {
        rows.update(index, row, BpfMap.ANY);
    }

    private int tag(int place) {
        return row.get(JAVA_INT, FlowRows.TAGS + (long) place * Integer.BYTES);
    }

    private void setTag(int place, int tag) {
        row.set(JAVA_INT, FlowRows.TAGS + (long) place * Integer.BYTES, tag);
    }

    private MemorySegment flow(int place) {
        return row.asSlice(FlowRows.FLOWS + place * Layouts.FLOW.byteSize(), Layouts.FLOW);
    }

    private static long hash(MemorySegment tuple) {
        long source = Layouts.offset(Layouts.TUPLE, "source");
        long destination = Layouts.offset(Layouts.TUPLE, "destination");
        long hash = PacketSettings.seed();
        for (int i = 0; i < 16; i += 8) {
            hash = words(hash, word(tuple, source + i), word(tuple, source + i + 4));
            hash = words(hash, word(tuple, destination + i), word(tuple, destination + i + 4));
        }
        return words(
                hash,
                word(tuple, Layouts.offset(Layouts.TUPLE, "source_port")),
                Byte.toUnsignedInt(tuple.get(JAVA_BYTE, Layouts.offset(Layouts.TUPLE, "protocol"))));
    }

    private static int word(MemorySegment tuple, long at) {
        return tuple.get(JAVA_INT_UNALIGNED, at);
    }

    private static long words(long before, int one, int other) {
        long hash = (before ^ (Integer.toUnsignedLong(one) | (long) other << Integer.SIZE)) * FACTOR;
        return hash ^ hash >>> Integer.SIZE;
    }
}
