package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.PinnedMaps;
import io.shunt.testbed.Node.NodePod;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** How backends are chosen: by flag, by annotation, and by neither if that is wrong. */
@Tag("kernel")
@Tag("process")
class AlgorithmTest {
    private static final String PORT = "http " + Site.HTTP + " TCP";
    private static final int SIZE = 251;
    private static final String TABLES = "--maglev-table-size=" + SIZE;

    private Site site;
    private List<String> servers;

    @BeforeEach
    void prepare() {
        site = new Site();
        servers = site.servers(2).stream().map(NodePod::v4).toList();
    }

    @AfterEach
    void clear() {
        site.close();
    }

    /** @param algorithm what the annotation says, "" without one */
    private void write(int n, String algorithm) {
        String service = Manifest.service("s" + n, List.of(vip(n)), "http 80 TCP");
        site.write(
                "s" + n + ".yaml",
                algorithm.isEmpty()
                        ? service
                        : service.replace(
                                "namespace: test",
                                "namespace: test, annotations: {shunt.io/algorithm: " + algorithm + "}"),
                Manifest.slice("s" + n, "IPv4", servers, PORT));
    }

    /** The same, with a slice of each server alone, of which the second's weight is this. */
    private void writeWeighted(int n, String weight) {
        site.write(
                "s" + n + ".yaml",
                Manifest.service("s" + n, List.of(vip(n)), "http 80 TCP"),
                Manifest.slice("s" + n, "IPv4", servers.subList(0, 1), PORT),
                Manifest.slice("s" + n, "IPv4", servers.subList(1, 2), PORT)
                        .replace("name: s" + n + "-ipv4,", "name: s" + n + "-more,")
                        .replace(
                                "namespace: test,",
                                "namespace: test, annotations: {shunt.io/weight: \"" + weight + "\"},"));
    }

    private static String vip(int n) {
        return "10.96.0." + n;
    }

    /** How many slots each backend has of those that a connection to a service may get. */
    private Map<String, Integer> shares(int n) {
        Map<Object, String> backends = new HashMap<>();
        Map<Object, Object> slots = new HashMap<>();
        Map<Object, int[]> runs = new HashMap<>();
        Object[] service = {null};
        PinnedMaps.dump(site.bpfRoot(), (map, entry) -> {
            switch (map) {
                case "frontends" ->
                    service[0] = entry.get("address").equals(vip(n) + ":80") ? entry.get("service_id") : service[0];
                case "sets" -> {
                    if (entry.get("reach").equals("cluster")) {
                        runs.put(
                                entry.get("service_id"),
                                new int[] {(Integer) entry.get("base"), (Integer) entry.get("count")});
                    }
                }
                case "slots" -> slots.put(entry.get("slot"), entry.get("backend_id"));
                case "backends" -> backends.put(entry.get("backend_id"), String.valueOf(entry.get("address")));
                default -> {}
            }
        });
        Map<String, Integer> shares = new HashMap<>();
        int[] run = runs.getOrDefault(service[0], new int[2]);
        for (int slot = run[0]; slot < run[0] + run[1]; slot++) {
            shares.merge(String.valueOf(backends.get(slots.get(slot))), 1, Integer::sum);
        }
        return shares;
    }

    private int slots(int n) {
        return shares(n).values().stream().mapToInt(Integer::intValue).sum();
    }

    @Test
    void theServicesAnnotation_goesBeforeTheFlag() {
        write(1, "");
        write(2, "random");
        write(3, "maglev");
        DaemonProcess daemon = site.start("--algorithm=maglev", TABLES).awaitReady();

        assertThat(List.of(slots(1), slots(2), slots(3))).isEqualTo(List.of(SIZE, 2, SIZE));
        assertThat(daemon.status().healthy()).isTrue();
        for (int n = 1; n <= 3; n++) {
            assertThat(site.node().traffic().request(vip(n), 80)).startsWith("web-");
        }
    }

    @Test
    void anAnnotation_worksWithoutAFlag_andAWrongOneIsSaid() {
        write(1, "maglev");
        write(2, "");
        DaemonProcess daemon = site.start(TABLES).awaitReady();
        assertThat(List.of(slots(1), slots(2))).isEqualTo(List.of(SIZE, 2));

        write(1, "ring");
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(
                                daemon.status().source().problems().toString())
                        .contains("test/s1", "metadata.annotations[shunt.io/algorithm]", "write random or maglev"));
        write(2, "maglev");
        await().atMost(DaemonProcess.PATIENCE).until(() -> slots(2) == SIZE);

        // A file says what it said before until all of it is right.
        assertThat(slots(1)).isEqualTo(SIZE);
        write(1, "random");
        await().atMost(DaemonProcess.PATIENCE).until(() -> slots(1) == 2);
        assertThat(daemon.status().source().problems()).isEmpty();
    }

    @Test
    void weights_areShares() {
        writeWeighted(1, "3");
        site.start("--algorithm=maglev", TABLES).awaitReady();

        assertThat(shares(1).get(servers.get(1) + ":" + Site.HTTP)).isBetween(187, 190);
        writeWeighted(1, "1");
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(shares(1).get(servers.get(1) + ":" + Site.HTTP))
                        .isBetween(125, 126));
    }

    @Test
    void moreTablesThanHaveRoom_isSaid_andServedNevertheless() {
        write(1, "maglev");
        DaemonProcess daemon = site.start("--maglev-table-size=16381").awaitReady();

        assertThat(slots(1)).isEqualTo(2);
        assertThat(daemon.status().complaints())
                .singleElement()
                .asString()
                .contains("test/s1", "slots", "--max-maglev-tables", "--maglev-table-size");
        assertThat(site.node().traffic().request(vip(1), 80)).startsWith("web-");
    }

    @Test
    void tables_haveTheRoomThatIsAskedFor() {
        write(1, "maglev");
        write(2, "maglev");
        DaemonProcess daemon =
                site.start("--maglev-table-size=16381", "--max-maglev-tables=2").awaitReady();

        assertThat(List.of(slots(1), slots(2))).isEqualTo(List.of(16_381, 16_381));
        assertThat(daemon.status().healthy()).isTrue();
    }
}
