package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.shunt.net.Address;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.stream.Stream;

/** The structs of src/main/bpf/types.h as Java reads and writes them. Addresses and ports are in network byte order. */
final class Layouts {
    private static final ValueLayout.OfShort PORT = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfLong ADDRESS_HALF =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    static final SequenceLayout ADDRESS = MemoryLayout.sequenceLayout(4, JAVA_INT);

    static final StructLayout FRONTEND_KEY = MemoryLayout.structLayout(
                    ADDRESS.withName("address"),
                    PORT.withName("port"),
                    JAVA_BYTE.withName("protocol"),
                    JAVA_BYTE.withName("pad"))
            .withName("frontend_key");

    static final StructLayout FRONTEND = MemoryLayout.structLayout(
                    FRONTEND_KEY.withName("key"),
                    JAVA_BYTE.withName("access"),
                    MemoryLayout.sequenceLayout(3, JAVA_BYTE).withName("pad"),
                    JAVA_INT.withName("affinity_seconds"),
                    JAVA_INT.withName("service_id"))
            .withName("frontend");

    static final StructLayout SOURCE_RANGE = MemoryLayout.structLayout(
                    JAVA_INT.withName("prefix_length"), JAVA_INT.withName("service_id"), ADDRESS.withName("address"))
            .withName("source_range");

    static final StructLayout SET = MemoryLayout.structLayout(JAVA_INT.withName("base"), JAVA_INT.withName("count"))
            .withName("set");

    /** How many slots are one element of their map. */
    static final int SLOTS_A_PAIR = 2;

    static final StructLayout SLOT_PAIR = MemoryLayout.structLayout(
                    MemoryLayout.sequenceLayout(SLOTS_A_PAIR, JAVA_INT).withName("backend_id"))
            .withName("slot_pair");

    static final StructLayout BACKEND = MemoryLayout.structLayout(
                    ADDRESS.withName("address"),
                    PORT.withName("port"),
                    JAVA_BYTE.withName("state"),
                    JAVA_BYTE.withName("pad"),
                    JAVA_INT.withName("generation"),
                    JAVA_INT.withName("service_id"),
                    JAVA_INT.withName("pad2"))
            .withName("backend");

    static final StructLayout LOCAL_BACKEND = MemoryLayout.structLayout(
                    JAVA_INT.withName("service_id"), ADDRESS.withName("address"))
            .withName("local_backend");

    static final StructLayout SERVICE_STATS = MemoryLayout.structLayout(
                    JAVA_LONG.withName("connections"), JAVA_LONG.withName("refused"))
            .withName("service_stats");

    static final StructLayout ORIGIN = MemoryLayout.structLayout(
                    ADDRESS.withName("service"),
                    ADDRESS.withName("backend"),
                    PORT.withName("service_port"),
                    PORT.withName("backend_port"),
                    JAVA_INT.withName("backend_id"),
                    JAVA_INT.withName("generation"))
            .withName("origin");

    static final StructLayout FAR_ORIGIN = MemoryLayout.structLayout(
                    JAVA_LONG.withName("cookie"), ORIGIN.withName("origin"), MemoryLayout.paddingLayout(4))
            .withName("far_origin");

    static final StructLayout AFFINITY_KEY = MemoryLayout.structLayout(
                    ADDRESS.withName("client"), JAVA_INT.withName("service_id"), JAVA_INT.withName("pad"))
            .withName("affinity_key");

    static final StructLayout AFFINITY = MemoryLayout.structLayout(
                    AFFINITY_KEY.withName("key"),
                    JAVA_INT.withName("backend_id"),
                    JAVA_INT.withName("generation"),
                    JAVA_LONG.withName("last_used"))
            .withName("affinity");

    static final StructLayout TUPLE = MemoryLayout.structLayout(
                    ADDRESS.withName("source"),
                    ADDRESS.withName("destination"),
                    PORT.withName("source_port"),
                    PORT.withName("destination_port"),
                    JAVA_BYTE.withName("protocol"),
                    MemoryLayout.sequenceLayout(3, JAVA_BYTE).withName("pad"))
            .withName("tuple");

