package io.shunt.daemon;

import io.shunt.cluster.ObjectName;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Services that the kernel does not have as wanted: why, and since when it does not do what it was told. All are tried
 * again every second: room may have come, or a passing error passed. Used by the control thread alone.
 */
final class Failures {
    private static final long RETRY_NANOS = 1_000_000_000L;

    /**
     * @param lastingSince when the change arrived since which the kernel has not done what it was told; null where there
     *     is no room, or an address is another's, which is that Service's trouble alone and not the daemon's illness
     */
    private record Failed(String message, @Nullable Instant lastingSince) {}

    private final Map<ObjectName, Failed> failures = new HashMap<>();
    private @Nullable Instant oldestLasting;
    private long retryAtNanos;

    /**
     * The Service has failed, whether or not it had before.
     *
     * @param arrived when the change came
     * @param lasting whether the kernel did not do what it was told
     * @return whether this is news
     */
    boolean add(ObjectName name, String message, Instant arrived, boolean lasting) {
        if (failures.isEmpty()) {
            retryAtNanos = System.nanoTime() + RETRY_NANOS;
        }
        Failed before = failures.get(name);
        Instant since = !lasting ? null : before == null || before.lastingSince == null ? arrived : before.lastingSince;
        failures.put(name, new Failed(message, since));
        if (since != null && (oldestLasting == null || since.isBefore(oldestLasting))) {
            oldestLasting = since;
        }
        return before == null || !message.equals(before.message);
    }

    /** The Service is as wanted now. */
    void remove(ObjectName name) {
        failures.remove(name);
        if (failures.isEmpty()) {
            oldestLasting = null;
        }
    }

    /** Whether a second has passed since the last retry. */
    boolean areDue() {
        return System.nanoTime() - retryAtNanos >= 0;
    }

    /** Which are to be tried again now; the next second begins. */
    Set<ObjectName> retry() {
        retryAtNanos = System.nanoTime() + RETRY_NANOS;
        oldestLasting = failures.values().stream()
                .map(Failed::lastingSince)
                .filter(Objects::nonNull)
                .min(Comparator.naturalOrder())
                .orElse(null);
        return failures.keySet();
    }

    /** The earliest since which the kernel does not do what it was told, as of the last retry; null if it does. */
    @Nullable
    Instant oldestLasting() {
        return oldestLasting;
    }
}
