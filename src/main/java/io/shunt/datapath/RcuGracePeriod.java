package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.RcuBarrier;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Waits for the kernel's RCU readers: a cgroup program runs inside one read-side section, so when the barrier returns,
 * every program that could hold an old id has ended. What is freed while one wait is under way shares the next. Waits on
 * a thread of its own, because it takes milliseconds.
 */
final class RcuGracePeriod implements GracePeriod, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(RcuGracePeriod.class);

    private final Executor control;
    private final RcuBarrier barrier = new RcuBarrier();
    private final ExecutorService waiter = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("shunt-grace").daemon().factory());
    private List<Runnable> open = new ArrayList<>();
    private boolean waiting;
    private volatile boolean closed;

    /** @param control runs tasks on the thread that calls {@link #after}, in order */
    RcuGracePeriod(Executor control) {
        this.control = control;
    }

    /** Waits for one here and now. */
    void await() {
        barrier.await();
    }

    @Override
    public void after(Runnable free) {
        open.add(free);
        if (!waiting) {
            waitForReaders();
        }
    }

    private void waitForReaders() {
        List<Runnable> batch = open;
        open = new ArrayList<>();
        waiting = true;
        try {
            waiter.execute(() -> {
                boolean passed = passes();
                control.execute(() -> end(batch, passed));
            });
        } catch (RejectedExecutionException e) {
            log.debug("stopping: what waits for its grace period is found by the next start");
        }
    }

    private boolean passes() {
        try {
            barrier.await();
            return true;
        } catch (BpfException e) {
            log.error("could not wait for a grace period; what it frees waits for the next", e);
            return false;
        }
    }

    private void end(List<Runnable> batch, boolean passed) {
        waiting = false;
        if (closed) {
            return;
        }
        if (!passed) {
            open.addAll(0, batch);
            return;
        }
        batch.forEach(RcuGracePeriod::free);
        if (!waiting && !open.isEmpty()) {
            waitForReaders();
        }
    }

    private static void free(Runnable free) {
        try {
            free.run();
        } catch (RuntimeException e) {
            log.error("could not free an entry; the next start will", e);
        }
    }

    /** Ends the thread, after the wait that is under way; what still waits is not freed. */
    @Override
    public void close() {
        closed = true;
        waiter.close();
        barrier.close();
    }
}
