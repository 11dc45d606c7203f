package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.api.Json;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.TestObject;
import io.shunt.net.Protocol;
import io.shunt.snapshot.Status;
import io.shunt.snapshot.Status.DeviceView;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Load;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A daemon in its node's network namespace, which finds the devices itself, and a client from outside. */
@Tag("kernel")
@Tag("process")
class PacketPathTest {
    private static final String NODE = "192.168.7.1";
    private static final String NODE6 = "fd07::1";
    private static final int NODE_PORT = 30080;

    @TempDir
    private Path directory;

    private Site site;
    private Namespace node;
    private Launcher inside;
    private Pod outside;

    @BeforeEach
    void prepare() {
        site = new Site();
        try {
            node = site.node().namespace();
            inside = Launcher.plain().under("nsenter", "--net=" + node.path());
            outside = site.add(new Pod(site.add(Cgroup.create("outside")), "outside"));
            outside.namespace().link("eth0", node, "eth0");
            outside.namespace().address("eth0", "192.168.7.9/24");
            outside.namespace().address("eth0", "fd07::9/64");
            node.address("eth0", NODE + "/24");
            node.address("eth0", NODE6 + "/64");
            NodePod server = site.node().pod("web");
            for (String address : List.of(server.v4(), server.v6())) {
                server.traffic().serve(Protocol.TCP, address, Site.HTTP, "web");
            }
            site.write(
                    "web.yaml",
                    """
                    apiVersion: v1
                    kind: Service
                    metadata: {name: web, namespace: test}
                    spec:
                      type: NodePort
                      clusterIP: 10.96.0.10
                      clusterIPs: [10.96.0.10, "fd00:96::10"]
                      ports:
                      - {name: http, port: 80, protocol: TCP, nodePort: 30080}
                    """,
                    Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"),
                    Manifest.slice("web", "IPv6", List.of(server.v6()), "http " + Site.HTTP + " TCP"));
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private DaemonProcess start(String devices) {
        return start(devices, "off");
    }

    private DaemonProcess start(String devices, String acceleration) {
        DaemonProcess daemon = site.start(
                        inside,
                        "file:" + site.manifests(),
                        "--devices=" + devices,
                        "--max-flows=65536",
                        "--acceleration=" + acceleration)
                .awaitServing();
        soon(() -> assertThat(status(daemon).complaints()).isEmpty());
        return daemon;
    }

    private Status status(DaemonProcess daemon) {
        return Json.MAPPER.readValue(
                inside.run("status", "-o", "json", "--metrics-address=" + daemon.metricsAddress())
                        .out(),
                Status.class);
    }

    private static void soon(ThrowingRunnable assertion) {
        await().atMost(DaemonProcess.PATIENCE)
                .pollInterval(Duration.ofMillis(100))
                .untilAsserted(assertion);
    }

    /** Whether all programs of a device are attached. */
    private Map<String, Boolean> devices(DaemonProcess daemon) {
        Map<String, Boolean> devices = new TreeMap<>();
        for (DeviceView view : status(daemon).packets().devices()) {
            devices.merge(view.device(), view.attached(), Boolean::logicalAnd);
        }
        return devices;
    }

    private void assertServed() {
        assertThat(outside.traffic().request(NODE, NODE_PORT)).isEqualTo("web");
        assertThat(outside.traffic().request(NODE6, NODE_PORT)).isEqualTo("web");
    }

    @Test
    void outsideClient_reachesANodePort_alsoWithoutTheDaemonAndWithTheNext_untilCleanup() {
        DaemonProcess daemon = start("");
        assertServed();
        assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true));
        try (Traffic.Socket v4 = outside.traffic().socket(Traffic.Kind.TCP4);
                Traffic.Socket v6 = outside.traffic().socket(Traffic.Kind.TCP6)) {
            v4.connect(NODE, NODE_PORT);
            v6.connect(NODE6, NODE_PORT);
            soon(() -> assertThat(status(daemon).packets().flows()).isEqualTo(2));
        }

        int link = link();
        SteadyLoad load = site.add(new SteadyLoad(outside.traffic(), Load.Kind.REQUEST, NODE, NODE_PORT));
        assertThat(daemon.terminate()).isZero();
        DaemonProcess next = start("");
        assertThat(load.stop()).containsOnlyKeys("ok");
        assertThat(link()).isEqualTo(link);
        assertThat(devices(next)).isEqualTo(Map.of("eth0", true, "veth2", true));
        assertThat(next.log()).doesNotContain("ERROR");

        next.kill();
        assertServed();
        assertThat(programs()).hasSize(4);
        Launcher.Outcome cleanup = inside.run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(cleanup.exitCode()).as(cleanup.err()).isZero();
        assertThat(cleanup.out()).contains("links/from_outside@eth0", "links/from_pod@veth2", "links/from_host@eth0");
        assertThat(site.bpfRoot()).doesNotExist();
        assertThat(programs()).isEmpty();
    }

