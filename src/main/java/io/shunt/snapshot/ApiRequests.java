package io.shunt.snapshot;

import java.util.List;

/** Requests that were made to the API server since the daemon has started, each try counted. */
public record ApiRequests(List<Results> results, List<Latencies> latencies) {
    public ApiRequests {
        results = List.copyOf(results);
        latencies = List.copyOf(latencies);
    }

    /**
     * What became of them.
     *
     * @param code the HTTP status, or {@code <error>} where none came
     * @param method as {@code GET}
     * @param host {@code host:port}
     */
    public record Results(String code, String method, String host, long count) {}

    /**
     * How long answers took, watches left out.
     *
     * @param bounds upper bounds of the buckets in seconds, the last infinite
     * @param counts how many fell into each bucket alone
     */
    public record Latencies(String verb, String host, List<Double> bounds, List<Long> counts, double sumSeconds) {}
}
