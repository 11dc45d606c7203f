package io.shunt.testbed;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/** Things to close together, the last one first. One that fails does not keep the others open. */
public final class Closing implements AutoCloseable {
    private final Deque<AutoCloseable> things = new ArrayDeque<>();

    /** Adds a thing and returns it. */
    public <T extends AutoCloseable> T add(T thing) {
        things.push(thing);
        return thing;
    }

    @Override
    public void close() {
        IllegalStateException failure = null;
        for (AutoCloseable thing = things.poll(); thing != null; thing = things.poll()) {
            failure = close(thing, failure);
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** Closes everything because of a failure, and returns that failure. */
    public RuntimeException closeAfter(RuntimeException failure) {
        try {
            close();
        } catch (IllegalStateException e) {
            failure.addSuppressed(e);
        }
        return failure;
    }

    private static @Nullable IllegalStateException close(AutoCloseable thing, @Nullable IllegalStateException failure) {
        try {
            thing.close();
            return failure;
        } catch (Exception e) {
            IllegalStateException all = failure == null ? new IllegalStateException("cannot clean up") : failure;
            all.addSuppressed(e);
            return all;
        }
    }
}
