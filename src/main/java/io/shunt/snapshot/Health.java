package io.shunt.snapshot;

import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * What the health answers are made of (kube-proxy pkg/proxy/healthcheck/proxy_health.go).
 *
 * @param lastUpdated when the kernel was last made equal to the table, null before the first time
 * @param oldestQueued when the oldest change that waits to be programmed arrived, null if none waits
 * @param nodeEligible false while this Node is being deleted or is about to be
 */
public record Health(
        @Nullable Instant lastUpdated, @Nullable Instant oldestQueued, boolean nodeEligible) {}
