package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.api.Json;
import io.shunt.snapshot.Status;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** `shunt run` as a process of its own. Closing it kills it; what it pinned stays. */
final class DaemonProcess implements AutoCloseable {
    /** For what takes a daemon no more than a second or two on a machine with nothing else to do. */
    static final Duration PATIENCE = Duration.ofSeconds(90);

    private static final Pattern RUNS = Pattern.compile("shunt runs: source .*, health at (\\S+), metrics at (\\S+)");
    private static final HttpClient HTTP =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

    private final Process process;
    private final Path log;

    private DaemonProcess(Process process, Path log) {
        this.process = process;
        this.log = log;
    }

    /** Starts `shunt run` with these flags. */
    static DaemonProcess start(Launcher launcher, List<String> flags) {
        List<String> arguments = new ArrayList<>(List.of("run"));
        arguments.addAll(flags);
        try {
            Path log = Files.createTempFile("shunt", ".log");
            try {
                return new DaemonProcess(launcher.start(log, log, arguments.toArray(String[]::new)), log);
            } catch (RuntimeException | Error e) {
                Files.delete(log);
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    long pid() {
        return process.pid();
    }

    /** All that it has said so far, to stdout or stderr. */
    String log() {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits until it serves HTTP. */
    DaemonProcess awaitServing() {
        await("the daemon to serve")
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(20))
                .failFast(this::failIfEnded)
                .until(() -> RUNS.matcher(log()).find());
        return this;
    }

    /** Waits until all that its source listed is programmed. */
    DaemonProcess awaitReady() {
        awaitServing();
        await("the daemon to be ready")
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(20))
                .failFast(this::failIfEnded)
                .untilAsserted(() ->
                        assertThat(health("/readyz").statusCode()).as(log()).isEqualTo(200));
        return this;
    }

    private void failIfEnded() {
        assertThat(process.isAlive()).as("the daemon has ended: %s", log()).isTrue();
    }

    private String address(int group) {
        Matcher runs = RUNS.matcher(log());
        assertThat(runs.find()).as("the daemon serves: %s", log()).isTrue();
        return runs.group(group);
    }

    /** Where it answers health probes. */
    String healthAddress() {
        return address(1);
    }

    /** Where it serves metrics and the API. */
    String metricsAddress() {
        return address(2);
    }

    HttpResponse<String> health(String path) {
        return get(healthAddress(), path);
    }

    private static HttpResponse<String> get(String address, String path) {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + address + path))
                .timeout(Duration.ofSeconds(10))
                .build();
        try {
            return HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** A page of the metrics port; it has to be there. */
    String page(String path) {
        HttpResponse<String> response = get(metricsAddress(), path);
        assertThat(response.statusCode()).as("%s: %s", path, response.body()).isEqualTo(200);
        return response.body();
    }

    Status status() {
        return Json.MAPPER.readValue(page("/api/v1/status"), Status.class);
    }

    /** The value of one series of /metrics, such as {@code shunt_map_entries{map="sets"}}. */
    double metric(String series) {
        String metrics = page("/metrics");
        return metrics.lines()
                .filter(line -> line.startsWith(series + " "))
                .mapToDouble(line -> Double.parseDouble(line.substring(series.length() + 1)))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no " + series + " in\n" + metrics));
    }

    boolean isAlive() {
        return process.isAlive();
    }

    /** SIGKILL, which it cannot catch. */
    void kill() {
        process.destroyForcibly();
        exitCode();
    }

    /** SIGTERM; returns its exit code. */
    int terminate() {
        process.destroy();
        return exitCode();
    }

    /** Waits for its end. */
    int exitCode() {
        try {
            assertThat(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                    .as("the daemon ends: %s", log())
                    .isTrue();
            return process.exitValue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        if (process.isAlive()) {
            kill();
        }
        try {
            Files.deleteIfExists(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
