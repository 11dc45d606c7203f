package io.shunt.cluster;

import io.shunt.net.Address;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One thing that a source has to say, in the order in which it learnt it. */
public sealed interface Change {
    /** A Service came or is now like this; null: it is gone, or no longer this proxy's. */
    record ServiceChange(ObjectName name, @Nullable Service service) implements Change {}

    /** An EndpointSlice came or is now like this; null: it is gone, or no longer this proxy's. */
    record SliceChange(ObjectName name, @Nullable EndpointSlice slice) implements Change {}

    /** This node came or is now like this; null: it is gone. */
    record NodeChange(@Nullable Node node) implements Change {}

    /** This host's addresses are now these, loopback included. */
    record HostAddressesChange(Set<Address> addresses) implements Change {
        public HostAddressesChange {
            addresses = Set.copyOf(addresses);
        }
    }

    /**
     * The source has told everything that existed when it started, as far as it could read it. Sent once; from then on
     * what it told can be programmed.
     */
    record Listed() implements Change {}

    /**
     * Nothing of what existed when the source started is missing any more. Sent once, with {@link Listed} or after it:
     * a manifest that has been broken since the start holds it back. Until then nothing that an earlier process
     * programmed may be taken away.
     */
    record Complete() implements Change {}
}
