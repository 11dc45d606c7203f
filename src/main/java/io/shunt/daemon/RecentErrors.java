package io.shunt.daemon;

import io.shunt.snapshot.Status;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** The last errors, for people to look at; the same error again only moves to the front. Safe from any thread. */
final class RecentErrors {
    private static final int KEPT = 20;

    private final Deque<Status.ErrorView> errors = new ArrayDeque<>(KEPT);

    /** @return whether it is new, and so worth a line in the log */
    synchronized boolean add(String object, String message) {
        boolean known = errors.removeIf(
                error -> error.object().equals(object) && error.message().equals(message));
        errors.addFirst(new Status.ErrorView(Instant.now(), object, message));
        if (errors.size() > KEPT) {
            errors.removeLast();
        }
        return !known;
    }

    /** Newest first. */
    synchronized List<Status.ErrorView> list() {
        return new ArrayList<>(errors);
    }
}
