package io.shunt.snapshot;

import io.shunt.net.IpFamily;

/**
 * Ports of Services that have endpoints, but none on this node, while their policy keeps traffic on it.
 *
 * @param policy which of the two policies says so
 * @param count virtual services
 */
public record LocalShortage(Policy policy, IpFamily family, int count) {
    /** The traffic policies of a Service. */
    public enum Policy {
        INTERNAL,
        EXTERNAL
    }
}