    static final StructLayout WAY = MemoryLayout.structLayout(
                    JAVA_INT.withName("second"),
                    JAVA_INT.withName("device"),
                    JAVA_SHORT.withName("epoch"),
                    JAVA_SHORT.withName("mtu"),
                    MemoryLayout.sequenceLayout(6, JAVA_BYTE).withName("to"),
                    MemoryLayout.sequenceLayout(6, JAVA_BYTE).withName("from"))
            .withName("way");

    static final StructLayout EXIT = MemoryLayout.structLayout(
                    JAVA_INT.withName("device"), JAVA_INT.withName("is_shortcut"))
            .withName("exit");

    static final StructLayout FLOW = MemoryLayout.structLayout(
                    TUPLE.withName("from"),
                    TUPLE.withName("to"),
                    JAVA_INT.withName("service_id"),
                    JAVA_INT.withName("backend_id"),
                    JAVA_INT.withName("generation"),
                    JAVA_INT.withName("seen"),
                    JAVA_INT.withName("host_device"),
                    JAVA_BYTE.withName("state"),
                    JAVA_BYTE.withName("flags"),
                    JAVA_BYTE.withName("tunnel"),
                    JAVA_BYTE.withName("pad"))
            .withName("flow");

    /** In enum flow_flag of types.h. */
    static final int FLOW_IS_REPLY = 1;

    /** In enum flow_flag of types.h. */
    static final int FLOW_IS_CONFIRMED = 2;

    /** A confirmed flow begins with what it was before. */
    static final StructLayout ROUTED_FLOW = MemoryLayout.structLayout(FLOW.withName("flow"), WAY.withName("way"))
            .withName("routed_flow");

    /** How many flows stand in a row. */
    static final int ROW_FLOWS = 8;

    static final StructLayout FLOW_ROW = MemoryLayout.structLayout(
                    JAVA_INT.withName("pushed_out"),
                    JAVA_BYTE.withName("next"),
                    JAVA_BYTE.withName("over"),
                    JAVA_BYTE.withName("used"),
                    JAVA_BYTE.withName("pad"),
                    MemoryLayout.sequenceLayout(ROW_FLOWS, JAVA_INT).withName("tags"),
                    MemoryLayout.sequenceLayout(ROW_FLOWS, FLOW).withName("flows"))
            .withName("flow_row");

    static final StructLayout FRAGMENT_KEY = MemoryLayout.structLayout(
                    ADDRESS.withName("source"),
                    ADDRESS.withName("destination"),
                    JAVA_INT.withName("id"),
                    JAVA_BYTE.withName("protocol"),
                    MemoryLayout.sequenceLayout(3, JAVA_BYTE).withName("pad"))
            .withName("fragment_key");

    static final StructLayout FRAGMENT = MemoryLayout.structLayout(
                    FRAGMENT_KEY.withName("key"), PORT.withName("source_port"), PORT.withName("destination_port"))
            .withName("fragment");

    static final StructLayout DROP_KEY = MemoryLayout.structLayout(
                    JAVA_INT.withName("service_id"),
                    JAVA_BYTE.withName("reason"),
                    JAVA_BYTE.withName("direction"),
                    MemoryLayout.sequenceLayout(2, JAVA_BYTE).withName("pad"))
            .withName("drop_key");

    static final StructLayout DROP_EVENT = MemoryLayout.structLayout(
                    TUPLE.withName("tuple"),
                    JAVA_LONG.withName("time"),
                    JAVA_INT.withName("service_id"),
                    JAVA_INT.withName("device"),
                    JAVA_BYTE.withName("reason"),
                    JAVA_BYTE.withName("direction"),
                    JAVA_BYTE.withName("is_last"),
                    MemoryLayout.sequenceLayout(5, JAVA_BYTE).withName("pad"))
            .withName("drop_event");

    static final StructLayout DEVICE_SOURCES = MemoryLayout.structLayout(ADDRESS.withName("v4"), ADDRESS.withName("v6"))
            .withName("device_sources");

    /** Bytes of a link-layer address. */
    static final int DRIVER_ADDRESS = 6;

    /** Of the map of one object alone, which is not pinned. */
    static final StructLayout DRIVER = MemoryLayout.structLayout(
                    MemoryLayout.sequenceLayout(DRIVER_ADDRESS, JAVA_BYTE).withName("address"),
                    JAVA_BYTE.withName("takes_others"),
                    JAVA_BYTE.withName("pad"))
            .withName("driver");

