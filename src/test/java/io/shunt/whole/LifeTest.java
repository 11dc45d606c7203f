package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.LinkInfo;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Load;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Daemons that come and go, whatever way they go, while connections are made all the time. */
@Tag("kernel")
@Tag("process")
class LifeTest {
    private static final String VIP4 = "10.96.0.10";
    private static final String VIP6 = "fd00:96::10";

    private Site site;
    private List<NodePod> servers;
    private Traffic client;
    private Traffic client6;

    @BeforeEach
    void prepare() {
        site = new Site();
        servers = site.servers(3);
        client = site.node().pod("client").traffic();
        client6 = site.node().pod("client6").traffic();
        site.write("web.yaml", web(servers));
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private static String web(List<NodePod> pods) {
        return service("web", VIP4, VIP6, pods);
    }

    private static String service(String name, String v4, String v6, List<NodePod> pods) {
        String port = "http " + Site.HTTP + " TCP";
        return Manifest.service(name, List.of(v4, v6), "http 80 TCP")
                + Manifest.slice(name, "IPv4", pods.stream().map(NodePod::v4).toList(), port)
                + Manifest.slice(name, "IPv6", pods.stream().map(NodePod::v6).toList(), port);
    }

    /** Continuous connects of both families, started as soon as there is a daemon. */
    private List<SteadyLoad> connects() {
        return List.of(
                site.add(new SteadyLoad(client, Load.Kind.CONNECT, VIP4, 80)),
                site.add(new SteadyLoad(client6, Load.Kind.REQUEST, VIP6, 80)));
    }

    private static void assertNoneFailed(List<SteadyLoad> loads) {
        for (SteadyLoad load : loads) {
            assertThat(load.stop()).containsOnlyKeys("ok");
        }
    }

    /** What the kernel says of each pinned link, by its name. */
    private Map<String, LinkInfo> links() {
        try (Stream<Path> pins = Files.list(site.bpfRoot().resolve("links"))) {
            Map<String, LinkInfo> links = new TreeMap<>();
            for (Path pin : pins.toList()) {
                try (BpfLink link = BpfLink.openPinned(pin)) {
                    links.put(pin.getFileName().toString(), link.info());
                }
            }
            return links;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<String, Integer> ids(Map<String, LinkInfo> links) {
        Map<String, Integer> ids = new TreeMap<>();
        links.forEach((name, link) -> ids.put(name, link.id()));
        return ids;
    }

    @Test
    void sigterm_endsTheDaemonInGoodOrder_andTrafficGoesOn() {
        DaemonProcess daemon = site.start().awaitReady();
        List<SteadyLoad> connects = connects();
        String metricsAddress = daemon.metricsAddress();

        assertThat(daemon.terminate()).as(daemon.log()).isZero();
        assertThat(daemon.log()).contains("stopping; traffic goes on").doesNotContain("ERROR", "WARN");
        assertThat(client.load(Load.Kind.REQUEST, VIP4, 80, 100, 1).servers()).hasSize(3);
        assertThat(site.node().traffic().request(VIP6, 80)).startsWith("web-");
        assertNoneFailed(connects);
        assertThat(Launcher.plain()
                        .run("status", "--metrics-address=" + metricsAddress)
                        .exitCode())
                .isEqualTo(1);
        assertThat(Launcher.plain()
                        .run("bpf", "dump", "--bpf-root=" + site.bpfRoot())
                        .out())
                .contains("address=" + VIP4 + ":80");
    }

    @Test
    void cleanup_removesAllAndSaysSo() {
        site.start().awaitReady().terminate();

        Launcher.Outcome outcome = Launcher.plain().run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        assertThat(outcome.out().lines())
                .contains(
                        "detached " + site.bpfRoot() + "/links/connect4",
                        "removed " + site.bpfRoot() + "/maps/frontends")
                .endsWith("removed " + site.bpfRoot());
        assertThat(site.bpfRoot()).doesNotExist();
        assertThatExceptionOfType(CallFailedException.class).isThrownBy(() -> client.request(VIP4, 80));

        Launcher.Outcome again = Launcher.plain().run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(again.exitCode()).isZero();
        assertThat(again.out()).isEqualTo("nothing of shunt is at " + site.bpfRoot() + "\n");
        Launcher.Outcome dump = Launcher.plain().run("bpf", "dump", "--bpf-root=" + site.bpfRoot());
        assertThat(dump.exitCode()).isEqualTo(1);
        assertThat(dump.err()).startsWith("shunt bpf dump: nothing is pinned below " + site.bpfRoot());
    }

    @Test
    void aSecondDaemonOnTheSameRoot_isRefused_andTheFirstGoesOn() {
        DaemonProcess first = site.start().awaitReady();
        List<SteadyLoad> connects = connects();
        Map<String, LinkInfo> links = links();

        Launcher.Outcome second = site.run(Launcher.plain());
        assertThat(second.exitCode()).isEqualTo(1);
        assertThat(second.err())
                .isEqualTo("shunt run: --bpf-root " + site.bpfRoot() + " is in use by another shunt daemon (process "
                        + first.pid() + "): stop that one, or choose another --bpf-root and --cgroup-root\n");
        assertThat(links()).isEqualTo(links);
        assertThat(first.status().healthy()).isTrue();
        assertNoneFailed(connects);
    }

    /** Small services beside the one that is watched, so that writes go on all the time. */
    private final class Crowd {
        private static final int SIZE = 24;

        private final RandomGenerator random;
        private final Map<Integer, String> manifests = new HashMap<>();
        private int next;

        Crowd(long seed) {
            random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        }

        void edit() {
            int n = next++ % SIZE;
            if (random.nextInt(8) == 0 && manifests.containsKey(n)) {
                manifests.remove(n);
                site.remove("crowd" + n + ".yaml");
            } else {
                String manifest = service("crowd" + n, "10.96.1." + n, "fd00:96:1::" + n, some(random.nextInt(4)));
                manifests.put(n, manifest);
                site.moveIn("crowd" + n + ".yaml", manifest);
            }
            if (n % 4 == 0) {
                site.moveIn("web.yaml", web(some(1 + random.nextInt(3))));
            }
        }

        private List<NodePod> some(int count) {
            List<NodePod> pods = new ArrayList<>(servers);
            while (pods.size() > count) {
                pods.remove(random.nextInt(pods.size()));
            }
            return pods;
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = 1)
    void killedWhileItWrites_theNextTakesOver_andNoConnectFails(long seed) {
        Crowd crowd = new Crowd(seed);
        DaemonProcess daemon = site.start().awaitReady();
        List<SteadyLoad> connects = connects();
        Map<String, LinkInfo> links = links();
        for (int round = 0; round < 5; round++) {
            int edits = 200 + crowd.random.nextInt(2_000);
            for (int i = 0; i < edits; i++) {
                crowd.edit();
            }
            daemon.kill();
            KernelTable left = site.table();

            daemon = site.start().awaitReady();

            KernelTable adopted = site.table();
            assertKept(left.serviceIds(), adopted.serviceIds());
            adopted.backendIds().forEach((frontend, ids) -> {
                if (left.serviceIds().containsKey(frontend)) {
                    assertKept(left.backendIds().get(frontend), ids);
                }
            });
            assertThat(ids(links())).as("links that were updated in place").isEqualTo(ids(links));
            assertThat(links().get("connect4").programId())
                    .isNotEqualTo(links.get("connect4").programId());
            links = links();
        }
        assertNoneFailed(connects);
        assertThat(daemon.status().healthy()).as(daemon.log()).isTrue();
        try (Site fresh = new Site()) {
            crowd.manifests.forEach((n, manifest) -> fresh.write("crowd" + n + ".yaml", manifest));
            fresh.write("web.yaml", read("web.yaml"));
            fresh.start().awaitReady();
            await("what was replaced to be freed")
                    .untilAsserted(() -> assertThat(site.table().contents())
                            .isEqualTo(fresh.table().contents()));
            assertThat(fresh.table().contents().strays()).isEmpty();
            assertThat(fresh.table().serviceIds()).hasSize(2 * (crowd.manifests.size() + 1));
        }
    }

    private static void assertKept(Map<String, Integer> before, Map<String, Integer> after) {
        after.forEach((name, id) -> {
            if (before.containsKey(name)) {
                assertThat(id).as(name).isEqualTo(before.get(name));
            }
        });
    }

    private String read(String name) {
        try {
            return Files.readString(site.manifests().resolve(name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void beforeTheSourceHasListed_nothingIsTakenAway() throws IOException {
        String manifest = web(servers);
        site.start().awaitReady().kill();
        List<SteadyLoad> connects = connects();
        KernelTable left = site.table();
        Path file = site.manifests().resolve("web.yaml");
        Files.delete(file);
        Files.writeString(file, manifest.substring(0, manifest.indexOf("endpoints")));

        // Half a manifest, and somebody writes on: a valid one that lacks its endpoints.
        try (Writer writer = new Writer(file)) {
            DaemonProcess daemon = site.start().awaitServing();
            await("the daemon to look at the file")
                    .atMost(DaemonProcess.PATIENCE)
                    .until(() -> daemon.health("/readyz").statusCode() == 503 && writer.written() > 60);
            assertThat(daemon.health("/readyz").body()).contains("has not listed everything yet");
            assertThat(daemon.health("/livez").statusCode()).isEqualTo(200);
            assertThat(daemon.status().source().listed()).isFalse();
            assertThat(site.table()).isEqualTo(left);

            // The comments may go on behind it.
            site.write("web.yaml", manifest);
            writer.close();
            daemon.awaitReady();
            assertThat(site.table()).isEqualTo(left);
        }
        assertNoneFailed(connects);
    }

    /**
     * Appends a comment every few milliseconds. A process, as it has to be punctual: what rests for 50 ms is taken for
     * written, and threads of a JVM with other things to do rest for longer at times.
     */
    private static final class Writer implements AutoCloseable {
        private final Path file;
        private final long before;
        private final Process process;

        Writer(Path file) throws IOException {
            this.file = file;
            before = Files.size(file);
            process = new ProcessBuilder(
                            "nice",
                            "-n",
                            "-20",
                            "sh",
                            "-c",
                            "while echo '#' >> \"$0\"; do sleep 0.01; done",
                            file.toString())
                    .start();
        }

        /** How many bytes. */
        long written() throws IOException {
            return Files.size(file) - before;
        }

        @Override
        public void close() {
            process.destroy();
            process.onExit().join();
        }
    }

    @Test
    void aBrokenFileAtTheStart_takesNothingAway() {
        site.write("other.yaml", service("other", "10.96.0.11", "fd00:96::11", servers));
        site.write("gone.yaml", service("gone", "10.96.0.12", "fd00:96::12", servers));
        site.start().awaitReady().kill();
        List<SteadyLoad> connects = connects();
        site.write("web.yaml", "kind: Service\nspec: {");
        site.write("other.yaml", service("other", "10.96.0.11", "fd00:96::11", servers.subList(0, 1)));
        site.remove("gone.yaml");

        DaemonProcess daemon = site.start().awaitReady();
        assertThat(daemon.status().complaints()).singleElement().asString().startsWith("web.yaml (web.yaml:2): ");
        assertThat(daemon.metric("shunt_source_problems")).isEqualTo(1);
        assertThat(client.load(Load.Kind.REQUEST, "10.96.0.11", 80, 20, 1).servers())
                .as("what can be read is in force")
                .containsOnlyKeys("web-0");
        assertThat(site.table().contents().choices())
                .containsEntry(VIP4 + ":80/6", addresses())
                .containsEntry("10.96.0.12:80/6", addresses());

        site.write("web.yaml", web(servers));
        await("what is really gone to go")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> !site.table().serviceIds().containsKey("10.96.0.12:80/6"));
        assertThat(daemon.status().healthy()).isTrue();
        assertThat(site.table().contents().choices()).containsEntry(VIP4 + ":80/6", addresses());
        assertNoneFailed(connects);
    }

    private Set<String> addresses() {
        return Set.copyOf(
                servers.stream().map(pod -> pod.v4() + ":" + Site.HTTP).toList());
    }
}
