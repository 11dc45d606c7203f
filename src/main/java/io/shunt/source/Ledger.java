package io.shunt.source;

import io.shunt.cluster.Change;
import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.source.SourceCounters.Kind;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a source has told, so that it tells only real differences. Its lock makes the sink hear one change at a time.
 * It keeps references to the records that the sink was given, no copies.
 */
final class Ledger {
    private final Map<ObjectName, Service> services = new HashMap<>();
    private final Map<ObjectName, EndpointSlice> slices = new HashMap<>();
    private final SourceCounters counters;
    private @Nullable Node node;
    private @Nullable ChangeSink sink;
    private @Nullable Instant lastTold;
    /** What has to be told together and is not told yet; null while nothing has to. */
    private @Nullable List<Change> collected;

    private boolean listed;
    private boolean complete;

    Ledger(SourceCounters counters) {
        this.counters = counters;
    }

    /** From now on {@code sink} is told. */
    synchronized void open(ChangeSink sink) {
        if (this.sink != null) {
            throw new IllegalStateException("a source starts only once");
        }
        this.sink = sink;
    }

    /**
     * Tells as made together what {@code changes} tells: nothing before it ends. For a source that tells from one
     * thread.
     */
    void together(Runnable changes) {
        collect();
        try {
            changes.run();
        } finally {
            tellCollected();
        }
    }

    private synchronized void collect() {
        collected = new ArrayList<>();
    }

    private synchronized void tellCollected() {
        List<Change> changes = collected == null ? List.of() : List.copyOf(collected);
        collected = null;
        if (sink != null && !changes.isEmpty()) {
            sink.acceptAll(changes);
        }
    }

    /** From now on nobody is told. */
    synchronized void close() {
        sink = change -> {};
    }

    synchronized void service(ObjectName name, @Nullable Service service) {
        if (differs(services, name, service)) {
            tell(Kind.SERVICE, service == null, new Change.ServiceChange(name, service));
        }
    }

    synchronized void slice(ObjectName name, @Nullable EndpointSlice slice) {
        EndpointSlice before = slices.get(name);
        EndpointSlice now = slice == null || before == null ? slice : slice.sharing(before);
        if (differs(slices, name, now)) {
            tell(Kind.ENDPOINT_SLICE, now == null, new Change.SliceChange(name, now));
        }
    }

    synchronized void node(@Nullable Node node) {
        if (!Objects.equals(this.node, node)) {
            this.node = node;
            tell(Kind.NODE, node == null, new Change.NodeChange(node));
        }
    }

    /** Tells that everything has been told; only the first call does. */
    synchronized void listed() {
        if (!listed && sink != null) {
            listed = true;
            sink.accept(new Change.Listed());
        }
    }

    /** Tells that nothing is missing any more; only the first call does. */
    synchronized void complete() {
        listed();
        if (!complete && sink != null) {
            complete = true;
            sink.accept(new Change.Complete());
        }
    }

    private static <T> boolean differs(Map<ObjectName, T> told, ObjectName name, @Nullable T now) {
        T before = now == null ? told.remove(name) : told.put(name, now);
        return !Objects.equals(before, now);
    }

    private void tell(Kind kind, boolean gone, Change change) {
        counters.told(kind, gone);
        lastTold = Instant.now();
        if (collected != null) {
            collected.add(change);
        } else if (sink != null) {
            sink.accept(change);
        }
    }

    /** When it last told something, null if never. */
    synchronized @Nullable Instant lastTold() {
        return lastTold;
    }

    synchronized SourceStatus status(
            String kind, String description, @Nullable Instant lastEvent, List<Problem> problems) {
        return new SourceStatus(kind, description, listed, lastEvent, services.size(), slices.size(), problems);
    }
}
