package io.shunt.daemon;

import io.shunt.datapath.Audit;
import io.shunt.snapshot.Status;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** When the {@link Audit} is due, and who hears of it. Used by the control thread alone, but for {@link #view}. */
final class SelfAudit {
    static final Duration PERIOD = Duration.ofSeconds(30);
    private static final Logger log = LoggerFactory.getLogger(SelfAudit.class);

    /** A change may have to wait for so long. */
    private static final long SLICE_NANOS = 2_000_000;

    private final Audit audit;
    private final RecentErrors errors;
    private final long periodNanos;
    private final Map<String, Long> repairs = new TreeMap<>();
    private long runs;
    private long failures;
    private long dueNanos;
    private volatile Status.AuditView view;

    /** @param period from the end of a round to the beginning of the next */
    SelfAudit(Audit audit, RecentErrors errors, Duration period) {
        this.audit = audit;
        this.errors = errors;
        periodNanos = period.toNanos();
        dueNanos = System.nanoTime() + periodNanos;
        Audit.maps().forEach(map -> repairs.put(map, 0L));
        view = view(null, "");
    }

    /** Whether {@link #goOn} has something to do. */
    boolean isDue() {
        return System.nanoTime() - dueNanos >= 0;
    }

    /** Does a small part of a round that is due. */
    void goOn() {
        if (isDue()) {
            audit.goOn(SLICE_NANOS).ifPresent(this::end);
        }
    }

    private void end(Audit.Repairs round) {
        dueNanos = System.nanoTime() + periodNanos;
        runs++;
        if (!round.made().isEmpty()) {
            round.made().forEach((map, count) -> repairs.merge(map, (long) count, Long::sum));
            String found = "what others have changed in the kernel is put right: "
                    + round.made().entrySet().stream()
                            .map(each -> each.getValue() + " in " + each.getKey())
                            .collect(Collectors.joining(", "))
                    + " (" + String.join("; ", round.examples()) + ")";
            errors.add("audit", found);
            log.warn(found);
        }
        String trouble = "";
        if (!round.failure().isEmpty()) {
            failures++;
            trouble = "what the kernel has cannot be compared with what it should have, or not be put right: "
                    + round.failure() + "; tried again within " + PERIOD.toSeconds() + " s";
            if (errors.add("audit", trouble)) {
                log.error(trouble);
            }
        }
        view = view(Instant.now(), trouble);
    }

    private Status.AuditView view(@Nullable Instant lastRun, String trouble) {
        List<Status.RepairCount> counts = repairs.entrySet().stream()
                .map(each -> new Status.RepairCount(each.getKey(), each.getValue()))
                .toList();
        return new Status.AuditView(lastRun, runs, failures, trouble, counts);
    }

    /** What it has found until now. Safe from any thread. */
    Status.AuditView view() {
        return view;
    }
}
