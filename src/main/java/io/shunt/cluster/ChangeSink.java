package io.shunt.cluster;

import java.util.List;

/** Takes what a source has to say. Called from the source's own threads, one at a time; never blocks for long. */
@FunctionalInterface
public interface ChangeSink {
    void accept(Change change);

    /** Takes changes that were made together, as by one edit of a file; nobody should act on a part of them. */
    default void acceptAll(List<Change> changes) {
        changes.forEach(this::accept);
    }
}
