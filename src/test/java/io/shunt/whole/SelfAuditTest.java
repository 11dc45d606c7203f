package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.snapshot.Status;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Somebody deletes what a daemon has in the kernel, by the pins, as bpftool does: soon it is there again. */
@Tag("kernel")
@Tag("process")
class SelfAuditTest {
    private static final String VIP = "10.96.0.10";

    private Site site;
    private Traffic client;

    @BeforeEach
    void prepare() {
        site = new Site();
        NodePod server = site.servers(1).getFirst();
        client = site.node().pod("client").traffic();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
    }

    @AfterEach
    void clear() {
        site.close();
    }

    /** Deletes every element. */
    private void empty(String name) {
        try (BpfMap map = BpfMap.openPinned(site.bpfRoot().resolve("maps").resolve(name));
                Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(map.keySize());
            while (map.nextKey(null, key)) {
                map.delete(key);
            }
        }
    }

    @Test
    void whatSomebodyDeleted_isThereAgain_andTold() {
        DaemonProcess daemon = site.start().awaitReady();
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
        KernelTable table = site.table();

        empty("frontends");
        try (BpfLink link = BpfLink.openPinned(site.bpfRoot().resolve("links/connect4"))) {
            link.detach();
        }
        assertThatExceptionOfType(CallFailedException.class).isThrownBy(() -> client.request(VIP, 80));
        assertThat(daemon.status().complaints())
                .containsExactly("program connect4 is not attached to " + site.cgroupRoot()
                        + "; it is attached again within 30 s");

        await("the next round")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(site.table()).isEqualTo(table));
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(daemon.metric("shunt_audit_repairs_total{map=\"frontends\"}"))
                        .isEqualTo(2));
        assertThat(daemon.metric("shunt_audit_repairs_total{map=\"links\"}")).isOne();
        assertThat(daemon.metric("shunt_audit_last_run_timestamp_seconds")).isPositive();
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
        Status status = daemon.status();
        assertThat(status.complaints()).isEmpty();
        assertThat(status.errors()).extracting(Status.ErrorView::object).containsExactly("audit");
        assertThat(daemon.log().lines().filter(line -> line.contains("put right")))
                .singleElement()
                .asString()
                .contains("2 in frontends, 1 in links", "10.96.0.10:80/TCP of test/web:http/TCP", "connect4 was lost");
    }
}
