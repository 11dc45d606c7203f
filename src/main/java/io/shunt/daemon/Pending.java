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
        if (change.slice() != null && change.slice().triggered() != null) {
            add(new Trigger(change.slice().family(), change.slice().triggered()));
        }
    }

    private void add(Trigger trigger) {
        if (triggers.isEmpty()) {
            triggers = new ArrayList<>(1);
        }
        if (triggers.size() < MOST_TRIGGERS) {
            triggers.add(trigger);
        }
    }

    /** Takes in those that came {@code later}, and still dates from its own arrival. */
    Pending join(Pending later) {
        serviceChanges += later.serviceChanges;
        sliceChanges += later.sliceChanges;
        later.triggers.forEach(this::add);
        return this;
    }

    /** Whether it is no change that waits: a Service is only to be looked at again. */
    boolean isEmpty() {
        return serviceChanges + sliceChanges == 0;
    }

    List<Trigger> triggers() {
        return triggers;
    }
}
