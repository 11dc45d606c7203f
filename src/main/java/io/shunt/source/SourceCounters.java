package io.shunt.source;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.LongAdder;

/** What a source has counted since it was made. All of it only grows; reading and counting never block. */
public final class SourceCounters {
    /** The kinds of object that a source tells of. */
    public enum Kind {
        SERVICE,
        ENDPOINT_SLICE,
        NODE;

        /** Lower case with underscores, as a metric's label has it. */
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private final Map<Kind, LongAdder> sets = adders(Kind.class);
    private final Map<Kind, LongAdder> deletes = adders(Kind.class);
    private final Map<Problem.Cause, LongAdder> errors = adders(Problem.Cause.class);

    private final RequestCounters requests = new RequestCounters();

    private static <E extends Enum<E>> Map<E, LongAdder> adders(Class<E> keys) {
        Map<E, LongAdder> adders = new EnumMap<>(keys);
        for (E key : keys.getEnumConstants()) {
            adders.put(key, new LongAdder());
        }
        return adders;
    }

    /** How often an object of that kind was told as new or changed. */
    public long sets(Kind kind) {
        return of(sets, kind).sum();
    }

    /** How often an object of that kind was told as gone. */
    public long deletes(Kind kind) {
        return of(deletes, kind).sum();
    }

    /** How often something went wrong for that cause; each failed try of a request counts. */
    public long errors(Problem.Cause cause) {
        return of(errors, cause).sum();
    }

    /** Its requests to an API server; none of a source that asks no API server. */
    public RequestCounters requests() {
        return requests;
    }

    void told(Kind kind, boolean gone) {
        of(gone ? deletes : sets, kind).increment();
    }

    void failed(Problem.Cause cause) {
        of(errors, cause).increment();
    }

    private static <E extends Enum<E>> LongAdder of(Map<E, LongAdder> adders, E key) {
        return Objects.requireNonNull(adders.get(key));
    }
}
