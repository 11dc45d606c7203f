package io.shunt.flow;

import io.shunt.flow.Flows.Page;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The last drops. Every reader knows for itself how far it is, so that one that dawdles holds nothing but its own place:
 * what it comes too late for is gone. Safe from any thread.
 */
final class DropLog {
    private final int most;
    private final Deque<Drop> drops = new ArrayDeque<>();
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition appended = lock.newCondition();

    /** Of the time, so that ids of the next process are greater: none tells of a drop in less than a microsecond. */
    private final long before = ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());

    private long lastId = before;

    /** @param most how many are kept */
    DropLog(int most) {
        this.most = most;
    }

    /** Keeps drops, and gives them their ids. */
    void append(List<Drop> more) {
        lock.lock();
        try {
            for (Drop drop : more) {
                if (drops.size() == most) {
                    drops.removeFirst();
                }
                drops.addLast(drop.withId(++lastId));
            }
            appended.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** As {@link Flows#drops}. */
    Page after(long id, Duration wait) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            // Nobody has heard of what is still to come, but for a clock that was set back between two processes.
            long known = Math.min(id, lastId);
            long left = wait.toNanos();
            while (left > 0 && (drops.isEmpty() || lastId == known)) {
                left = appended.awaitNanos(left);
            }
            long gone = lastId - drops.size();
            long lost = id == 0 ? 0 : Math.max(0, gone - Math.max(known, before));
            List<Drop> found = drops.stream().filter(drop -> drop.id() > known).toList();
            return new Page(found, lost, lastId);
        } finally {
            lock.unlock();
        }
    }
}
