package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Syscalls;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Waits for the kernel's RCU readers: a cgroup program runs inside one read-side section, so when membarrier's
 * synchronize_rcu() returns, every program that could hold an old id has ended. What is freed while one wait is under
 * way shares the next. Waits on a thread of its own, because the system call takes milliseconds.
 */
final class RcuGracePeriod implements GracePeriod, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(RcuGracePeriod.class);

    /** Longer than any program can run; used where the kernel refuses the barrier (nohz_full). */
    private static final long FALLBACK_NANOS = 1_000_000_000L;

    private final Executor control;
    private final ExecutorService waiter = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("shunt-grace").daemon().factory());
    private List<Runnable> open = new ArrayList<>();
    private boolean waiting;
    private boolean barrier = true;

    /** @param control runs tasks on the thread that calls {@link #after}, in order */
    RcuGracePeriod(Executor control) {
        this.control = control;
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
                synchronize();
                control.execute(() -> free(batch));
            });
        } catch (RejectedExecutionException e) {
            log.debug("stopping: what waits for its grace period is found by the next start");
        }
    }

    private void synchronize() {
        if (barrier) {
            try {
                Syscalls.membarrierGlobal();
                return;
            } catch (BpfException e) {
                barrier = false;
                log.warn("no RCU barrier here ({}): freed entries rest for a second instead", e.getMessage());
            }
        }
        LockSupport.parkNanos(FALLBACK_NANOS);
    }

    private void free(List<Runnable> batch) {
        for (Runnable free : batch) {
            try {
                free.run();
            } catch (RuntimeException e) {
                log.error("could not free an entry; the next start will", e);
            }
        }
        waiting = false;
        if (!open.isEmpty()) {
            waitForReaders();
        }
    }

    /** Ends the thread; what still waits is not freed. */
    @Override
    public void close() {
        waiter.shutdownNow();
    }
}
