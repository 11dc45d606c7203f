package io.shunt.daemon;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * Clears the heap's old garbage before it makes the heap grow. Every change leaves some, as what it replaces is old; the
 * serial collector would enlarge the heap to its limit before it looks, and the node would pay for garbage.
 */
final class OldGarbage {
    private static final long LOOK_NANOS = 1_000_000_000L;
    private static final long LITTLE_BYTES = 4 << 20;

    /** The old part of the heap. */
    interface OldGeneration {
        /** What it holds now, garbage and all, in bytes. */
        long usedBytes();

        /** What it held after the last full collection. */
        long liveBytes();

        /** Collects the whole heap, and returns when that is done. */
        void collect();
    }

    private final Optional<OldGeneration> old;
    private final LongSupplier nanoTime;
    private long lookAtNanos;

    /**
     * @param old empty if there is none that is worth to look after
     * @param nanoTime as {@link System#nanoTime}
     */
    OldGarbage(Optional<OldGeneration> old, LongSupplier nanoTime) {
        this.old = old;
        this.nanoTime = nanoTime;
        lookAtNanos = nanoTime.getAsLong() + LOOK_NANOS;
    }

    /** That of this process; it does nothing if the collector has no old generation that collects on its own. */
    static OldGarbage ofThisProcess() {
        return new OldGarbage(
                ManagementFactory.getMemoryPoolMXBeans().stream()
                        .filter(pool -> pool.getName().equals("Tenured Gen"))
                        .findAny()
                        .map(Tenured::new),
                System::nanoTime);
    }

    private record Tenured(MemoryPoolMXBean pool) implements OldGeneration {
        @Override
        public long usedBytes() {
            return pool.getUsage().getUsed();
        }

        @Override
        public long liveBytes() {
            return pool.getCollectionUsage().getUsed();
        }

        @Override
        public void collect() {
            System.gc();
        }
    }

    /**
     * Looks once a second at most. A full collection stops the daemon, not the traffic, for some 100 ms at 100,000
     * endpoints: so while changes come, it waits until there is more to gain.
     *
     * @param quiet whether nothing has come for a second
     */
    void clear(boolean quiet) {
        long now = nanoTime.getAsLong();
        if (now - lookAtNanos < 0) {
            return;
        }
        lookAtNanos = now + LOOK_NANOS;
        old.ifPresent(generation -> {
            long live = generation.liveBytes();
            long garbage = generation.usedBytes() - live;
            if (garbage > (quiet ? LITTLE_BYTES + live / 8 : 4 * LITTLE_BYTES + live / 2)) {
                generation.collect();
            }
        });
    }
}
