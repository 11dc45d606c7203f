package io.shunt.daemon;

import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.util.Optional;

/**
 * Clears the heap's old garbage before it makes the heap grow. Every change leaves some, as what it replaces is old; the
 * serial collector would enlarge the heap to its limit before it looks, and the node would pay for garbage.
 */
final class OldGarbage {
    private static final long LOOK_NANOS = 1_000_000_000L;
    private static final long LITTLE_BYTES = 4 << 20;

    /** Empty if the collector has no old generation that collects on its own. */
    private final Optional<MemoryPoolMXBean> old = ManagementFactory.getMemoryPoolMXBeans().stream()
            .filter(pool -> pool.getName().equals("Tenured Gen"))
            .findAny();

    private long lookAtNanos = System.nanoTime() + LOOK_NANOS;

    /**
     * Looks once a second at most. A full collection stops the daemon, not the traffic, for some 100 ms at 100,000
     * endpoints: so while changes come, it waits until there is more to gain.
     *
     * @param quiet whether nothing has come for a second
     */
    void clear(boolean quiet) {
        long now = System.nanoTime();
        if (now - lookAtNanos < 0) {
            return;
        }
        lookAtNanos = now + LOOK_NANOS;
        old.ifPresent(pool -> {
            long live = pool.getCollectionUsage().getUsed();
            long since = pool.getUsage().getUsed() - live;
            if (since > (quiet ? LITTLE_BYTES + live / 8 : 4 * LITTLE_BYTES + live / 2)) {
                System.gc();
            }
        });
    }
}
