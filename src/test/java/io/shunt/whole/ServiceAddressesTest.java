package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.net.Protocol;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Load;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A daemon in its node's own network namespace, as in a cluster: each kind of address, from a pod and from the host. */
@Tag("kernel")
@Tag("process")
class ServiceAddressesTest {
    private static final int HTTP_NODE_PORT = 30080;
    private static final int DNS_NODE_PORT = 30053;
    private static final String NODE_V4 = "10.1.0.1";
    private static final String NODE_V6 = "fd00:1::1";

    private static Site site;
    private static Traffic pod;
    private static Traffic host;
    private static DaemonProcess daemon;
    private static Launcher inside;

    @BeforeAll
    static void start() {
        site = new Site();
        try {
            List<NodePod> servers = site.servers(3);
            pod = site.node().pod("client").traffic();
            host = site.node().traffic();
            site.write(
                    "web.yaml",
                    """
                    apiVersion: v1
                    kind: Node
                    metadata: {name: node-1}
                    ---
                    apiVersion: v1
                    kind: Service
                    metadata: {name: web, namespace: test}
                    spec:
                      type: LoadBalancer
                      clusterIP: 10.96.0.10
                      clusterIPs: [10.96.0.10, "fd00:96::10"]
                      externalIPs: [203.0.113.7, "2001:db8::7"]
                      externalTrafficPolicy: Local
                      ports:
                      - {name: http, port: 80, protocol: TCP, nodePort: 30080}
                      - {name: dns, port: 53, protocol: UDP, nodePort: 30053}
                    status:
                      loadBalancer:
                        ingress: [{ip: 192.0.2.1}, {ip: "2001:db8::1"}, {ip: 192.0.2.2, ipMode: Proxy}]
                    """,
                    slices("web", servers),
                    """
                    ---
                    apiVersion: v1
                    kind: Service
                    metadata: {name: sticky, namespace: test}
                    spec:
                      clusterIP: 10.96.0.11
                      clusterIPs: [10.96.0.11, "fd00:96::11"]
                      sessionAffinity: ClientIP
                      ports:
                      - {name: http, port: 80, protocol: TCP}
                      - {name: dns, port: 53, protocol: UDP}
                    """,
                    slices("sticky", servers),
                    """
                    ---
                    apiVersion: v1
                    kind: Service
                    metadata: {name: local, namespace: test}
                    spec:
                      clusterIP: 10.96.0.12
                      clusterIPs: [10.96.0.12, "fd00:96::12"]
                      internalTrafficPolicy: Local
                      ports:
                      - {name: http, port: 80, protocol: TCP}
                      - {name: dns, port: 53, protocol: UDP}
                    """,
                    slices("local", servers)
                            .replace("{addresses: [\"" + servers.get(1).v4() + "\"]}", """
                    {addresses: ["%s"], nodeName: node-1}""".formatted(
                                            servers.get(1).v4())));
            inside = Launcher.plain()
                    .under("nsenter", "--net=" + site.node().namespace().path());
            daemon = site.start(inside, "file:" + site.manifests());
            await("the daemon to have programmed everything")
                    .atMost(DaemonProcess.PATIENCE)
                    .until(() -> daemon.log().contains("programmed 12 virtual services"));
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    private static String slices(String service, List<NodePod> pods) {
        String[] ports = {"http " + Site.HTTP + " TCP", "dns " + Site.DNS + " UDP"};
        return Manifest.slice(service, "IPv4", pods.stream().map(NodePod::v4).toList(), ports)
                + Manifest.slice(service, "IPv6", pods.stream().map(NodePod::v6).toList(), ports);
    }

    @AfterAll
    static void stop() {
        site.close();
    }

    @Test
    void nodePortThatAClientMayGet_isInTheStatus_untilItIsReserved() {
        Namespace node = site.node().namespace();
        node.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=30060 60999");
        try {
            assertThat(status()).contains("\nNodePorts 30080 may be given to a client: ");

            node.run("sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=30000-32767");

            assertThat(status()).contains("\nStale ").doesNotContain("NodePorts ");
        } finally {
            node.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999");
        }
    }

    private static String status() {
        return inside.run("status", "--metrics-address=" + daemon.metricsAddress())
                .out();
    }

    static Stream<Arguments> ways() {
        Map<String, List<String>> addresses = Map.of(
                "cluster IP", List.of("10.96.0.10", "fd00:96::10"),
                "external IP", List.of("203.0.113.7", "2001:db8::7"),
                "load balancer's IP", List.of("192.0.2.1", "2001:db8::1"));
        Stream<Arguments> ports = addresses.entrySet().stream()
                .flatMap(kind -> kind.getValue().stream().map(address -> Arguments.of(kind.getKey(), address, 80, 53)));
        Stream<Arguments> nodePorts = Stream.of(NODE_V4, NODE_V6)
                .map(address -> Arguments.of("node port", address, HTTP_NODE_PORT, DNS_NODE_PORT));
        return Stream.concat(ports, nodePorts);
    }

    /** The external policy is Local and no endpoint says that it is on this node: whoever is on it has them all the same. */
    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("ways")
    void everyBackend_answers(String kind, String address, int http, int dns) {
        for (Traffic client : List.of(pod, host)) {
            assertThat(whoAnswers(client, Load.Kind.REQUEST, address, http)).hasSize(3);
            assertThat(whoAnswers(client, Load.Kind.UDP_CONNECTED, address, dns))
                    .hasSize(3);
            assertThat(whoAnswers(client, Load.Kind.UDP, address, dns)).hasSize(3);
        }
    }

    private static Map<String, Long> whoAnswers(Traffic client, Load.Kind kind, String address, int port) {
        Load load = client.load(kind, address, port, 60, 1);
        assertThat(load.outcomes()).as("%s to %s", kind, address).isEqualTo(Map.of("ok", 60L));
        return load.servers();
    }

    @Test
    void localhostNodePort_isTheHostsOnly() {
        assertThat(whoAnswers(host, Load.Kind.REQUEST, "127.0.0.1", HTTP_NODE_PORT))
                .hasSize(3);
        assertThat(whoAnswers(host, Load.Kind.UDP, "127.0.0.1", DNS_NODE_PORT)).hasSize(3);
        assertRefused(pod, "127.0.0.1", HTTP_NODE_PORT);
        assertRefused(host, "::1", HTTP_NODE_PORT);
    }

    @Test
    void nodePort_ofAnotherMachinesAddress_isLeftToThatMachine() {
        NodePod other = site.node().pod("other");
        other.traffic().serve(Protocol.TCP, other.v4(), HTTP_NODE_PORT, "another-machine");

        assertThat(pod.request(other.v4(), HTTP_NODE_PORT)).isEqualTo("another-machine");
        assertThat(host.request(other.v4(), HTTP_NODE_PORT)).isEqualTo("another-machine");
    }

    @Test
    void nodePort_comesAndGoesWithTheAddressesOfTheHost() {
        site.node().namespace().address("cni0", "198.51.100.1/32");

        await().atMost(DaemonProcess.PATIENCE)
                .ignoreExceptionsInstanceOf(CallFailedException.class)
                .until(() -> host.request("198.51.100.1", HTTP_NODE_PORT).startsWith("web-"));

        site.node().namespace().ip("address", "del", "198.51.100.1/32", "dev", "cni0");
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThatExceptionOfType(CallFailedException.class)
                        .isThrownBy(() -> host.request("198.51.100.1", HTTP_NODE_PORT)));
    }

    @Test
    void loadBalancerIpOfModeProxy_isNobodys() {
        assertThatExceptionOfType(CallFailedException.class).isThrownBy(() -> pod.request("192.0.2.2", 80));
    }

    @Test
    void sessionAffinity_keepsEachClientWithItsBackend() {
        for (String address : List.of("10.96.0.11", "fd00:96::11")) {
            for (Traffic client : List.of(pod, host)) {
                assertThat(whoAnswers(client, Load.Kind.REQUEST, address, 80)).hasSize(1);
                assertThat(whoAnswers(client, Load.Kind.UDP, address, 53)).hasSize(1);
            }
        }
    }

    @Test
    void internalTrafficPolicyLocal_goesToThisNodesEndpointsOrIsRefused() {
        assertThat(whoAnswers(pod, Load.Kind.REQUEST, "10.96.0.12", 80)).containsOnlyKeys("web-1");
        assertThat(whoAnswers(host, Load.Kind.UDP, "10.96.0.12", 53)).containsOnlyKeys("web-1");
        assertRefused(pod, "fd00:96::12", 80);
    }

    @Test
    void bindingANodePort_isRefusedOnTheHostOnly() {
        try (Traffic.Socket socket = host.socket(Traffic.Kind.TCP4);
                Traffic.Socket udp = host.socket(Traffic.Kind.UDP6);
                Traffic.Socket inPod = pod.socket(Traffic.Kind.TCP4)) {
            assertThatExceptionOfType(CallFailedException.class)
                    .isThrownBy(() -> socket.bind("0.0.0.0", HTTP_NODE_PORT))
                    .extracting(CallFailedException::errno)
                    .isEqualTo("EADDRINUSE");
            assertThatExceptionOfType(CallFailedException.class)
                    .isThrownBy(() -> udp.bind("::", DNS_NODE_PORT))
                    .extracting(CallFailedException::errno)
                    .isEqualTo("EADDRINUSE");
            inPod.bind("0.0.0.0", HTTP_NODE_PORT);
        }
    }

    private static void assertRefused(Traffic client, String address, int port) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> client.request(address, port))
                .extracting(CallFailedException::errno)
                .isEqualTo("ECONNREFUSED");
    }
}
