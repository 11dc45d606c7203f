package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Runs an XDP program on frames that are real: what it passes comes in by a device, what it sends leaves
 * (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18; Documentation/bpf/bpf_prog_run.rst). All that the kernel does with them up to
 * where they are taken away it does on the CPU of the caller, before it goes on to the next ones. Devices are those of the
 * network namespace of the thread that calls. For one thread at a time.
 */
public final class LiveFrames implements AutoCloseable {
    private static final int LIVE_FRAMES = 1 << 1;

    /** As many as a driver hands over at a time (NAPI_POLL_WEIGHT). */
    private static final int BATCH = 64;

    private static final int ROOM = 128;

    private static final long DATA_IN = BpfProgram.Testing.offset("data_in");
    private static final long CONTEXT_IN = BpfProgram.Testing.offset("ctx_in");
    private static final long CONTEXT_SIZE = BpfProgram.Testing.offset("ctx_size_in");
    private static final long REPEAT = BpfProgram.Testing.offset("repeat");
    private static final long BATCH_SIZE = BpfProgram.Testing.offset("batch_size");

    private final Arena arena = Arena.ofShared();
    private final MemorySegment options = arena.allocate(BpfProgram.Testing.OPTIONS);
    private final MemorySegment context = arena.allocate(PacketRun.XDP_MD, Long.BYTES);

    public LiveFrames() {
        options.set(JAVA_LONG, 0, BpfProgram.Testing.OPTIONS.byteSize());
        options.set(ADDRESS, DATA_IN, arena.allocate(ROOM));
        options.set(ADDRESS, CONTEXT_IN, context);
        options.set(JAVA_INT, CONTEXT_SIZE, PacketRun.XDP_MD);
        options.set(JAVA_INT, PacketRun.FLAGS, LIVE_FRAMES);
        options.set(JAVA_INT, BATCH_SIZE, BATCH);
    }

    /**
     * Runs on so many frames.
     *
     * @param ifindex the device by which they come in
     * @param length of each in bytes, at most 128; what stands in it the program writes
     * @return how long it took in nanoseconds, without what comes before the first and after the last
     */
    public long run(BpfProgram program, int ifindex, int length, int count) {
        context.set(JAVA_INT, PacketRun.DATA_END, length);
        context.set(JAVA_INT, PacketRun.XDP_INGRESS_IFINDEX, ifindex);
        options.set(JAVA_INT, PacketRun.IN_SIZE, length);
        // The last run has left how long its frames were, and longer ones would not do.
        options.set(JAVA_INT, PacketRun.OUT_SIZE, 0);
        options.set(JAVA_INT, REPEAT, count);
        BpfProgram.Testing.run(program, options);
        return Integer.toUnsignedLong(options.get(JAVA_INT, PacketRun.DURATION)) * count;
    }

    @Override
    public void close() {
        arena.close();
    }
}
