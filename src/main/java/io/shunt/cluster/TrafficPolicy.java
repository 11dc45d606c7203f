package io.shunt.cluster;

/** Which endpoints a Service's traffic may go to ({@code internalTrafficPolicy}, {@code externalTrafficPolicy}). */
public enum TrafficPolicy {
    /** All of them, hints of topology permitting. */
    CLUSTER,
    /** Those on this node only. */
    LOCAL
}
