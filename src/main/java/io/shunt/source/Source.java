package io.shunt.source;

import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.Occurrence;

/**
 * Where Services, EndpointSlices and this Node come from. Bad input never ends a source: it keeps what it last told,
 * shows a {@link Problem}, and goes on trying until it is closed.
 */
public interface Source extends AutoCloseable {
    /**
     * Starts telling, from threads of its own, and returns at once. Everything that exists is told first, then
     * {@link io.shunt.cluster.Change.Listed} once and {@link io.shunt.cluster.Change.Complete} once, then what changes.
     * Only real differences are told.
     *
     * @throws IllegalStateException if it was started before
     */
    void start(ChangeSink sink);

    /** How it stands now. Callable from any thread, also before the start and after the end. */
    SourceStatus status();

    /** What it has counted since it was made; the same object at every call. */
    SourceCounters counters();

    /**
     * Leaves word of something in the cluster, for people to find, where the source is a cluster that keeps such.
     * Returns at once; what cannot be written is lost.
     */
    default void report(Occurrence occurrence) {}

    /** Ends it. When this returns nothing more is told; calling it again does nothing. */
    @Override
    void close();
}
