package io.shunt.bench;

import io.shunt.datapath.Installation;
import io.shunt.datapath.PinnedMaps;
import io.shunt.libbpf.BpfProgram;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Namespace;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * `shunt run` as it is built, on a cgroup of the benchmark's own and with a bpf root of its own. Its faces are on
 * loopback ports that nobody else has. Closing it takes its programs and maps away too.
 */
final class DaemonProcess implements AutoCloseable {
    /** Nothing that is measured here takes longer, unless it hangs. */
    private static final Duration PATIENCE = Duration.ofSeconds(120);

    private static final long POLL_NANOS = 2_000_000;
    private static final long SELDOM_MILLIS = 500;
    private static final int KEPT_LINES = 30;
    private static final Pattern RUNS = Pattern.compile("shunt runs: .* health at /?(\\S+), metrics at /?(\\S+)");
    private static final Pattern PROGRAMMED = Pattern.compile("programmed \\d+ virtual services");
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final long startedNanos = System.nanoTime();
    private final Path bpfRoot =
            Path.of("/sys/fs/bpf/shunt-bench-" + ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet());
    private final @Nullable Namespace node;
    private final Deque<String> lastLines = new ConcurrentLinkedDeque<>();
    private final CompletableFuture<Faces> faces = new CompletableFuture<>();
    private final CountDownLatch programmed = new CountDownLatch(1);
    private final Process process;

    private record Faces(String healthz, String metrics) {}

    private record Answer(int status, String body) {}

    private DaemonProcess(Path cgroup, @Nullable Namespace node, String source, List<String> flags) {
        this.node = node;
        List<String> command = new ArrayList<>(node == null ? List.of() : List.of("nsenter", "--net=" + node.path()));
        command.addAll(List.of(
                launcher().toString(),
                "run",
                "--source",
                source,
                "--cgroup-root",
                cgroup.toString(),
                "--bpf-root",
                bpfRoot.toString(),
                "--healthz-bind-address",
                "127.0.0.1:0",
                "--metrics-bind-address",
                "127.0.0.1:0"));
        if (node == null) {
            // Not at the devices of the machine that measures.
            command.addAll(List.of("--devices", "none"));
        }
        command.addAll(flags);
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Thread.ofPlatform().name("daemon-log").daemon().start(this::readLog);
    }

    static DaemonProcess start(Cgroup cgroup, String source, String... flags) {
        return new DaemonProcess(cgroup.path(), null, source, List.of(flags));
    }

    /** In a network namespace that is its node. */
    static DaemonProcess start(Cgroup cgroup, Namespace node, String source, String... flags) {
        return new DaemonProcess(cgroup.path(), node, source, List.of(flags));
    }

    private static Path launcher() {
        Path launcher = Path.of(System.getProperty("shunt.home", "target/shunt"))
                .toAbsolutePath()
                .resolve("bin/shunt");
        if (!Files.isExecutable(launcher)) {
            throw new IllegalStateException(launcher + " is not there: `make build` lays it out");
        }
        return launcher;
    }

    private void readLog() {
        try (BufferedReader log = process.inputReader()) {
            for (String line = log.readLine(); line != null; line = log.readLine()) {
                lastLines.add(line);
                if (lastLines.size() > KEPT_LINES) {
                    lastLines.poll();
                }
                Matcher runs = RUNS.matcher(line);
                if (runs.find()) {
                    faces.complete(new Faces(runs.group(1), runs.group(2)));
                }
                if (PROGRAMMED.matcher(line).find()) {
                    programmed.countDown();
                }
            }
        } catch (IOException e) {
            lastLines.add(String.valueOf(e));
        }
        faces.completeExceptionally(new IllegalStateException("the daemon has ended"));
    }

    /**
     * Waits until everything that the source listed is programmed.
     *
     * @return the time since the process was started
     */
    Duration awaitReady() {
        while (!isReady()) {
            if (System.nanoTime() - startedNanos > PATIENCE.toNanos()) {
                throw failure("the daemon was not ready within " + PATIENCE, null);
            }
        }
        return Duration.ofNanos(System.nanoTime() - startedNanos);
    }

