package io.shunt.daemon;

import io.shunt.cluster.Change;
import io.shunt.cluster.ChangeSink;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What waits for the control thread, in the order of arrival: changes from the source, and tasks that must run on that
 * thread. Anyone may put something in; only the control thread takes out.
 */
final class Inbox implements ChangeSink, Executor {
    sealed interface Item {
        /** {@link System#nanoTime} when it came. */
        long arrivedNanos();
    }

    /** Changes that came together. */
    record Arrival(List<Change> changes, long arrivedNanos) implements Item {}

    record Task(Runnable task, long arrivedNanos) implements Item {}

    private final LinkedBlockingQueue<Item> items = new LinkedBlockingQueue<>();

    @Override
    public void accept(Change change) {
        acceptAll(List.of(change));
    }

    @Override
    public void acceptAll(List<Change> changes) {
        items.add(new Arrival(changes, System.nanoTime()));
    }

    @Override
    public void execute(Runnable task) {
        items.add(new Task(task, System.nanoTime()));
    }

    /** For how long the next item has waited to be taken out, null if there is none. Safe from any thread. */
    @Nullable
    Duration oldest() {
        Item next = items.peek();
        return next == null ? null : Duration.ofNanos(System.nanoTime() - next.arrivedNanos());
    }

    /** The next item, or null if there is none at once. */
    @Nullable
    Item poll() {
        return items.poll();
    }

    /** The next item, or null if none comes within the time. */
    @Nullable
    Item poll(long timeoutNanos) throws InterruptedException {
        return items.poll(timeoutNanos, TimeUnit.NANOSECONDS);
    }
}
