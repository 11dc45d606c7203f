package io.shunt.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

class ConfigFileWatchTest {
    private static final String HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

    @TempDir
    private Path directory;

    private final Logger logger = (Logger) LoggerFactory.getLogger(ConfigFileWatch.class);
    private final ListAppender<ILoggingEvent> logged = new ListAppender<>();
    private final AtomicInteger changes = new AtomicInteger();
    private Path file;
    private Thread watch;

    @BeforeEach
    void start() throws IOException {
        // A ConfigMap as the kubelet mounts it.
        Path first = Files.createDirectory(directory.resolve("..1"));
        Files.writeString(first.resolve("config.conf"), HEAD + "mode: iptables\n");
        Files.createSymbolicLink(directory.resolve("..data"), Path.of("..1"));
        file = Files.createSymbolicLink(directory.resolve("config.conf"), Path.of("..data/config.conf"));
        logger.setLevel(Level.DEBUG);
        logged.start();
        logger.addAppender(logged);
        watch = Thread.ofPlatform()
                .start(new ConfigFileWatch(ConfigFile.read(file), Duration.ofMillis(5), changes::incrementAndGet));
        awaitLog("says the same", 1);
    }

    @AfterEach
    void stop() throws InterruptedException {
        watch.interrupt();
        watch.join();
        logger.detachAppender(logged);
        logger.setLevel(null);
    }

    private void awaitLog(String part, int times) {
        await().untilAsserted(() -> assertThat(List.copyOf(logged.list))
                .filteredOn(event -> event.getFormattedMessage().contains(part))
                .hasSize(times));
    }

    /** Never empty in between, which would be said. */
    private void replace(String text) throws IOException {
        Path draft = Files.writeString(directory.resolve("draft"), text);
        Files.move(draft, file.toRealPath(), StandardCopyOption.ATOMIC_MOVE);
    }

    private void awaitChanged() throws InterruptedException {
        assertThat(watch.join(Duration.ofSeconds(60))).isTrue();
        assertThat(changes).hasValue(1);
    }

    @Test
    void aFileWrittenAnew_isSeen() throws Exception {
        Files.writeString(file, HEAD + "mode: ipvs\n");
        awaitChanged();
    }

    @Test
    void aConfigMapsLinkSwap_isSeen() throws Exception {
        Path second = Files.createDirectory(directory.resolve("..2"));
        Files.writeString(second.resolve("config.conf"), HEAD + "mode: ipvs\n");
        Path link = Files.createSymbolicLink(directory.resolve("..data_tmp"), Path.of("..2"));
        Files.move(link, directory.resolve("..data"), StandardCopyOption.ATOMIC_MOVE);
        awaitChanged();
    }

    @Test
    void aFileThatSaysTheSame_isNoChange() throws Exception {
        Files.writeString(file, "# a word\n" + HEAD + "mode: iptables\n");
        awaitLog("says the same", 2);
        assertThat(changes).hasValue(0);

        Files.writeString(file, HEAD);
        awaitChanged();
    }

    @Test
    void aWrongFile_isSaid_andWhatWasSaidStays() throws Exception {
        replace(HEAD + "mode: 7\n");
        awaitLog(
                "--config " + file
                        + ": line 3: mode must be iptables, ipvs or nftables, not 7: put it in quotes; what it"
                        + " said before stays in force",
                1);
        Files.delete(file);
        awaitLog("--config " + file + " is gone or empty: put it back; what it said stays in force", 1);
        assertThat(changes).hasValue(0);

        Files.writeString(file, HEAD + "mode: ipvs\n");
        awaitChanged();
    }
}
