package io.shunt.daemon;

import io.shunt.cluster.Change;
import io.shunt.net.IpFamily;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** Changes to one Service that wait together to be programmed. */
final class Pending {
    /** {@link System#nanoTime} when the oldest of them arrived. */
    final long arrivedNanos;

    /** The same by the clock. */
    final Instant arrived;

    int serviceChanges;
    int sliceChanges;
    /** When a slice says that its change happened. */
    record Trigger(IpFamily family, Instant at) {}

    /** More are forgotten: nothing may be programmed for hours, while the source cannot list. */
    private static final int MOST_TRIGGERS = 100;

    /** Most have one slice, or none that says. */
    private List<Trigger> triggers = List.of();

    Pending(long arrivedNanos) {
        this.arrivedNanos = arrivedNanos;
        arrived = Instant.now().minusNanos(System.nanoTime() - arrivedNanos);
    }

    void add(Change.SliceChange change) {
        sliceChanges++;
        if (change.slice() != null && change.slice().triggered() != null && triggers.size() < MOST_TRIGGERS) {
            if (triggers.isEmpty()) {
                triggers = new ArrayList<>(1);
            }
            triggers.add(new Trigger(change.slice().family(), change.slice().triggered()));
        }
    }

    List<Trigger> triggers() {
        return triggers;
    }
}