    static final StructLayout RANGE = MemoryLayout.structLayout(ADDRESS.withName("address"), ADDRESS.withName("mask"))
            .withName("range");

    static final StructLayout PACKET_SETTINGS = MemoryLayout.structLayout(
                    JAVA_INT.withName("first_port"),
                    JAVA_INT.withName("ports"),
                    JAVA_BYTE.withName("masquerade_all"),
                    JAVA_BYTE.withName("detects_local"),
                    JAVA_BYTE.withName("local_by_range"),
                    JAVA_BYTE.withName("fib_tells_source"),
                    MemoryLayout.sequenceLayout(2, RANGE).withName("local"),
                    JAVA_INT.withName("rows"),
                    JAVA_LONG.withName("seed"))
            .withName("packet_settings");

    private static final SequenceLayout BY_STATE = MemoryLayout.sequenceLayout(6, JAVA_INT);

    static final StructLayout TIMEOUTS = MemoryLayout.structLayout(
                    BY_STATE.withName("tcp"), BY_STATE.withName("udp"), BY_STATE.withName("sctp"))
            .withName("timeouts");

    static final StructLayout SWEEP = MemoryLayout.structLayout(
                    JAVA_INT.withName("kept"),
                    JAVA_INT.withName("forgotten"),
                    JAVA_INT.withName("given_up"),
                    JAVA_INT.withName("pushed_out"))
            .withName("sweep");

    static final StructLayout SETTINGS = MemoryLayout.structLayout(
                    JAVA_LONG.withName("host_namespace"),
                    JAVA_INT.withName("host_namespace_only"),
                    JAVA_INT.withName("pad"))
            .withName("settings");

    /** Of the packet programs alone. */
    static final List<StructLayout> PACKET = List.of(
            TUPLE,
            WAY,
            EXIT,
            FLOW,
            ROUTED_FLOW,
            FLOW_ROW,
            FRAGMENT_KEY,
            FRAGMENT,
            DROP_KEY,
            DEVICE_SOURCES,
            RANGE,
            PACKET_SETTINGS);

    /** Everything that C and Java both touch in the socket programs. */
    static final List<StructLayout> SHARED = List.of(
            FRONTEND_KEY,
            FRONTEND,
            SOURCE_RANGE,
            SET,
            SLOT_PAIR,
            BACKEND,
            LOCAL_BACKEND,
            SERVICE_STATS,
            ORIGIN,
            FAR_ORIGIN,
            AFFINITY_KEY,
            AFFINITY,
            DROP_EVENT,
            SETTINGS);

    private Layouts() {}

    /** The same for two versions of Shunt only if they can share pinned maps. */
    static String fingerprint() {
        StringBuilder members = new StringBuilder();
        for (StructLayout struct :
                Stream.concat(SHARED.stream(), PACKET.stream()).toList()) {
            members.append(struct.name().orElseThrow()).append('{');
            for (MemoryLayout member : struct.memberLayouts()) {
                if (member instanceof PaddingLayout) {
                    continue;
                }
                String name = member.name().orElseThrow();
                members.append(name).append('@').append(offset(struct, name)).append('+');
                members.append(member.byteSize()).append(' ');
            }
            members.append('}');
        }
        return String.format("%08x", members.toString().hashCode());
    }

    static long offset(StructLayout struct, String member) {
        return struct.byteOffset(PathElement.groupElement(member));
    }

    static void putAddress(MemorySegment segment, long offset, Address address) {
        segment.set(ADDRESS_HALF, offset, address.high());
        segment.set(ADDRESS_HALF, offset + Long.BYTES, address.low());
    }

    static Address address(MemorySegment segment, long offset) {
        return new Address(segment.get(ADDRESS_HALF, offset), segment.get(ADDRESS_HALF, offset + Long.BYTES));
    }

    static void putPort(MemorySegment segment, long offset, int port) {
        segment.set(PORT, offset, (short) port);
    }

    static int port(MemorySegment segment, long offset) {
        return Short.toUnsignedInt(segment.get(PORT, offset));
    }
}
