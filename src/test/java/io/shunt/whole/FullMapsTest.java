package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.snapshot.Status;
import io.shunt.testbed.Load;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** More than the maps hold: who came first is served on, who finds no room is named, and gets it when there is some. */
@Tag("kernel")
@Tag("process")
class FullMapsTest {
    private static final String PORT = "http " + Site.HTTP + " TCP";

    private Site site;
    private NodePod server;
    private Traffic client;

    @BeforeEach
    void prepare() {
        site = new Site();
        server = site.servers(1).getFirst();
        client = site.node().traffic();
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private void write(int n, List<String> endpoints) {
        site.write(
                "s" + n + ".yaml",
                Manifest.service("s" + n, List.of(vip(n)), "http 80 TCP"),
                Manifest.slice("s" + n, "IPv4", endpoints, PORT));
    }

    private static String vip(int n) {
        return "10.96.0." + n;
    }

    private static void awaitFailed(DaemonProcess daemon, int count) {
        await("the daemon's count of what failed")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(daemon.status().failedServices()).isEqualTo(count));
    }

    @Test
    void moreServicesThanTheFlagAllows() {
        IntStream.rangeClosed(1, 4).forEach(n -> write(n, List.of(server.v4())));
        DaemonProcess daemon = site.start(Launcher.plain(), "file:" + site.manifests(), "--max-services=4")
                .awaitReady();
        IntStream.rangeClosed(5, 6).forEach(n -> write(n, List.of(server.v4())));
        awaitFailed(daemon, 2);

        Status status = daemon.status();
        assertThat(status.healthy()).isFalse();
        assertThat(status.complaints())
                .hasSize(2)
                .allMatch(complaint -> complaint.matches(
                        "Service test/s[56]:http/TCP.*: map sets is full \\(4 entries\\): raise --max-services"));
        assertThat(status.errors())
                .extracting(Status.ErrorView::object)
                .containsOnly("Service test/s5", "Service test/s6");
        assertThat(daemon.metric("shunt_failed_services")).isEqualTo(2);
        assertThat(daemon.metric("shunt_services")).isEqualTo(4);
        assertThat(daemon.log().lines().filter(line -> line.contains("raise --max-services")))
                .as("logged once each")
                .hasSize(2);
        assertThat(client.load(Load.Kind.REQUEST, vip(5), 80, 5, 1).outcomes()).doesNotContainKey("ok");
        for (int n = 1; n <= 4; n++) {
            assertThat(client.request(vip(n), 80)).isEqualTo("web-0");
        }

        site.remove("s1.yaml");
        site.remove("s2.yaml");
        awaitFailed(daemon, 0);
        for (int n = 3; n <= 6; n++) {
            assertThat(client.request(vip(n), 80)).isEqualTo("web-0");
        }
        await().atMost(DaemonProcess.PATIENCE).until(() -> daemon.status().healthy());
        await("the grace periods to end")
                .untilAsserted(
                        () -> assertThat(site.table().contents().strays()).isEmpty());
    }

    @Test
    void moreBackendsThanTheFlagAllows() {
        List<String> many = new ArrayList<>(List.of(server.v4()));
        IntStream.rangeClosed(1, 20).forEach(n -> many.add("10.7.0." + n));
        write(1, List.of(server.v4()));
        write(2, many.subList(1, 11));
        DaemonProcess daemon = site.start(Launcher.plain(), "file:" + site.manifests(), "--max-backends=16")
                .awaitReady();
        KernelTable before = site.table();

        write(1, many.subList(0, 10));
        awaitFailed(daemon, 1);
        assertThat(daemon.status().complaints())
                .singleElement()
                .asString()
                .startsWith("Service test/s1:http/TCP")
                .endsWith(": map backends is full (16 entries): raise --max-backends");
        assertThat(site.table()).isEqualTo(before);
        assertThat(client.request(vip(1), 80)).isEqualTo("web-0");

        site.remove("s2.yaml");
        awaitFailed(daemon, 0);
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(site.table().contents().choices().get(vip(1) + ":80/6"))
                                .hasSize(10));
        assertThat(daemon.status().healthy()).isTrue();
    }
}
