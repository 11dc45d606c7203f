package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A daemon told by the file that kubeadm wrote for kube-proxy, mounted as the kubelet mounts a ConfigMap. */
@Tag("kernel")
@Tag("process")
class KubeProxyConfigurationTest {
    private static final String VIP = "10.96.0.10";

    @TempDir
    private Path mount;

    private Site site;
    private int generation;

    @BeforeEach
    void prepare() {
        site = new Site();
    }

    @AfterEach
    void clear() {
        site.close();
    }

    /** As kubeadm writes it, but for ports that are free here. */
    private static String kubeadm() throws IOException {
        try (InputStream in = Objects.requireNonNull(
                KubeProxyConfigurationTest.class.getResourceAsStream("/io/shunt/config/kubeadm.yaml"))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .replace("healthzBindAddress: \"\"", "healthzBindAddress: 127.0.0.1:0")
                    .replace("metricsBindAddress: \"\"", "metricsBindAddress: 127.0.0.1:0");
        }
    }

    private void mount(String text) throws IOException {
        Path directory = Files.createDirectory(mount.resolve("..generation-" + generation++));
        Files.writeString(directory.resolve("config.conf"), text);
        Path link = Files.createSymbolicLink(mount.resolve("..data_tmp"), directory.getFileName());
        Files.move(link, mount.resolve("..data"), StandardCopyOption.ATOMIC_MOVE);
    }

    @Test
    void kubeadmsFile_isObeyed_andAChangeOfItEndsTheDaemonButNotTheTraffic() throws IOException {
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        Traffic client = site.node().traffic();
        mount(kubeadm());
        Path file = Files.createSymbolicLink(mount.resolve("config.conf"), Path.of("..data", "config.conf"));

        DaemonProcess daemon = site.start("--config=" + file).awaitReady();
        assertThat(daemon.log())
                .contains("configured by " + file)
                .containsOnlyOnce(
                        "of the configuration, not read beside --config: --healthz-bind-address, --metrics-bind-address\n");
        assertThat(daemon.page("/configz"))
                .contains("\"hostname-override\":\"node-1\"", "\"iptables-sync-period\":\"30s\"");
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");

        mount(kubeadm().replace("mode: \"\"", "mode: userspace"));
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(daemon.log())
                        .contains(
                                "mode must be iptables, ipvs or nftables, not \"userspace\"; what it said before stays"
                                        + " in force"));
        assertThat(daemon.health("/healthz").statusCode()).isEqualTo(200);

        mount(kubeadm()
                .replace("mode: \"\"", "mode: nftables")
                .replace("oomScoreAdj: null", "oomScoreAdj: 321")
                .replace("verbosity: 0", "verbosity: 4"));
        assertThat(daemon.exitCode()).as(daemon.log()).isEqualTo(1);
        assertThat(daemon.log()).contains(file + " says something else now: ending, to be started with it");
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");

        DaemonProcess second = site.start("--config=" + file).awaitReady();
        assertThat(second.page("/configz")).contains("\"nodeport-addresses\":\"primary\"");
        assertThat(Path.of("/proc/" + second.pid() + "/oom_score_adj")).hasContent("321");
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(second.log()).contains("DEBUG ConfigFileWatch:"));
        assertThat(second.terminate()).isZero();
    }
}
