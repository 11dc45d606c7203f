package io.shunt.bench;

import io.shunt.bench.PartResult.Judged;
import io.shunt.bench.PartResult.Table;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;

/** One endpoint changes: how long from the daemon's hearing of it to the kernel's having it, as the daemon counts it. */
final class ChangePart implements Part {
    private static final int SERVICES = 10_000;
    private static final int ENDPOINTS = 10;
    private static final int CHANGES = 22_000;
    private static final int ENOUGH_CHANGES = 20_000;
    private static final long PERIOD_NANOS = 2_000_000;
    private static final Duration SETTLING = Duration.ofSeconds(2);
    private static final String HISTOGRAM = "shunt_change_delay_seconds";
    private static final double MOST_SECONDS = 0.001;
    private static final int MOST_MEGABYTES = 220;
    private static final double MEGA = 1e6;

    @Override
    public String name() {
        return "change";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        TreeMap<Double, Double> counts;
        double perSecond;
        long resident;
        try (Closing closing = new Closing()) {
            Cgroup cgroup = closing.add(Cgroup.create("bench"));
            Workspace workspace = closing.add(new Workspace());
            ApiServer server = closing.add(new ApiServer(new Cluster(SERVICES, ENDPOINTS, null)));
            Path kubeconfig = server.kubeconfig(workspace.path());
            DaemonProcess daemon =
                    closing.add(DaemonProcess.start(cgroup, "kubernetes", "--kubeconfig", kubeconfig.toString()));
            daemon.awaitReady();
            TreeMap<Double, Double> before = daemon.metrics().buckets(HISTOGRAM);
            progress.say("change: %,d single changes to %,d services x %d", CHANGES, SERVICES, ENDPOINTS);
            long start = System.nanoTime();
            change(server, progress);
            perSecond = CHANGES * 1e9 / (System.nanoTime() - start);
            LockSupport.parkNanos(SETTLING.toNanos());
            counts = difference(before, daemon.metrics().buckets(HISTOGRAM));
            resident = daemon.memory("VmRSS");
        }
        return result(settings, machine, counts, perSecond, resident);
    }

    private static void change(ApiServer server, Progress progress) {
        long next = System.nanoTime();
        for (int i = 0; i < CHANGES; i++) {
            server.putSlice(i % SERVICES, i / SERVICES + 1);
            next += PERIOD_NANOS;
            LockSupport.parkNanos(next - System.nanoTime());
            progress.stopIfInterrupted();
        }
    }

    private static TreeMap<Double, Double> difference(TreeMap<Double, Double> before, TreeMap<Double, Double> after) {
        TreeMap<Double, Double> difference = new TreeMap<>();
        after.forEach((bound, count) -> difference.put(bound, count - before.getOrDefault(bound, 0.0)));
        return difference;
    }

    private PartResult result(
            Settings settings, String machine, TreeMap<Double, Double> counts, double perSecond, long resident)
            throws IOException {
        double all = counts.lastEntry().getValue();
        double inTime = counts.getOrDefault(MOST_SECONDS, 0.0);
        if (all < ENOUGH_CHANGES) {
            throw new IllegalStateException("the daemon has counted only " + all + " changes of " + CHANGES);
        }
        writeCsv(settings, counts);
        double p99 = quantile(counts, 0.99);
        return new PartResult(
                name(),
                "One change, heard of to written",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                List.of(
                        new Judged(
                                "one endpoint change, heard of to written, %,d x %d, p99"
                                        .formatted(SERVICES, ENDPOINTS),
                                "<= 1 ms",
                                "%.3f ms".formatted(p99 * 1e3),
                                inTime >= 0.99 * all),
                        new Judged(
                                "resident memory, %,d x %d, after %,.0f changes".formatted(SERVICES, ENDPOINTS, all),
                                "<= %d MB".formatted(MOST_MEGABYTES),
                                "%.0f MB".formatted(resident / MEGA),
                                resident <= MOST_MEGABYTES * MEGA)),
                List.of(new Table(
                        "Milliseconds",
                        List.of("changes", "changes a second", "p50", "p99", "p99.9", "longest", "within 1 ms"),
                        List.of(List.of(
                                "%,.0f".formatted(all),
                                "%,.0f".formatted(perSecond),
                                "%.3f".formatted(quantile(counts, 0.5) * 1e3),
                                "%.3f".formatted(p99 * 1e3),
                                "%.3f".formatted(quantile(counts, 0.999) * 1e3),
                                "up to %.3f".formatted(longest(counts) * 1e3),
                                "%.3f %%".formatted(100 * inTime / all))))),
                List.of(),
                List.of(
                        "From the running daemon's own histogram `%s`: a change's arrival at the control thread's inbox to"
                                        .formatted(HISTOGRAM)
                                + " its last write, waiting behind other changes included. Quantiles are interpolated"
                                + " within a bucket; `longest` is the end of the last bucket that has a change, and `within"
                                + " 1 ms` is exact.",
                        "Each change is one slice of which one of %d endpoints has another address, and comes by a watch"
                                        .formatted(ENDPOINTS)
                                + " from a stand-in for an API server in the benchmark's own process, on the same two"
                                + " CPUs."));
    }

    private static double quantile(TreeMap<Double, Double> counts, double q) {
        double wanted = q * counts.lastEntry().getValue();
        double lowerBound = 0;
        double lowerCount = 0;
        for (Map.Entry<Double, Double> bucket : counts.entrySet()) {
            if (bucket.getValue() >= wanted) {
                double part = (wanted - lowerCount) / (bucket.getValue() - lowerCount);
                return lowerBound + part * (bucket.getKey() - lowerBound);
            }
            lowerBound = bucket.getKey();
            lowerCount = bucket.getValue();
        }
        return lowerBound;
    }

    private static double longest(TreeMap<Double, Double> counts) {
        double all = counts.lastEntry().getValue();
        return counts.entrySet().stream()
                .filter(bucket -> bucket.getValue() >= all)
                .mapToDouble(Map.Entry::getKey)
                .findFirst()
                .orElseThrow();
    }

    private static void writeCsv(Settings settings, TreeMap<Double, Double> counts) throws IOException {
        List<String> lines = new ArrayList<>(List.of("at_most_seconds,changes"));
        counts.forEach((bound, count) -> lines.add(String.format(Locale.ROOT, "%s,%.0f", bound, count)));
        Files.write(settings.results().resolve("change.csv"), lines);
    }
}
