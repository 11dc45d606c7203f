package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.api.Json;
import io.shunt.snapshot.Status;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Load;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** One daemon, pods with real servers, and manifests that change: what clients and people see. */
@Tag("kernel")
@Tag("process")
class ServingTest {
    private static Site site;
    private static List<NodePod> servers;
    private static Traffic client;
    private static DaemonProcess daemon;

    @BeforeAll
    static void start() {
        site = new Site();
        try {
            servers = site.servers(3);
            client = site.node().pod("client").traffic();
            site.write("web.yaml", service("web", 10), slices("web", servers));
            daemon = site.start().awaitReady();
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    @AfterAll
    static void stop() {
        site.close();
    }

    private static String v4(int host) {
        return "10.96.0." + host;
    }

    private static String v6(int host) {
        return "fd00:96::" + host;
    }

    private static String service(String name, int host) {
        return Manifest.service(name, List.of(v4(host), v6(host)), "http 80 TCP", "dns 53 UDP");
    }

    private static String slices(String service, List<NodePod> pods) {
        String[] ports = {"http " + Site.HTTP + " TCP", "dns " + Site.DNS + " UDP"};
        return Manifest.slice(service, "IPv4", pods.stream().map(NodePod::v4).toList(), ports)
                + Manifest.slice(service, "IPv6", pods.stream().map(NodePod::v6).toList(), ports);
    }

    /** Who answers, of many asked. */
    private static Set<String> whoAnswers(Load.Kind kind, String address, int port) {
        Load load = client.load(kind, address, port, 60, 1);
        assertThat(load.outcomes()).isEqualTo(Map.of("ok", 60L));
        return load.servers().keySet();
    }

    /** At all frontends of a Service, which are written one after the other. */
    private static void awaitChoices(int host, int count) {
        await("the manifest's change in the kernel")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> {
                    Map<String, Set<String>> choices = site.table().contents().choices();
                    for (String address : List.of(v4(host), "[" + v6(host) + "]")) {
                        assertThat(choices.get(address + ":80/6")).hasSize(count);
                        assertThat(choices.get(address + ":53/17")).hasSize(count);
                    }
                });
    }

    @ParameterizedTest
    @CsvSource({"REQUEST, 80", "UDP, 53", "UDP_CONNECTED, 53"})
    void everyBackend_answersAtTheClusterIp(Load.Kind kind, int port) {
        for (String address : List.of(v4(10), v6(10))) {
            assertThat(whoAnswers(kind, address, port)).containsExactlyInAnyOrder("web-0", "web-1", "web-2");
        }
    }

    @Test
    void aSocket_seesTheClusterIpAsItsPeer() {
        try (Socket socket = client.socket(Kind.TCP4)) {
            socket.connect(v4(10), 80);
            assertThat(socket.peerName()).isEqualTo(new Peer(v4(10), 80));
        }
        try (Socket socket = client.socket(Kind.UDP6)) {
            socket.sendTo(new Peer(v6(10), 53), "?");
            assertThat(socket.receiveFrom().from()).isEqualTo(new Peer(v6(10), 53));
        }
    }

    @Test
    void theNodeItself_isServedToo() {
        assertThat(site.node().traffic().request(v4(10), 80)).startsWith("web-");
    }

    @Test
    void connectionsFollowTheManifest() {
        site.write("moving.yaml", service("moving", 11), slices("moving", servers.subList(0, 1)));
        awaitChoices(11, 1);
        assertThat(whoAnswers(Load.Kind.REQUEST, v4(11), 80)).containsExactly("web-0");
        int id = site.table().serviceIds().get(v4(11) + ":80/6");

        site.write("moving.yaml", service("moving", 11), slices("moving", servers.subList(1, 3)));
        awaitChoices(11, 2);
        assertThat(whoAnswers(Load.Kind.REQUEST, v4(11), 80)).containsExactlyInAnyOrder("web-1", "web-2");
        assertThat(whoAnswers(Load.Kind.UDP, v6(11), 53)).containsExactlyInAnyOrder("web-1", "web-2");
        assertThat(site.table().serviceIds()).containsEntry(v4(11) + ":80/6", id);

        site.write("moving.yaml", service("moving", 11), slices("moving", List.of()));
        awaitChoices(11, 0);
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> client.request(v4(11), 80))
                .extracting(CallFailedException::errno)
                .isEqualTo("ECONNREFUSED");

        site.remove("moving.yaml");
        await("the service to go")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> site.table().serviceIds().keySet().stream()
                        .noneMatch(frontend -> frontend.contains(v4(11)) || frontend.contains(v6(11))));
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> client.request(v4(11), 80))
                .extracting(CallFailedException::errno)
                .isNotEqualTo("ECONNREFUSED");
    }

    @Test
    void oneEditOfServiceAndSlices_isOneChange() {
        String manifest = service("renamed", 12) + slices("renamed", servers);
        site.write("renamed.yaml", manifest);
        awaitChoices(12, 3);
        double changes = daemon.metric("shunt_source_events_total{action=\"set\",kind=\"service\"}");
        try (SteadyLoad load = new SteadyLoad(client, Load.Kind.REQUEST, v6(12), 80)) {
            for (int edit = 1; edit <= 20; edit++) {
                site.moveIn("renamed.yaml", manifest.replace("name: http", "name: http" + edit));
                double expected = changes + edit;
                await("the daemon to take the edit")
                        .atMost(DaemonProcess.PATIENCE)
                        .until(() -> daemon.metric("shunt_source_events_total{action=\"set\",kind=\"service\"}")
                                == expected);
            }
            assertThat(load.stop()).containsOnlyKeys("ok");
        }
        site.remove("renamed.yaml");
    }

    @Test
    void status_showsAHealthyDaemon() {
        Launcher.Outcome outcome =
                Launcher.plain().run("status", "-o", "wide", "--metrics-address=" + daemon.metricsAddress());
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        assertThat(outcome.err()).isEmpty();
        assertThat(outcome.out())
                .contains(" on node-1, up ")
                .contains("Health    healthy")
                .contains("file " + site.manifests() + ", listed")
                .containsPattern("connect4 +CGROUP_INET4_CONNECT +yes +\\d+ +" + site.cgroupRoot())
                .containsPattern("frontends +\\d+ +2048");
    }

    @Test
    void status_asJson_isTheApisOwn() {
        Launcher.Outcome outcome =
                Launcher.plain().run("status", "-o", "json", "--metrics-address", daemon.metricsAddress());
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        Status status = Json.MAPPER.readValue(outcome.out(), Status.class);
        assertThat(status.healthy()).isTrue();
        assertThat(status.programs())
                .hasSize(11)
                .allMatch(Status.ProgramView::attached)
                .allMatch(program -> program.instructions() > 0);
    }

    @Test
    void status_whereNobodyAnswers_saysSo() {
        Launcher.Outcome outcome = Launcher.plain().run("status", "--metrics-address=127.0.0.1:1");
        assertThat(outcome.exitCode()).isEqualTo(1);
        assertThat(outcome.out()).isEmpty();
        assertThat(outcome.err()).matches("shunt status: no daemon answers at 127.0.0.1:1 .*--metrics-address.*\n");
    }

    @Test
    void serviceList_showsFrontendsBackendsAndConnections() {
        client.request(v4(10), 80);
        Launcher.Outcome outcome = Launcher.plain()
                .with("SHUNT_METRICS_ADDRESS", daemon.metricsAddress())
                .run("service", "list", "-n", "test", "-o", "json", "web");
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        JsonNode services = Json.MAPPER.readTree(outcome.out());
        assertThat(services.size()).isEqualTo(4);
        JsonNode http = services.get(2);
        assertThat(http.get("port").asString()).isEqualTo("http");
        assertThat(http.get("family").asString()).isEqualTo("IPv4");
        assertThat(http.get("frontends").size()).isEqualTo(1);
        assertThat(http.get("frontends").get(0).get("address").asString()).isEqualTo(v4(10) + ":80/TCP");
        assertThat(http.get("frontends").get(0).get("inside").asString()).isEqualTo("cluster");
        assertThat(http.get("backends").size()).isEqualTo(3);
        assertThat(http.get("connections").asLong()).isPositive();
    }

    @Test
    void bpfDump_decodesWhatThePinnedMapsHold() {
        Launcher.Outcome outcome = Launcher.plain().run("bpf", "dump", "--bpf-root=" + site.bpfRoot());
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        assertThat(outcome.err()).isEmpty();
        assertThat(outcome.out())
                .containsPattern("(?m)^frontends address=" + v4(10)
                        + ":80 protocol=6 inside=cluster outside=cluster restricted=false"
                        + " external=false hashed=false direct=false affinity_seconds=0 service_id=\\d+$")
                .containsPattern("(?m)^frontends address=" + v4(10) + " external=false$")
                .containsPattern("(?m)^backends backend_id=\\d+ address="
                        + servers.getFirst().v4() + ":8080 state=(cluster|both) generation=\\d+ service_id=\\d+$")
                .containsPattern("(?m)^service_stats service_id=\\d+ connections=\\d+ refused=\\d+$");
    }

    @Test
    void cleanup_whileTheDaemonRuns_isRefused() {
        Launcher.Outcome outcome = Launcher.plain().run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(outcome.exitCode()).isEqualTo(1);
        assertThat(outcome.out()).isEmpty();
        assertThat(outcome.err())
                .isEqualTo("shunt cleanup: --bpf-root " + site.bpfRoot()
                        + " is in use by another shunt daemon (process " + daemon.pid()
                        + "): stop that one, or choose another --bpf-root and --cgroup-root\n");
        assertThat(client.request(v4(10), 80)).startsWith("web-");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}",
                "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv6\"}",
                "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"}",
                "kubeproxy_sync_proxy_rules_service_changes_total",
                "kubeproxy_sync_proxy_rules_endpoint_changes_total",
                "shunt_healthy",
                "shunt_services",
                "shunt_backends",
                "shunt_source_listed",
                "shunt_source_events_total{action=\"set\",kind=\"service\"}",
                "shunt_source_last_event_age_seconds",
                "shunt_map_entries{map=\"frontends\"}",
                "shunt_map_max_entries{map=\"backends\"}",
                "shunt_map_bytes{map=\"sets\"}",
                "shunt_map_calls_total{call=\"update\",map=\"frontends\"}",
                "shunt_program_attached{hook=\"CGROUP_INET4_CONNECT\",program=\"connect4\"}",
                "process_resident_memory_bytes",
            })
    void metrics_count(String series) {
        assertThat(daemon.metric(series)).isPositive();
    }

    @Test
    void metrics_countTheKernelsConnections() {
        String series = "shunt_service_connections_total{ip_family=\"IPv6\",namespace=\"test\",port=\"dns\","
                + "protocol=\"UDP\",service=\"web\"}";
        double before = daemon.metric(series);
        client.load(Load.Kind.UDP, v6(10), 53, 25, 1);
        assertThat(daemon.metric(series) - before).isEqualTo(25);
    }

    @Test
    void probes_answer() {
        assertThat(daemon.health("/healthz").statusCode()).isEqualTo(200);
        assertThat(daemon.health("/livez").body()).contains("\"healthy\":true");
        assertThat(daemon.health("/readyz").body()).isEqualTo("ok");
        assertThat(daemon.page("/proxyMode")).isEqualTo("ebpf");
    }
}
