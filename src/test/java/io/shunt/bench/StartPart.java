package io.shunt.bench;

import io.shunt.bench.PartResult.Judged;
import io.shunt.bench.PartResult.Table;
import io.shunt.table.Reach;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import tools.jackson.databind.JsonNode;

/** From the process's start until everything is programmed, and what the daemon then takes of the node. */
final class StartPart implements Part {
    private static final int FEW = 100;
    private static final int MANY = 10_000;
    private static final int ENDPOINTS = 10;
    private static final int SLICES_A_FILE = 100;
    private static final String API_SERVER = "an API server";
    private static final double MEGA = 1e6;

    /** What the JVM still does right after the start is over by then. */
    private static final long SETTLING_NANOS = 5_000_000_000L;

    /**
     * One start.
     *
     * @param resident in bytes, once settled
     * @param peak in bytes
     * @param anonymous in bytes: without what is backed by files, as the JDK, and maps of the kernel's
     */
    private record Start(String source, int services, double seconds, long resident, long peak, long anonymous) {}

    private final List<Start> starts = new ArrayList<>();
    private final List<List<String>> maps = new ArrayList<>();
    private final List<List<String>> programs = new ArrayList<>();
    private long mapBytes;

    @Override
    public String name() {
        return "start";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        fromFiles(FEW, Cluster.Format.JSON, settings.starts(), progress);
        fromFiles(MANY, Cluster.Format.YAML, settings.starts(), progress);
        fromFiles(MANY, Cluster.Format.JSON, settings.starts(), progress);
        fromApiServer(FEW, settings.starts(), progress);
        fromApiServer(MANY, settings.starts(), progress);
        writeCsv(settings);
        return new PartResult(
                name(),
                "Start and size of the daemon",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                judge(),
                List.of(
                        new Table(
                                "Process start to everything programmed, and memory then",
                                List.of(
                                        "source",
                                        "services",
                                        "starts",
                                        "seconds, median",
                                        "seconds, worst",
                                        "VmRSS, MB",
                                        "VmHWM, MB",
                                        "RssAnon, MB"),
                                startCells()),
                        new Table(
                                "Kernel maps, %,d services x %d endpoints".formatted(MANY, ENDPOINTS),
                                List.of("map", "entries", "most entries", "bytes"),
                                maps),
                        new Table(
                                "Programs",
                                List.of("program", "hook", "instructions that the verifier walked through"),
                                programs)),
                List.of(),
                List.of(
                        "Each service has one port and one slice of %d endpoints, written as `kubectl get -o` would, in"
                                        .formatted(ENDPOINTS)
                                + " Lists of 500 Services or %d slices a file.".formatted(SLICES_A_FILE),
                        "A start is over when /readyz says so, asked once the log does; then the daemon's own counts of services,"
                                + " backends and map entries must be complete. Each start has a bpf root of its own.",
                        "The API server is a stand-in in the benchmark's own process, on the same two CPUs: plain HTTP, pages, and"
                                + " watches.",
                        "Memory is the median of the starts, %d s after; megabytes are 10^6 bytes."
                                .formatted(SETTLING_NANOS / 1_000_000_000)));
    }

    private void fromFiles(int services, Cluster.Format format, int times, Progress progress) throws IOException {
        try (Closing closing = new Closing()) {
            Workspace manifests = closing.add(new Workspace());
            new Cluster(services, ENDPOINTS, null).write(manifests.path(), format, SLICES_A_FILE);
            start(format.name() + " files", services, times, progress, "file:" + manifests.path());
        }
    }

    private void fromApiServer(int services, int times, Progress progress) throws IOException {
        try (Closing closing = new Closing()) {
            Workspace workspace = closing.add(new Workspace());
            ApiServer server = closing.add(new ApiServer(new Cluster(services, ENDPOINTS, null)));
            Path kubeconfig = server.kubeconfig(workspace.path());
            start(API_SERVER, services, times, progress, "kubernetes", "--kubeconfig", kubeconfig.toString());
        }
    }

    private void start(String kind, int services, int times, Progress progress, String source, String... flags) {
        try (Cgroup cgroup = Cgroup.create("bench")) {
            for (int i = 0; i < times; i++) {
                try (DaemonProcess daemon = DaemonProcess.start(cgroup, source, flags)) {
                    starts.add(measure(daemon, kind, services, progress));
                    if (i == times - 1 && services == MANY) {
                        describe(daemon.status());
                    }
                }
            }
        }
    }

    private static Start measure(DaemonProcess daemon, String source, int services, Progress progress) {
        double seconds = daemon.awaitReady().toNanos() / 1e9;
        checkComplete(daemon.status(), services);
        LockSupport.parkNanos(SETTLING_NANOS);
        Start start = new Start(
                source, services, seconds, daemon.memory("VmRSS"), daemon.memory("VmHWM"), daemon.memory("RssAnon"));
        progress.say(
                "start: %,d services from %s: %.2f s, %.0f MB resident",
                services, source, seconds, start.resident / MEGA);
        return start;
    }

