package io.shunt.source;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;

/** Requests to an API server as client-go counts them, each try for itself. Reading and counting never block. */
public final class RequestCounters {
    /** Upper bounds in seconds (k8s.io/component-base/metrics/prometheus/restclient/metrics.go). */
    private static final List<Double> BOUNDS =
            List.of(0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, Double.POSITIVE_INFINITY);

    private static final double NANOS = 1e9;

    /**
     * What became of a request.
     *
     * @param code the HTTP status, or {@code <error>} where none came
     * @param host {@code host:port}
     */
    public record Result(String code, String method, String host) {}

    /** Which requests are timed together. */
    public record Verb(String verb, String host) {}

    /**
     * How long they took until the answer's head had come.
     *
     * @param bounds upper bounds of the buckets in seconds, the last infinite
     * @param counts how many fell into each bucket alone
     */
    public record Latency(List<Double> bounds, List<Long> counts, double sumSeconds) {}

    private final Map<Result, LongAdder> results = new ConcurrentHashMap<>();
    private final Map<Verb, Durations> durations = new ConcurrentHashMap<>();

    private static final class Durations {
        final AtomicLongArray counts = new AtomicLongArray(BOUNDS.size());
        final DoubleAdder sumSeconds = new DoubleAdder();
    }

    /** How often each result was had. */
    public Map<Result, Long> results() {
        Map<Result, Long> counted = new ConcurrentHashMap<>();
        results.forEach((result, count) -> counted.put(result, count.sum()));
        return counted;
    }

    /** How long requests other than watches took. */
    public Map<Verb, Latency> latencies() {
        Map<Verb, Latency> latencies = new ConcurrentHashMap<>();
        durations.forEach((verb, taken) -> {
            List<Long> counts = new ArrayList<>(BOUNDS.size());
            for (int i = 0; i < BOUNDS.size(); i++) {
                counts.add(taken.counts.get(i));
            }
            latencies.put(verb, new Latency(BOUNDS, counts, taken.sumSeconds.sum()));
        });
        return latencies;
    }

    void had(Result result) {
        results.computeIfAbsent(result, any -> new LongAdder()).increment();
    }

    void took(Verb verb, long nanos) {
        double seconds = nanos / NANOS;
        int bucket = Collections.binarySearch(BOUNDS, seconds);
        Durations taken = durations.computeIfAbsent(verb, any -> new Durations());
        taken.counts.incrementAndGet(bucket >= 0 ? bucket : -bucket - 1);
        taken.sumSeconds.add(seconds);
    }
}
