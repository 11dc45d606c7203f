package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.snapshot.Status.ProblemView;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Manifests that cannot be meant: what they said before stays in force, and status, metrics and log name the object,
 * the field and the cure until they are mended. And those that look odd and are right.
 */
@Tag("kernel")
@Tag("process")
class BadManifestTest {
    private static final String VIP4 = "10.96.0.10";
    private static final String VIP6 = "fd00:96::10";

    private static Site site;
    private static List<NodePod> servers;
    private static Traffic client;
    private static DaemonProcess daemon;
    private static String good;

    @BeforeAll
    static void start() {
        site = new Site();
        try {
            servers = site.servers(2);
            client = site.node().traffic();
            String port = "http " + Site.HTTP + " TCP";
            good = Manifest.service("web", List.of(VIP4, VIP6), "http 80 TCP")
                    + Manifest.slice("web", "IPv4", List.of(servers.getFirst().v4()), port)
                    + Manifest.slice("web", "IPv6", List.of(servers.getFirst().v6()), port);
            site.write("web.yaml", good);
            // Or root could read everything.
            Launcher launcher = Launcher.plain()
                    .under("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all");
            daemon = site.start(launcher, "file:" + site.manifests(), "--max-services=12000")
                    .awaitReady();
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    @AfterAll
    static void stop() {
        site.close();
    }

    private static Arguments bad(
            String what,
            UnaryOperator<String> edit,
            String object,
            String where,
            String field,
            String message,
            String cure) {
        return Arguments.of(what, edit, new ProblemView(object, where, field, message, cure));
    }

    private static UnaryOperator<String> swap(String from, String to) {
        return text -> {
            assertThat(text).contains(from);
            return text.replaceFirst(java.util.regex.Pattern.quote(from), to);
        };
    }

    static Stream<Arguments> badManifests() {
        String ips = "write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d";
        String server4 = servers.getFirst().v4();
        String server6 = servers.getFirst().v6();
        return Stream.of(
                bad(
                        "an invalid cluster IP",
                        text -> text.replace(VIP4, "10.96.0.300"),
                        "Service test/web",
                        "web.yaml:7",
                        "spec.clusterIPs[0]",
                        "\"10.96.0.300\" is no IP address",
                        ips),
                bad(
                        "port 0",
                        swap("port: 80,", "port: 0,"),
                        "Service test/web",
                        "web.yaml:8",
                        "spec.ports[0].port",
                        "0 is no port",
                        "write a port from 1 to 65535"),
                bad(
                        "an unknown protocol",
                        swap("protocol: TCP", "protocol: ICMP"),
                        "Service test/web",
                        "web.yaml:8",
                        "spec.ports[0].protocol",
                        "\"ICMP\" is no protocol that a Service can have",
                        "write TCP, UDP or SCTP"),
                bad(
                        "two cluster IPs of one family",
                        text -> text.replace(VIP6, "10.96.0.11"),
                        "Service test/web",
                        "web.yaml:7",
                        "spec.clusterIPs[1]",
                        "10.96.0.11 is a second address of one family",
                        "write at most one a family"),
                bad(
                        "an unknown addressType",
                        swap("addressType: IPv4", "addressType: IPv5"),
                        "EndpointSlice test/web-ipv4",
                        "web.yaml:13",
                        "addressType",
                        "\"IPv5\" is unknown",
                        "write IPv4 or IPv6"),
                bad(
                        "addresses of the other family",
                        swap("addressType: IPv4", "addressType: IPv6"),
                        "EndpointSlice test/web-ipv4",
                        "web.yaml:15",
                        "endpoints[0].addresses[0]",
                        server4 + " is an IPv4 address in a slice of addressType IPv6",
                        "move it to a slice of addressType IPv4"),
                bad(
                        "an IPv4 address as IPv6",
                        swap('"' + server6 + '"', "\"::ffff:" + server4 + '"'),
                        "EndpointSlice test/web-ipv6",
                        "web.yaml:22",
                        "endpoints[0].addresses[0]",
                        "\"::ffff:" + server4 + "\" is no IP address",
                        ips),
                bad(
                        "an endpoint of two families",
                        swap("[\"" + server4 + "\"]", "[\"" + server4 + "\", \"" + server6 + "\"]"),
                        "EndpointSlice test/web-ipv4",
                        "web.yaml:15",
                        "endpoints[0].addresses[1]",
                        server6 + " is an IPv6 address in a slice of addressType IPv4",
                        "move it to a slice of addressType IPv6"),
                bad(
                        "half a manifest",
                        text -> text.substring(0, text.indexOf("80,")),
                        "web.yaml",
                        "web.yaml:8",
                        "",
                        "is no YAML: expected the node content, but found '<stream end>'",
                        "correct it"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("badManifests")
    void aBadManifest_keepsWhatItSaidBefore(String what, UnaryOperator<String> edit, ProblemView expected) {
        KernelTable before = settledTable();
        double errors = errors();

        site.write("web.yaml", edit.apply(good));
        await("the daemon to complain")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(daemon.status().source().problems()).containsExactly(expected));
        assertThat(daemon.metric("shunt_source_problems")).isEqualTo(1);
        assertThat(daemon.metric("shunt_healthy")).isZero();
        assertThat(errors()).isGreaterThan(errors);
        assertThat(daemon.health("/readyz").statusCode()).isEqualTo(200);
        assertThat(settledTable()).isEqualTo(before);
        assertThat(client.request(VIP4, 80)).isEqualTo("web-0");

        site.write("web.yaml", good);
        await("the daemon to be content")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.status().healthy());
        String line = expected.object() + " (" + expected.where() + "): "
                + (expected.field().isEmpty() ? "" : expected.field() + ": ") + expected.message() + "; "
                + expected.cure();
        await().untilAsserted(() -> assertThat(daemon.log().lines().filter(logged -> logged.contains(line)))
                .as(daemon.log())
                .satisfiesExactly(
                        raised -> assertThat(raised).contains("WARN"),
                        mended -> assertThat(mended).contains("mended: ")));
        assertThat(settledTable()).isEqualTo(before);
    }

    private static double errors() {
        return Stream.of("syntax", "invalid")
                .mapToDouble(cause -> daemon.metric("shunt_source_errors_total{cause=\"" + cause + "\"}"))
                .sum();
    }

    @Test
    void aFileThatMayNotBeRead_keepsWhatItSaidBefore() throws IOException {
        KernelTable before = settledTable();
        Path file = site.manifests().resolve("web.yaml");
        site.write(
                "web.yaml", good.replace(servers.get(0).v4(), servers.get(1).v4()), "---\nkind: X\napiVersion: v1\n");
        await().atMost(DaemonProcess.PATIENCE)
                .until(() -> client.request(VIP4, 80).equals("web-1"));

        Path draft = Files.writeString(site.manifests().resolve(".draft"), good);
        Files.setPosixFilePermissions(draft, PosixFilePermissions.fromString("---------"));
        Files.move(draft, file, java.nio.file.StandardCopyOption.ATOMIC_MOVE);
        ProblemView expected =
                new ProblemView("web.yaml", "web.yaml", "", "may not be read", "let the daemon's user read it");
        await("the daemon to complain")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(daemon.status().source().problems()).containsExactly(expected));
        assertThat(client.request(VIP4, 80)).isEqualTo("web-1");

        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
        await("the daemon to read it again")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.status().healthy());
        await("what it says in the kernel")
                .untilAsserted(() -> assertThat(settledTable().contents()).isEqualTo(before.contents()));
    }

    @Test
    void statusOfAnUnhealthyDaemon_exitsWith1_andSaysWhy() {
        site.write("broken.yaml", "kind: Service\napiVersion: v1\nmetadata: {name: broken}\n");
        try {
            await().atMost(DaemonProcess.PATIENCE).until(() -> !daemon.status().healthy());
            Launcher.Outcome outcome = Launcher.plain().run("status", "--metrics-address", daemon.metricsAddress());
            assertThat(outcome.exitCode()).as(outcome.toString()).isEqualTo(1);
            assertThat(outcome.out())
                    .contains(
                            "Health    NOT HEALTHY\n          ! Service default/broken (broken.yaml:1): spec: is missing;"
                                    + " write the Service's spec\n");
        } finally {
            site.remove("broken.yaml");
        }
        await().atMost(DaemonProcess.PATIENCE).until(() -> daemon.status().healthy());
    }

    private static void awaitBackends(String frontend, int count) {
        await("the manifest in the kernel")
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(settledTable().contents().choices().get(frontend))
                                .hasSize(count));
    }