    /** Waits until packets go straight to a pod's namespace somewhere, which a daemon lets them after a while only. */
    void awaitShortcut() {
        long start = System.nanoTime();
        boolean[] found = new boolean[1];
        while (!found[0]) {
            if (System.nanoTime() - start > PATIENCE.toNanos()) {
                throw failure("no device was a shortcut within " + PATIENCE, null);
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(SELDOM_MILLIS));
            PinnedMaps.dump(
                    bpfRoot,
                    (map, entry) -> found[0] |= map.equals("exits") && Boolean.TRUE.equals(entry.get("shortcut")));
        }
    }

    /** Asking costs the daemon time, so it is asked seldom until it has said itself that it is done. */
    private boolean isReady() {
        String healthz = faces().healthz;
        try {
            if (programmed.await(SELDOM_MILLIS, TimeUnit.MILLISECONDS)) {
                LockSupport.parkNanos(POLL_NANOS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new Progress.StoppedException();
        }
        return get(healthz, "/readyz").status() == 200;
    }

    private Faces faces() {
        try {
            return faces.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new Progress.StoppedException();
        } catch (ExecutionException | TimeoutException e) {
            throw failure("the daemon did not start", e);
        }
    }

    private IllegalStateException failure(String what, @Nullable Throwable cause) {
        return new IllegalStateException(what + "; it said:\n" + String.join("\n", lastLines), cause);
    }

    private Answer get(String address, String path) {
        URI uri = URI.create("http://" + address + path);
        try {
            return node == null ? get(uri) : node.call(() -> get(uri));
        } catch (IOException | IllegalStateException e) {
            throw failure("the daemon does not answer", e);
        }
    }

    /** On the calling thread, whose network namespace it is. */
    private static Answer get(URI uri) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection(Proxy.NO_PROXY);
        connection.setConnectTimeout((int) PATIENCE.toMillis());
        connection.setReadTimeout((int) PATIENCE.toMillis());
        int status = connection.getResponseCode();
        try (InputStream body = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            return new Answer(status, body == null ? "" : new String(body.readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    /** What /api/v1/status says. */
    JsonNode status() {
        return JsonMapper.shared()
                .readTree(get(faces().metrics, "/api/v1/status").body());
    }

    /** What /metrics says. */
    Metrics metrics() {
        return Metrics.parse(get(faces().metrics, "/metrics").body());
    }

    /**
     * Memory of the process.
     *
     * @param field VmRSS, VmHWM, RssAnon, RssFile or RssShmem
     * @return in bytes
     */
    long memory(String field) {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/status"))) {
                if (line.startsWith(field + ":")) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
        } catch (IOException e) {
            throw failure("the daemon has ended", e);
        }
        throw new IllegalStateException("no " + field + " in /proc/PID/status");
    }

    /** How many instructions the verifier walked through, by the program that the process has open. */
    Map<String, Integer> verifiedInstructions() {
        Map<String, Integer> verified = new TreeMap<>();
        try (Stream<Path> files = Files.list(Path.of("/proc/" + process.pid() + "/fdinfo"))) {
            for (Path file : files.toList()) {
                programId(file).ifPresent(id -> {
                    try (BpfProgram program = BpfProgram.openId(id)) {
                        verified.put(program.name(), program.info().verifiedInstructions());
                    }
                });
            }
        } catch (IOException e) {
            throw failure("the daemon's open files cannot be read", e);
        }
        return verified;
    }

    private static OptionalInt programId(Path descriptor) throws IOException {
        try {
            return Files.readAllLines(descriptor).stream()
                    .filter(line -> line.startsWith("prog_id:"))
                    .mapToInt(line -> Integer.parseInt(line.substring(8).strip()))
                    .findFirst();
        } catch (NoSuchFileException e) {
            // It was closed meanwhile, so it is no program's: those stay.
            return OptionalInt.empty();
        }
    }

    Path bpfRoot() {
        return bpfRoot;
    }

    @Override
    public void close() {
        process.destroy();
        boolean interrupted = Thread.interrupted();
        try {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        Installation.remove(bpfRoot);
    }
}
