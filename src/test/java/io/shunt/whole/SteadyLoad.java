package io.shunt.whole;

import io.shunt.testbed.Load;
import io.shunt.testbed.Traffic;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** Conversations one after the other, on a thread of its own, until told to stop. */
final class SteadyLoad implements AutoCloseable {
    private static final Duration BREATH = Duration.ofMillis(200);

    private final Map<String, Long> outcomes = new ConcurrentHashMap<>();
    private final CompletableFuture<Void> ended;
    private volatile boolean stopped;

    SteadyLoad(Traffic traffic, Load.Kind kind, String address, int port) {
        // The common pool has one thread on two processors, where a second load would wait for the first to end.
        ended = CompletableFuture.runAsync(
                () -> {
                    while (!stopped) {
                        traffic.load(kind, address, port, BREATH, 1)
                                .outcomes()
                                .forEach((outcome, count) -> outcomes.merge(outcome, count, Long::sum));
                    }
                },
                work -> Thread.ofPlatform().name("steady-load").start(work));
    }

    /** How many went well or failed so far, by the errno's name. */
    Map<String, Long> outcomes() {
        return outcomes;
    }

    /** Ends it, and returns what all of it came to. */
    Map<String, Long> stop() {
        close();
        return outcomes;
    }

    @Override
    public void close() {
        stopped = true;
        ended.join();
    }
}
