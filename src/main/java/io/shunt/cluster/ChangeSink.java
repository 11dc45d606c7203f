package io.shunt.cluster;

/** Takes what a source has to say. Called from the source's own threads, one at a time; never blocks for long. */
@FunctionalInterface
public interface ChangeSink {
    void accept(Change change);
}
