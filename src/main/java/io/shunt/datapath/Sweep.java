package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Forgets flows that have ended or been silent for too long, and counts the others: runs a program of sweep.bpf.c every few
 * seconds, on a thread of its own. While no daemon runs nothing is forgotten, so that established conversations go on.
 */
public final class Sweep implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Sweep.class);
    private static final long PERIOD_SECONDS = 5;

    private final @Nullable BpfObject object;
    private final Kind kind;
    private final ScheduledExecutorService scheduler = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("shunt-sweep").daemon().factory());
    private long forgottenEntries;
    private long evictedEntries;
    private @Nullable Integer pushedOutBefore;
    private volatile Flows flows = new Flows(-1, 0, 0);
    private volatile String trouble;

    /**
     * The flows that the kernel remembers.
     *
     * @param inUse as of the last run; -1 before the first
     * @param forgotten since this was opened
     * @param evicted since the first run, before they were confirmed, to make room for others
     */
    public record Flows(int inUse, long forgotten, long evicted) {}

    /** The programs of sweep.bpf.c, of which one is loaded. They do the same. */
    enum Kind {
        MAY_SLEEP("sweep", 0),
        /** For kernels before Linux 6.1, which refuse the other. */
        AWAKE("sweep_awake", 60);

        private final String program;
        /** Bytes that it has to be given: any, where it takes some. */
        private final int packet;

        Kind(String program, int packet) {
            this.program = program;
            this.packet = packet;
        }
    }

    /** @param object null if the kernel refuses it */
    private Sweep(@Nullable BpfObject object, Kind kind, String trouble) {
        this.object = object;
        this.kind = kind;
        this.trouble = trouble;
    }

    /**
     * Starts. If the kernel refuses both programs nothing is forgotten, and {@link #trouble} says why.
     *
     * @param installation has to be open for as long as this is
     */
    public static Sweep open(Installation installation, FlowTimeouts timeouts) {
        try {
            Sweep sweep = load(installation.packets().maps(), timeouts);
            sweep.scheduler.scheduleWithFixedDelay(sweep::run, 0, PERIOD_SECONDS, TimeUnit.SECONDS);
            return sweep;
        } catch (BpfException e) {
            log.error("flows that have ended are not forgotten: {}", e.getMessage());
            return new Sweep(
                    null,
                    Kind.AWAKE,
                    "the kernel refuses the program for it (" + Installation.refusal(e)
                            + "). Run a newer kernel, or do without packet programs by --devices=none");
        }
    }

    /** Loads the program that may sleep, or if the kernel refuses it, the other. It runs when it is told to. */
    static Sweep load(Collection<BpfMap> maps, FlowTimeouts timeouts) {
        try {
            return load(maps, timeouts, Kind.MAY_SLEEP);
        } catch (BpfException e) {
            log.info("flows are forgotten by a program that cannot sleep, as {}", Installation.refusal(e));
            return load(maps, timeouts, Kind.AWAKE);
        }
    }

    static Sweep load(Collection<BpfMap> maps, FlowTimeouts timeouts, Kind kind) {
        BpfObject object =
                Installation.read("sweep", List.of(Layouts.FLOW, Layouts.ROUTED_FLOW, Layouts.TIMEOUTS, Layouts.SWEEP));
        try {
            for (Kind each : Kind.values()) {
                object.program(each.program).setAutoload(each == kind);
            }
            object.share(maps);
            timeouts.writeTo(object);
            object.load();
            return new Sweep(object, kind, "");
        } catch (RuntimeException e) {
            object.close();
            throw e;
        }
    }

    /** One run. */
    void run() {
        BpfObject running = object;
        if (running == null) {
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment counted = arena.allocate(Layouts.SWEEP);
            MemorySegment packet = kind.packet == 0 ? null : arena.allocate(kind.packet);
            running.program(kind.program).testRun(packet, null, null, 1);
            running.map(".bss").lookup(arena.allocate(JAVA_INT), counted);
            countEvicted(count(counted, "pushed_out"));
            forgottenEntries += count(counted, "forgotten") + count(counted, "given_up");
            // The two of a flow may go in two runs.
            flows = new Flows(
                    (count(counted, "kept") + 1) / MapSizes.ENTRIES_A_FLOW,
                    forgottenEntries / MapSizes.ENTRIES_A_FLOW,
                    evictedEntries / MapSizes.ENTRIES_A_FLOW);
            trouble = "";
        } catch (BpfException e) {
            String message = String.valueOf(e.getMessage());
            if (!message.equals(trouble)) {
                log.error("flows that have ended are not forgotten: {}", message);
            }
            trouble = message;
        }
    }

    /** The programs count since the map was made, modulo 2^32. */
    private void countEvicted(int pushedOut) {
        if (pushedOutBefore != null) {
            evictedEntries += Integer.toUnsignedLong(pushedOut - pushedOutBefore);
        }
        pushedOutBefore = pushedOut;
    }

    private static int count(MemorySegment counted, String member) {
        return counted.get(JAVA_INT, Layouts.offset(Layouts.SWEEP, member));
    }

    /** What the last run has found. Safe from any thread. */
    public Flows flows() {
        return flows;
    }

    /** Why the last run has failed, or there is none; "" if it has not. Safe from any thread. */
    public String trouble() {
        return trouble;
    }

    @Override
    public void close() {
        scheduler.shutdown();
        try {
            if (!scheduler.awaitTermination(1, TimeUnit.MINUTES)) {
                log.warn("a sweep of the flows still runs");
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        }
        if (object != null) {
            object.close();
        }
    }
}
