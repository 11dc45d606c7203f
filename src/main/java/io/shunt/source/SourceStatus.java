package io.shunt.source;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How a source stands.
 *
 * @param kind {@code kubernetes} or {@code file}
 * @param description the API server's URL or the directory
 * @param listed whether everything that existed at the start has been told
 * @param lastEvent a file source: when it last told something. A Kubernetes source: when it last heard anything of the
 *     watch that has been silent longest, bookmarks too, which an API server sends about once a minute. Null if never
 * @param services how many Services it has told and not taken back
 * @param endpointSlices how many EndpointSlices it has told and not taken back
 * @param problems what is wrong now, in the order of {@link Problem#toString}
 */
public record SourceStatus(
        String kind,
        String description,
        boolean listed,
        @Nullable Instant lastEvent,
        int services,
        int endpointSlices,
        List<Problem> problems) {
    public SourceStatus {
        problems = List.copyOf(problems);
    }
}
