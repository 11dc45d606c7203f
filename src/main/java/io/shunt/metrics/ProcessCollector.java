package io.shunt.metrics;

import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshot;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The metrics that every Prometheus client has of its process, which Micrometer gives other names. Read from /proc. */
final class ProcessCollector implements MultiCollector {
    private static final Path SELF = Path.of("/proc/self");

    @Override
    public MetricSnapshots collect() {
        ProcessHandle.Info process = ProcessHandle.current().info();
        MetricSnapshots.Builder snapshots = MetricSnapshots.builder();
        process.totalCpuDuration()
                .ifPresent(cpu -> snapshots.metricSnapshot(Series.counters(
                        "process_cpu_seconds",
                        "User and system CPU time that the process has used, in seconds",
                        List.of(cpu),
                        any -> Labels.EMPTY,
                        used -> used.toNanos() / 1e9)));
        process.startInstant()
                .ifPresent(start -> snapshots.metricSnapshot(Series.gauge(
                        "process_start_time_seconds",
                        "When the process started, in seconds since 1970",
                        start.toEpochMilli() / 1e3)));
        // What cannot be read is left out, as other Prometheus clients do.
        try (Stream<String> status = Files.lines(SELF.resolve("status"))) {
            status.forEach(line -> ofStatus(line).ifPresent(snapshots::metricSnapshot));
        } catch (IOException ignored) {
            return snapshots.build();
        }
        try (Stream<Path> fds = Files.list(SELF.resolve("fd"))) {
            snapshots.metricSnapshot(Series.gauge(
                    "process_open_fds", "File descriptors that the process has open", (double) fds.count()));
        } catch (IOException ignored) {
            return snapshots.build();
        }
        return snapshots.build();
    }

    /** What a line of /proc/self/status, as {@code VmRSS:	  123456 kB}, is good for. */
    private static Optional<MetricSnapshot> ofStatus(String line) {
        if (line.startsWith("VmRSS:")) {
            return Optional.of(Series.gauge(
                    "process_resident_memory_bytes",
                    "Memory of the process that is in RAM, in bytes",
                    number(line) * 1024));
        }
        if (line.startsWith("Threads:")) {
            return Optional.of(Series.gauge(
                    "go_goroutines",
                    "Threads of the process, which is Java's: under the name by which dashboards of Kubernetes'"
                            + " components ask for them",
                    number(line)));
        }
        return Optional.empty();
    }

    private static double number(String line) {
        return Long.parseLong(line.replaceAll("\\D", ""));
    }
}