    private static void checkComplete(JsonNode status, int services) {
        require(status, "services", services);
        require(status, "backends", services * ENDPOINTS);
        for (JsonNode map : status.get("maps")) {
            switch (map.get("name").asString()) {
                // One for the port, and one for the address.
                case "frontends" -> require(map, "entries", services * 2);
                case "service_stats" -> require(map, "entries", services);
                case "sets" -> require(map, "entries", services * Reach.values().length);
                case "backends", "slots" -> require(map, "entries", services * ENDPOINTS);
                default -> {}
            }
        }
    }

    private static void require(JsonNode of, String field, int expected) {
        int found = of.get(field).asInt();
        if (found != expected) {
            throw new IllegalStateException(
                    "ready, but with " + found + " instead of " + expected + " " + field + ": " + of);
        }
    }

    private void describe(JsonNode status) {
        maps.clear();
        programs.clear();
        mapBytes = 0;
        for (JsonNode map : status.get("maps")) {
            long bytes = map.get("bytes").asLong();
            int entries = map.get("entries").asInt();
            mapBytes += bytes;
            maps.add(List.of(
                    map.get("name").asString(),
                    entries < 0 ? "" : "%,d".formatted(entries),
                    "%,d".formatted(map.get("maxEntries").asInt()),
                    "%,d".formatted(bytes)));
        }
        maps.add(List.of("all", "", "", "%,d".formatted(mapBytes)));
        for (JsonNode program : status.get("programs")) {
            programs.add(List.of(
                    program.get("name").asString(),
                    program.get("hook").asString(),
                    "%,d".formatted(program.get("instructions").asInt())));
        }
    }

    private List<Judged> judge() {
        return List.of(
                startTarget(FEW, "JSON files", 1.5),
                startTarget(MANY, "JSON files", 4),
                startTarget(FEW, API_SERVER, 1.5),
                startTarget(MANY, API_SERVER, 4),
                memoryTarget(FEW, "JSON files", 140),
                memoryTarget(MANY, "JSON files", 220),
                memoryTarget(FEW, API_SERVER, 140),
                memoryTarget(MANY, API_SERVER, 220),
                new Judged(
                        "kernel maps, %,d x %d".formatted(MANY, ENDPOINTS),
                        "<= 32 MB",
                        "%.1f MB".formatted(mapBytes / MEGA),
                        mapBytes <= 32 * MEGA));
    }

    private Judged startTarget(int services, String source, double most) {
        double seconds = seconds(services, source).median();
        return new Judged(
                "process start to all programmed, %,d x %d from %s".formatted(services, ENDPOINTS, source),
                "<= %.1f s".formatted(most),
                "%.2f s".formatted(seconds),
                seconds <= most);
    }

    private Judged memoryTarget(int services, String source, double most) {
        double resident = resident(services, source).median();
        return new Judged(
                "resident memory, %,d x %d from %s".formatted(services, ENDPOINTS, source),
                "<= %.0f MB".formatted(most),
                "%.0f MB".formatted(resident),
                resident <= most);
    }

    private List<Start> of(int services, String source) {
        return starts.stream()
                .filter(start -> start.services == services && start.source.equals(source))
                .toList();
    }

    private Samples seconds(int services, String source) {
        return new Samples(
                of(services, source).stream().mapToDouble(Start::seconds).toArray());
    }

    private Samples resident(int services, String source) {
        return new Samples(of(services, source).stream()
                .mapToDouble(start -> start.resident / MEGA)
                .toArray());
    }

    private List<List<String>> startCells() {
        return starts.stream()
                .map(start -> List.of(start.source, Integer.toString(start.services)))
                .distinct()
                .map(kind -> cells(Integer.parseInt(kind.getLast()), kind.getFirst()))
                .toList();
    }

    private List<String> cells(int services, String source) {
        List<Start> of = of(services, source);
        return List.of(
                source,
                "%,d".formatted(services),
                Integer.toString(of.size()),
                "%.2f".formatted(seconds(services, source).median()),
                "%.2f".formatted(seconds(services, source).max()),
                "%.0f".formatted(resident(services, source).median()),
                "%.0f"
                        .formatted(new Samples(of.stream()
                                        .mapToDouble(start -> start.peak / MEGA)
                                        .toArray())
                                .median()),
                "%.0f"
                        .formatted(new Samples(of.stream()
                                        .mapToDouble(start -> start.anonymous / MEGA)
                                        .toArray())
                                .median()));
    }

    private void writeCsv(Settings settings) throws IOException {
        StringBuilder csv = new StringBuilder("source,services,seconds,vmrss_bytes,vmhwm_bytes,rssanon_bytes\n");
        for (Start start : starts) {
            csv.append(String.format(
                    Locale.ROOT,
                    "%s,%d,%.3f,%d,%d,%d%n",
                    start.source,
                    start.services,
                    start.seconds,
                    start.resident,
                    start.peak,
                    start.anonymous));
        }
        Files.writeString(settings.results().resolve("start.csv"), csv);
    }
}
