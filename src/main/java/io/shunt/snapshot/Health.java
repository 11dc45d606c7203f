package io.shunt.snapshot;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * What the health answers are made of (kube-proxy pkg/proxy/healthcheck/proxy_health.go, but for the last).
 *
 * @param lastUpdated when the kernel was last made equal to the table, null before the first time
 * @param oldestQueued when the oldest change that waits to be programmed arrived, null if none waits
 * @param nodeEligible false while this Node is being deleted or is about to be
 * @param obstacle why clients from elsewhere reach no Service by this node, for people to read; "" if they do, or are not
 *     meant to
 */
public record Health(
        @Nullable Instant lastUpdated, @Nullable Instant oldestQueued, boolean nodeEligible, String obstacle) {
    /** Without an obstacle. */
    public Health(@Nullable Instant lastUpdated, @Nullable Instant oldestQueued, boolean nodeEligible) {
        this(lastUpdated, oldestQueued, nodeEligible, "");
    }

    /** The same with an obstacle, or with none. */
    public Health with(String itsObstacle) {
        return new Health(lastUpdated, oldestQueued, nodeEligible, itsObstacle);
    }
}
