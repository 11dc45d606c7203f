package io.shunt.cluster;

import org.jspecify.annotations.Nullable;

/** One thing that a source has to say, in the order in which it learnt it. */
public sealed interface Change {
    /** A Service came or is now like this; null: it is gone, or no longer this proxy's. */
    record ServiceChange(ObjectName name, @Nullable Service service) implements Change {}

    /** An EndpointSlice came or is now like this; null: it is gone, or no longer this proxy's. */
    record SliceChange(ObjectName name, @Nullable EndpointSlice slice) implements Change {}

    /** This node came or is now like this; null: it is gone. */
    record NodeChange(@Nullable Node node) implements Change {}

    /**
     * The source has told everything that existed when it started. Sent once; until then nothing that an earlier
     * process programmed may be taken away.
     */
    record Listed() implements Change {}
}
