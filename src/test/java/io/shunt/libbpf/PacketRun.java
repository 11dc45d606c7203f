package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Runs a packet program on one packet after the other, attached to nothing, and allocates nothing meanwhile. Devices are
 * those of the network namespace of the thread that calls. For one thread at a time.
 */
public final class PacketRun implements AutoCloseable {
    /** Bytes: neither longer packets go in, nor longer ones come out. */
    public static final int ROOM = 3072;

    /** The kernel behaves as if the device had summed up the packet, and compares afterwards (Linux 6.17). */
    private static final int CHECKSUM_COMPLETE = 1 << 2;

    /** Members of struct __sk_buff. */
    private static final int SK_BUFF = 192;

    private static final int INGRESS_IFINDEX = 36;
    private static final int IFINDEX = 40;
    private static final int GSO_SIZE = 176;

    /** Members of struct xdp_md. */
    static final int XDP_MD = 24;

    static final int DATA_END = 4;
    static final int XDP_INGRESS_IFINDEX = 12;

    static final long OUT_SIZE = BpfProgram.Testing.offset("data_size_out");
    static final long IN_SIZE = BpfProgram.Testing.offset("data_size_in");
    static final long FLAGS = BpfProgram.Testing.offset("flags");
    static final long DURATION = BpfProgram.Testing.offset("duration");
    private static final long RETVAL = BpfProgram.Testing.offset("retval");

    private final Arena arena = Arena.ofShared();
    private final MemorySegment options = arena.allocate(BpfProgram.Testing.OPTIONS);
    private final MemorySegment context = arena.allocate(SK_BUFF, Long.BYTES);
    private final MemorySegment driverContext = arena.allocate(XDP_MD, Long.BYTES);
    private final MemorySegment in = arena.allocate(ROOM);
    private final MemorySegment out = arena.allocate(ROOM);

    public PacketRun() {
        options.set(JAVA_LONG, 0, BpfProgram.Testing.OPTIONS.byteSize());
        options.set(ADDRESS, BpfProgram.Testing.offset("data_in"), in);
        options.set(ADDRESS, BpfProgram.Testing.offset("data_out"), out);
        context(context);
    }

    private void context(MemorySegment segment) {
        options.set(ADDRESS, BpfProgram.Testing.offset("ctx_in"), segment);
        options.set(JAVA_INT, BpfProgram.Testing.offset("ctx_size_in"), (int) segment.byteSize());
    }

    /** Where the packet to run on is written, from the Ethernet header on. */
    public MemorySegment in() {
        return in;
    }

    /** The packet after the last run. */
    public MemorySegment out() {
        return out;
    }

    /** How long that one is, in bytes. */
    public int size() {
        return options.get(JAVA_INT, OUT_SIZE);
    }

    /** How long it took, in nanoseconds. */
    public int nanos() {
        return options.get(JAVA_INT, DURATION);
    }

    /** From which device packets come or to which they go from now on, and by which they had come in before; 0: none. */
    public void at(int ifindex, int ingressIfindex) {
        context.set(JAVA_INT, IFINDEX, ifindex);
        context.set(JAVA_INT, INGRESS_IFINDEX, ingressIfindex);
    }

    /** Packets stand for several, each with so many bytes of payload; 0: for themselves. */
    public void segments(int payload) {
        context.set(JAVA_INT, GSO_SIZE, payload);
    }

    /** Whether the device is said to have summed up the packets, and the sum is looked at afterwards. */
    public void summed(boolean summed) {
        options.set(JAVA_INT, FLAGS, summed ? CHECKSUM_COMPLETE : 0);
    }

    /**
     * Runs on the first so many bytes.
     *
     * @return what the program returned
     * @throws BpfException EBADMSG if the device's sum is not that of the packet any more
     */
    public int run(BpfProgram program, int length) {
        options.set(JAVA_INT, IN_SIZE, length);
        options.set(JAVA_INT, OUT_SIZE, ROOM);
        BpfProgram.Testing.run(program, options);
        return options.get(JAVA_INT, RETVAL);
    }

    /**
     * Runs an XDP program on the first so many bytes, as at the driver of a device at which there is an XDP program.
     *
     * @return what the program returned
     */
    public int runAtDriver(BpfProgram program, int ifindex, int length) {
        int flags = options.get(JAVA_INT, FLAGS);
        driverContext.set(JAVA_INT, DATA_END, length);
        driverContext.set(JAVA_INT, XDP_INGRESS_IFINDEX, ifindex);
        context(driverContext);
        options.set(JAVA_INT, FLAGS, 0);
        try {
            return run(program, length);
        } finally {
            options.set(JAVA_INT, FLAGS, flags);
            context(context);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