    private static void removeAndAwait(String file, String frontend) {
        site.remove(file);
        await("the service to go")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> !settledTable().serviceIds().containsKey(frontend));
    }

    @Test
    void aSliceWithoutPorts_isNobody() {
        site.write(
                "odd.yaml",
                Manifest.service("odd", List.of("10.96.0.20"), "http 80 TCP"),
                Manifest.slice("odd", "IPv4", List.of(servers.getFirst().v4())));
        awaitBackends("10.96.0.20:80/6", 0);
        assertThat(daemon.status().healthy()).isTrue();
        removeAndAwait("odd.yaml", "10.96.0.20:80/6");
    }

    @Test
    void duplicateEndpoints_areOne() {
        String v4 = servers.getFirst().v4();
        String port = "http " + Site.HTTP + " TCP";
        site.write(
                "odd.yaml",
                Manifest.service("odd", List.of("10.96.0.20"), "http 80 TCP"),
                Manifest.slice("odd", "IPv4", List.of(v4, servers.getLast().v4(), v4), port),
                Manifest.slice("odd", "IPv4", List.of(v4), port).replace("name: odd-ipv4", "name: odd-more"));
        awaitBackends("10.96.0.20:80/6", 2);
        assertThat(settledTable().contents().backends().get("10.96.0.20:80/6")).hasSize(2);
        assertThat(daemon.status().healthy()).isTrue();
        removeAndAwait("odd.yaml", "10.96.0.20:80/6");
    }

    @Test
    void aThousandEndpoints_areAllServed() {
        List<String> addresses = new ArrayList<>();
        IntStream.range(0, 1_000).forEach(n -> addresses.add("10.7." + n / 250 + "." + (1 + n % 250)));
        site.write(
                "many.yaml",
                Manifest.service("many", List.of("10.96.0.21"), "http 80 TCP"),
                Manifest.slice("many", "IPv4", addresses, "http 8080 TCP"));
        awaitBackends("10.96.0.21:80/6", 1_000);
        Collections.shuffle(addresses);
        site.write(
                "many.yaml",
                Manifest.service("many", List.of("10.96.0.21"), "http 80 TCP"),
                Manifest.slice("many", "IPv4", addresses.subList(0, 500), "http 8080 TCP"));
        awaitBackends("10.96.0.21:80/6", 500);
        assertThat(daemon.status().healthy()).isTrue();
        removeAndAwait("many.yaml", "10.96.0.21:80/6");
    }

    @Test
    void aServiceOfTenThousandPorts_isServedOnEachOfThem() {
        String[] ports = IntStream.rangeClosed(1, 10_000)
                .mapToObj(n -> "p" + n + " " + n + " TCP")
                .toArray(String[]::new);
        site.write(
                "wide.yaml",
                Manifest.service("wide", List.of("10.96.0.22"), ports),
                Manifest.slice("wide", "IPv4", List.of(servers.getLast().v4()), "p7 " + Site.HTTP + " TCP"));
        await("the ports in the kernel")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.status().services() == 10_002);
        assertThat(client.request("10.96.0.22", 7)).isEqualTo("web-1");
        assertThat(client.request(VIP4, 80)).isEqualTo("web-0");
        removeAndAwait("wide.yaml", "10.96.0.22:7/6");
        await("all of them to go")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.status().services() == 2);
    }

    /** The table once nothing waits for its grace period any more, as a Service of 10,000 ports does for a while. */
    private static KernelTable settledTable() {
        return await("the grace periods to end")
                .atMost(DaemonProcess.PATIENCE)
                .until(site::table, table -> table.contents().strays().isEmpty());
    }
}
