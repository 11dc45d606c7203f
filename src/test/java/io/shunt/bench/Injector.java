package io.shunt.bench;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.shunt.datapath.Packet;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.BpfTcFilter;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.LiveFrames;
import io.shunt.libbpf.StructCheck;
import io.shunt.libbpf.Syscalls;
import io.shunt.libbpf.TcDirection;
import io.shunt.libbpf.TestObject;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/**
 * Gives devices frames as though these had come in by them, on the machine's last CPU, and takes them away where they
 * arrive (src/test/bpf/inject.bpf.c).
 */
final class Injector implements AutoCloseable {
    /** A number for each conversation that there can be; so many, each frame begins one. */
    static final int EACH_ANOTHER = Integer.MAX_VALUE;

    private static final int ROOM = 128;

    private static final StructLayout ORDER = MemoryLayout.structLayout(
                    MemoryLayout.sequenceLayout(ROOM, JAVA_BYTE).withName("frame"),
                    JAVA_INT.withName("last"),
                    JAVA_INT.withName("sent"),
                    JAVA_INT.withName("drops"),
                    JAVA_INT.withName("answers"),
                    JAVA_INT.withName("port"),
                    JAVA_INT.withName("unused"),
                    JAVA_LONG.withName("arrived"))
            .withName("order");

    private static final long LAST = offset("last");
    private static final long DROPS = offset("drops");
    private static final long ANSWERS = offset("answers");
    private static final long PORT = offset("port");
    private static final long ARRIVED = offset("arrived");

    private final Closing closing = new Closing();
    private final ExecutorService thread = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("injector").daemon().factory());
    private final Arena arena = Arena.ofShared();
    private final BpfObject object;
    private final BpfMap next;
    private final MemorySegment order;
    private final LiveFrames frames;

    /** @param port at which all backends are */
    Injector(int port) {
        closing.add(arena);
        try {
            object = closing.add(TestObject.loaded("inject"));
            StructCheck.verify(object.btf(), ORDER);
            next = object.map("next");
            order = object.map(".bss").mmap(arena);
            order.set(JAVA_SHORT.withOrder(ByteOrder.BIG_ENDIAN), PORT, (short) port);
            frames = closing.add(new LiveFrames());
            // Closed before what it may still be at.
            closing.add(thread);
            call(Injector::bindToLastCpu);
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    private static long offset(String member) {
        return ORDER.byteOffset(PathElement.groupElement(member));
    }

    private static int bindToLastCpu() throws IOException, InterruptedException {
        Path task = Files.readSymbolicLink(Path.of("/proc/thread-self"));
        String cpu = Integer.toString(Runtime.getRuntime().availableProcessors() - 1);
        int status = new ProcessBuilder(
                        "taskset",
                        "--cpu-list",
                        "--pid",
                        cpu,
                        task.getFileName().toString())
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start()
                .waitFor();
        if (status != 0) {
            throw new IOException("taskset: exit " + status);
        }
        return status;
    }

    /** Takes away what comes in by a device, and counts it. Goes with the device. */
    void countAt(Namespace namespace, String device) {
        int ifindex = namespace.index(device);
        namespace.call(() -> {
            new BpfTcFilter(ifindex, TcDirection.INGRESS, 1, 1).attach(object.program("sink"));
            return ifindex;
        });
    }

    /** The same at the driver, where what another driver sends arrives. */
    void countAtDriver(Namespace namespace, String device) {
        int ifindex = namespace.index(device);
        closing.add(namespace.call(
                () -> BpfLink.create(object.program("driver_sink"), ifindex, AttachType.XDP, BpfLink.XDP_NATIVE)));
    }

    /**
     * Of what is sent.
     *
     * @param frame of an even length, up to 128 bytes, from an address that ends in two zero bytes, and port 0: the
     *     conversation's number takes their place
     * @param last the last conversation's number, one less than a power of two
     * @param driver the program at the driver; null: there is none, or none that has to be called
     * @param goesNowhere whether no device is given the frames
     * @param isAnswered whether each frame is answered by whom it reaches
     */
    record Frames(Packet frame, int last, @Nullable BpfProgram driver, boolean goesNowhere, boolean isAnswered) {}

    /** @param arrived how many have been counted, answers included */
    record Sent(long nanos, int frames, long arrived) {}

    /** Sends so many frames. When it returns, all that came of them has come. */
    Sent send(Namespace namespace, int ifindex, Frames what, int count) {
        byte[] bytes = what.frame.bytes();
        if (bytes.length > ROOM || bytes.length % 2 != 0) {
            throw new IllegalArgumentException("a frame of " + bytes.length + " bytes");
        }
        MemorySegment.copy(bytes, 0, order, JAVA_BYTE, 0, bytes.length);
        order.set(JAVA_INT, LAST, what.last);
        order.set(JAVA_INT, DROPS, what.goesNowhere ? 1 : 0);
        order.set(JAVA_INT, ANSWERS, what.isAnswered ? 1 : 0);
        order.set(JAVA_LONG, ARRIVED, 0);
        try (Arena call = Arena.ofConfined()) {
            MemorySegment first = call.allocate(JAVA_INT);
            if (what.driver == null) {
                next.delete(first);
            } else {
                next.update(first, call.allocateFrom(JAVA_INT, what.driver.fd()), BpfMap.ANY);
            }
        }
        long nanos = call(() -> {
            try (Fd file = Syscalls.open(namespace.path())) {
                Syscalls.enterNetworkNamespace(file);
            }
            return frames.run(object.program("inject"), ifindex, bytes.length, count);
        });
        return new Sent(nanos, count, order.get(JAVA_LONG, ARRIVED));
    }

    private <T> T call(Callable<T> call) {
        try {
            return thread.submit(call).get();
        } catch (ExecutionException e) {
            throw new IllegalStateException("frames cannot be injected", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new Progress.StoppedException();
        }
    }

    @Override
    public void close() {
        closing.close();
    }
}