    /**
     * As on kernels without TCX. The daemon is told by what seems to be an earlier one's: that it finds out by itself,
     * DeviceHooksTest shows.
     */
    @Test
    void filtersOfClsact_serveOutsideClients_alsoWithoutTheDaemonAndWithTheNext_untilCleanup() throws IOException {
        Files.createDirectories(site.bpfRoot().resolve("links"));
        for (String hook : List.of("from_outside@eth0", "from_host@eth0", "from_pod@veth2", "from_host@veth2")) {
            String side = hook.startsWith("from_host") ? "egress" : "ingress";
            int index = node.index(hook.substring(hook.indexOf('@') + 1));
            Files.createSymbolicLink(
                    site.bpfRoot().resolve("links/" + hook), Path.of("clsact/" + side + "/" + index + "/21320/10"));
        }
        DaemonProcess daemon = start("");
        assertServed();
        assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true));
        assertThat(programs()).isEmpty();
        List<String> filters = filters();
        assertThat(filters).hasSize(4);

        SteadyLoad load = site.add(new SteadyLoad(outside.traffic(), Load.Kind.REQUEST, NODE, NODE_PORT));
        SteadyLoad load6 = site.add(new SteadyLoad(
                site.add(Traffic.start(outside.cgroup(), outside.namespace())), Load.Kind.REQUEST, NODE6, NODE_PORT));
        assertThat(daemon.terminate()).isZero();
        DaemonProcess next = start("");
        assertThat(load.stop()).containsOnlyKeys("ok");
        assertThat(load6.stop()).containsOnlyKeys("ok");
        assertThat(filters()).hasSize(4).doesNotContainAnyElementsOf(filters);
        assertThat(devices(next)).isEqualTo(Map.of("eth0", true, "veth2", true));
        assertThat(next.log()).doesNotContain("ERROR");

        next.kill();
        assertServed();
        Launcher.Outcome cleanup = inside.run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(cleanup.exitCode()).as(cleanup.err()).isZero();
        assertThat(filters()).isEmpty();
        assertNotServed(outside.traffic(), NODE, NODE_PORT);
    }

    /** What clsact's filters at both devices run: a line each, with the program's id. */
    private List<String> filters() {
        List<String> filters = new ArrayList<>();
        for (String device : List.of("eth0", "veth2")) {
            for (String side : List.of("ingress", "egress")) {
                node.run("tc", "filter", "show", "dev", device, side).stream()
                        .filter(line -> line.contains(" id "))
                        .map(line -> device + " " + side + " " + line.strip())
                        .forEach(filters::add);
            }
        }
        return filters;
    }

    @Test
    void acceleration_comesAndGoesWithItsFlag() {
        DaemonProcess daemon = start("", "generic");
        assertServed();
        assertThat(status(daemon).packets().devices())
                .contains(new DeviceView("eth0", "driver_generic", "generic", true))
                .filteredOn(view -> view.direction().equals("generic"))
                .hasSize(1);
        Path pin = site.bpfRoot().resolve("links/driver_generic@eth0");
        assertThat(pin).exists();

        daemon.kill();
        assertServed();
        DaemonProcess next = start("", "off");
        assertThat(pin).doesNotExist();
        assertThat(devices(next)).isEqualTo(Map.of("eth0", true, "veth2", true));
        assertServed();
    }

    private int link() {
        try (BpfLink link = BpfLink.openPinned(site.bpfRoot().resolve("links/from_outside@eth0"))) {
            return link.info().id();
        }
    }

    /** The ids of all programs that the kernel runs at both devices. */
    private List<Integer> programs() {
        List<Integer> programs = new ArrayList<>();
        for (String device : List.of("eth0", "veth2")) {
            for (AttachType type : List.of(AttachType.TCX_INGRESS, AttachType.TCX_EGRESS)) {
                programs.addAll(node.call(() -> BpfProgram.attached(node.index(device), type, false)));
            }
        }
        return programs;
    }

    @Test
    void device_thatComesLater_isAttachedTo_andWhatOthersUndoIsMended() {
        DaemonProcess daemon = start("eth0,wlan0");
        assertThat(status(daemon).packets().unmatchedDevices()).containsExactly("wlan0");
        assertThat(daemon.log()).contains("--devices: no device that is up is called wlan0");
        assertThat(page(daemon.metricsAddress(), "/metrics")).containsPattern("(?m)^shunt_unmatched_devices 1.0$");
        assertThat(devices(daemon)).containsOnlyKeys("eth0", "veth2");

        node.link("wlan0", outside.namespace(), "wlan0");
        soon(() -> assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true, "wlan0", true)));
        assertThat(status(daemon).packets().unmatchedDevices()).isEmpty();
        assertThat(page(daemon.metricsAddress(), "/metrics")).containsPattern("(?m)^shunt_unmatched_devices 0.0$");

        // Whatever else changes at the devices meanwhile makes the daemon mend it before it is asked.
        await().atMost(DaemonProcess.PATIENCE)
                .ignoreExceptionsInstanceOf(BpfException.class)
                .untilAsserted(() -> {
                    try (BpfLink link = BpfLink.openPinned(site.bpfRoot().resolve("links/from_outside@eth0"))) {
                        link.detach();
                    }
                    assertThat(status(daemon).complaints())
                            .containsExactly(
                                    "program from_outside has been taken from device eth0; it is put back within 30 s");
                });
        node.ip("link", "del", "wlan0");
        soon(() -> assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true)));
        assertServed();
    }

    @Test
    void deviceThatCannotBeAttachedTo_isComplainedOf_untilItCan_andTheOthersWork() throws IOException {
        DaemonProcess daemon = start("");
        // In the way of the link that is to be pinned.
        Path obstacle = Files.createDirectory(site.bpfRoot().resolve("links/from_outside@wlan0"));
        node.link("wlan0", outside.namespace(), "wlan0");
        node.address("wlan0", "192.168.8.1/24");

        soon(() -> assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true, "wlan0", false)));
        // While it is tried again more than that is complained of.
        soon(() -> assertThat(status(daemon).complaints())
                .singleElement()
                .asString()
                .startsWith("program from_outside at device wlan0: ")
                .endsWith("; tried again within 30 s"));
        Status status = status(daemon);
        assertThat(status.healthy()).isFalse();
        assertThat(status.errors()).anyMatch(error -> error.object().equals("device wlan0"));
        assertThat(status.packets().deviceFailures()).isPositive();
        assertServed();

        Files.delete(obstacle);
        node.address("wlan0", "192.168.8.2/24");
        soon(() -> assertThat(devices(daemon)).isEqualTo(Map.of("eth0", true, "veth2", true, "wlan0", true)));
        assertThat(status(daemon).complaints()).isEmpty();
    }

    @Test
    void wrongDevice_endsTheStart_beforeAnythingIsDone() {
        Launcher.Outcome outcome = site.run(inside, "--devices=eth0,lo");
        assertThat(outcome.exitCode()).isEqualTo(2);
        assertThat(outcome.err())
                .contains("shunt run: --devices: \"lo\" is the loopback device, by which nobody comes");
        assertThat(site.bpfRoot()).doesNotExist();
    }

    @Test
    void portsToMasqueradeBy_areThoseThatTheKernelLeaves() {
        node.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535");
        Launcher.Outcome outcome = site.run(inside, "--devices=eth0");
        assertThat(outcome.exitCode()).isEqualTo(1);
        assertThat(outcome.err()).contains("no port is left to speak from", "net.ipv4.ip_local_reserved_ports");

        node.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 60999");
        DaemonProcess daemon = start("eth0");
        assertThat(daemon.log()).contains("this node speaks in the name of others from ports 61000 to 65535");
        assertServed();
    }

    /** A launcher whose daemon finds another object in place of its own: the JVM looks here first. */
    private Launcher bringing(String object, byte[] elf) throws IOException {
        Files.createDirectories(directory.resolve("bpf"));
        Files.write(directory.resolve("bpf/" + object + ".bpf.o"), elf);
        return inside.with("SHUNT_JAVA_OPTS", "-Xbootclasspath/a:" + directory);
    }

    private String page(String address, String path) {
        return String.join(
                "\n", node.run("curl", "--silent", "--show-error", "--noproxy", "*", "http://" + address + path));
    }

    @Test
    void programsThatTheKernelRefuses_areComplainedOf_whileSocketsAreServed_andEarlierOnesStay() throws IOException {
        start("").kill();
        Launcher refused = bringing("tc", TestObject.elf("refused_tc"));
        String source = "file:" + site.manifests();
        DaemonProcess daemon = site.start(refused, source, "--devices=").awaitServing();
        soon(() -> assertThat(status(daemon).complaints())
                .containsExactly(
                        "clients from elsewhere and pods with kernels of their own are not served, sockets are: the"
                                + " kernel refuses the packet programs (program careless does not pass the verifier). Run a newer kernel, or do"
                                + " without them by --devices=none"));
        assertThat(daemon.log().lines().filter(line -> line.contains("ERROR")))
                .singleElement()
                .asString()
                .contains("the kernel refuses the packet programs (program careless does not pass the verifier)");
        Launcher.Outcome screen = inside.run("status", "--metrics-address=" + daemon.metricsAddress());
        assertThat(screen.exitCode()).isOne();
        assertThat(screen.out()).contains("Devices   NONE: the kernel refuses the packet programs");
        assertThat(page(daemon.metricsAddress(), "/metrics")).contains("\nshunt_packet_programs_refused 1.0\n");
        assertThat(page(daemon.healthAddress(), "/readyz")).isEqualTo("ok");
        assertThat(page(daemon.healthAddress(), "/healthz"))
                .contains("\"nodeEligible\":true,\"healthy\":true")
                .doesNotContain("reason");
        assertThat(site.node().traffic().request("10.96.0.10", 80)).isEqualTo("web");
        assertThat(programs()).hasSize(4);
        assertServed();
        site.remove("web.yaml");
        soon(() -> assertNotServed(site.node().traffic(), "10.96.0.10", 80));
        assertNotServed(outside.traffic(), NODE, NODE_PORT);

        daemon.kill();
        DaemonProcess without = site.start(refused, source, "--devices=none").awaitServing();
        soon(() -> assertThat(status(without).complaints()).isEmpty());
        assertThat(page(without.metricsAddress(), "/metrics")).contains("\nshunt_packet_programs_refused 0.0\n");
        assertThat(programs()).isEmpty();
    }

    /** Without any of an earlier daemon's. */
    @Test
    void programsThatTheKernelRefuses_takeTheNodeOutOfLoadBalancers_unlessNoneAreWanted() throws IOException {
        Launcher refused = bringing("tc", TestObject.elf("refused_tc"));
        String source = "file:" + site.manifests();
        DaemonProcess daemon = site.start(refused, source, "--devices=").awaitServing();
        soon(() -> assertThat(code(daemon.healthAddress(), "/healthz")).isEqualTo("503"));
        assertThat(page(daemon.healthAddress(), "/healthz"))
                .contains(
                        "\"nodeEligible\":false,\"healthy\":true",
                        "\"reason\":\"clients from elsewhere and pods with kernels of their own are not served");
        assertThat(code(daemon.healthAddress(), "/livez")).isEqualTo("200");
        assertThat(code(daemon.healthAddress(), "/readyz")).isEqualTo("200");
        assertNotServed(outside.traffic(), NODE, NODE_PORT);

        daemon.kill();
        DaemonProcess without = site.start(refused, source, "--devices=none").awaitServing();
        soon(() -> assertThat(status(without).complaints()).isEmpty());
        assertThat(code(without.healthAddress(), "/healthz")).isEqualTo("200");
    }

    private String code(String address, String path) {
        return String.join(
                "",
                node.run(
                        "curl",
                        "--silent",
                        "--noproxy",
                        "*",
                        "--output",
                        "/dev/null",
                        "--write-out",
                        "%{http_code}",
                        "http://" + address + path));
    }

    private static void assertNotServed(Traffic client, String address, int port) {
        assertThatExceptionOfType(CallFailedException.class).isThrownBy(() -> client.request(address, port));
    }

    @Test
    void aSweepThatTheKernelRefuses_isComplainedOf_andPacketsAreServed() throws IOException {
        Launcher refused = bringing("sweep", TestObject.elf("refused_sweep"));
        DaemonProcess daemon =
                site.start(refused, "file:" + site.manifests(), "--devices=").awaitServing();
        soon(() -> assertThat(status(daemon).complaints())
                .containsExactly(
                        "flows that have ended are not forgotten: the kernel refuses the program for it (program"
                                + " careless does not pass the verifier). Run a newer kernel, or do without packet programs by"
                                + " --devices=none"));
        assertServed();
    }

    /** As kernels before 6.1 do. */
    @Test
    void aSweepThatTheKernelRefusesOnlyIfItMaySleep_isReplacedByTheOther() throws IOException {
        Launcher refused = bringing("sweep", TestObject.elf("sleepless_sweep"));
        DaemonProcess daemon =
                site.start(refused, "file:" + site.manifests(), "--devices=").awaitServing();
        soon(() -> assertThat(status(daemon).complaints()).isEmpty());
        assertThat(daemon.log())
                .contains(
                        "flows are forgotten by a program that cannot sleep, as program sweep does not pass the verifier");
        assertServed();
    }

    @Test
    void aWayTooNarrowForDirectServerReturn_isToldOf_andTheOthersWork() {
        site.write("far.yaml", """
                apiVersion: v1
                kind: Service
                metadata: {name: far, namespace: test, annotations: {shunt.io/forwarding: dsr}}
                spec:
                  type: NodePort
                  clusterIP: "fd00:96::11"
                  ports:
                  - {name: dns, port: 53, protocol: UDP, nodePort: 30053}
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: far-ipv6, namespace: test, labels: {kubernetes.io/service-name: far}}
                addressType: IPv6
                ports: [{name: dns, port: 53, protocol: UDP}]
                endpoints: [{addresses: ["fd00:9::5"], nodeName: node-2}]
                """);
        DaemonProcess daemon = start("eth0");
        node.ip("route", "add", "fd00:9::/64", "via", "fd07::9");
        node.ip("link", "set", "eth0", "mtu", "1319");
        try (Traffic.Socket client = outside.traffic().socket(Traffic.Kind.UDP6)) {
            client.sendTo(new Peer(NODE6, 30053), "hello");
            soon(() -> assertThat(page(daemon.metricsAddress(), "/metrics"))
                    .contains("\nshunt_socket_errors_total{cause=\"tunnel_narrow\"} 1.0\n"));
        }
        // The devices are looked at.
        node.address("eth0", "192.168.7.3/24");
        soon(() -> assertThat(status(daemon).errors()).singleElement().satisfies(error -> {
            assertThat(error.object()).isEqualTo("forwarding");
            assertThat(error.message())
                    .startsWith("direct server return: the MTU of the way to another node is too small")
                    .endsWith("raise it, or say --forwarding=snat");
        }));
        assertServed();
    }

    @Test
    void portThatNoServiceHas_isRefused_andCounted() {
        DaemonProcess daemon = start("");
        outside.namespace().ip("route", "add", "10.96.0.0/16", "via", NODE);

        assertThat(outside.traffic().request("10.96.0.10", 80)).isEqualTo("web");
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> outside.traffic().request("10.96.0.10", 81))
                .extracting(CallFailedException::errno)
                .isEqualTo("ECONNREFUSED");
        assertThat(status(daemon).packets().drops())
                .containsExactly(new Status.DropView("no_service", "to_backend", 1));
    }
}
