package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.api.Json;
import io.shunt.flow.Drop;
import io.shunt.flow.Flow;
import io.shunt.net.Protocol;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** `shunt flows` of a daemon in its node's network namespace, and what befalls clients from outside and on the node. */
@Tag("kernel")
@Tag("process")
class FlowsTest {
    private static final String NODE = "192.168.7.1";
    private static final String CLIENT = "192.168.7.9";

    @TempDir
    private Path directory;

    private Site site;
    private Launcher inside;
    private Pod outside;
    private NodePod client;
    private DaemonProcess daemon;

    @BeforeEach
    void prepare() {
        site = new Site();
        try {
            Namespace node = site.node().namespace();
            inside = Launcher.plain().under("nsenter", "--net=" + node.path());
            outside = site.add(new Pod(site.add(Cgroup.create("outside")), "outside"));
            outside.namespace().link("eth0", node, "eth0");
            outside.namespace().address("eth0", CLIENT + "/24");
            outside.namespace().ip("route", "add", "203.0.113.0/24", "via", NODE);
            node.address("eth0", NODE + "/24");
            NodePod server = site.node().pod("web");
            client = site.node().pod("client");
            server.traffic().serve(Protocol.TCP, server.v4(), Site.HTTP, "web");
            site.write(
                    "services.yaml",
                    service("web", "10.96.0.10", "Cluster", 30080),
                    slice("web", server.v4(), "node-1", "{kind: Pod, name: web-7d4b9}"),
                    service("elsewhere", "10.96.0.11", "Local", 30081),
                    slice("elsewhere", "10.2.0.9", "node-2", "{kind: Pod, name: elsewhere-1}"),
                    service("empty", "10.96.0.12", "Cluster", 30082),
                    Manifest.slice("client", "IPv4", List.of(client.v4()), "http 80 TCP"));
            daemon = start();
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private DaemonProcess start() {
        DaemonProcess started =
                site.start(inside, "file:" + site.manifests(), "--devices=eth0").awaitServing();
        await().atMost(DaemonProcess.PATIENCE)
                .ignoreExceptionsInstanceOf(CallFailedException.class)
                .untilAsserted(
                        () -> assertThat(outside.traffic().request(NODE, 30080)).isEqualTo("web"));
        return started;
    }

    /** Its load balancer's address lets in nobody of the test. */
    private static String service(String name, String clusterIp, String policy, int nodePort) {
        return """
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: %s, namespace: test}
                spec:
                  type: LoadBalancer
                  clusterIP: %s
                  externalTrafficPolicy: %s
                  loadBalancerSourceRanges: [192.0.2.0/24]
                  ports: [{name: http, port: 80, protocol: TCP, nodePort: %d}]
                status: {loadBalancer: {ingress: [{ip: 203.0.113.%s}]}}
                """.formatted(name, clusterIp, policy, nodePort, clusterIp.substring("10.96.0.".length()));
    }

    private static String slice(String service, String address, String node, String target) {
        return """
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: %s-1, namespace: test, labels: {kubernetes.io/service-name: %s}}
                addressType: IPv4
                ports: [{name: http, port: %d, protocol: TCP}]
                endpoints: [{addresses: ["%s"], nodeName: %s, targetRef: %s}]
                """.formatted(service, service, Site.HTTP, address, node, target);
    }

    private Launcher.Outcome flows(String... more) {
        List<String> arguments = new ArrayList<>(List.of("flows"));
        arguments.addAll(List.of(more));
        arguments.add("--metrics-address=" + daemon.metricsAddress());
        Launcher.Outcome outcome = inside.run(arguments.toArray(String[]::new));
        assertThat(outcome.exitCode()).as(outcome.err()).isZero();
        return outcome;
    }

    private static List<Drop> drops(String lines) {
        return lines.lines()
                .map(line -> Json.MAPPER.readValue(line, Drop.class))
                .toList();
    }

    /** `shunt flows --dropped -f` as it runs in a terminal. */
    private final class Following implements AutoCloseable {
        private final Path out = directory.resolve("out");
        private final Path err = directory.resolve("err");
        private final Process process;

        Following(String... more) {
            List<String> arguments = new ArrayList<>(
                    List.of("flows", "--dropped", "-f", "--metrics-address=" + daemon.metricsAddress()));
            arguments.addAll(List.of(more));
            process = inside.start(out, err, arguments.toArray(String[]::new));
        }

        String read(Path file) {
            try {
                return Files.readString(file);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Complete lines that it has printed. */
        String out() {
            String text = read(out);
            return text.substring(0, text.lastIndexOf('\n') + 1);
        }

        /** Waits for a drop, which is made again and again. */
        Drop await(Runnable attempt, Predicate<Drop> wanted) {
            Optional<Drop>[] found = one();
            Awaitility.await(read(err))
                    .atMost(DaemonProcess.PATIENCE)
                    .pollInterval(Duration.ofMillis(200))
                    .until(() -> {
                        attempt.run();
                        found[0] = drops(out()).stream().filter(wanted).findFirst();
                        return found[0].isPresent();
                    });
            return found[0].orElseThrow();
        }

        @SuppressWarnings("unchecked")
        private static <T> Optional<T>[] one() {
            return new Optional[] {Optional.empty()};
        }

        /** Ctrl-C; returns the exit code. */
        int interrupt() throws IOException, InterruptedException {
            new ProcessBuilder("kill", "-INT", String.valueOf(process.pid()))
                    .start()
                    .waitFor();
            assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
            return process.exitValue();
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }

    /** A connection that will not come about. */
    private static void knock(Traffic traffic, String address, int port) {
        assertThatExceptionOfType(CallFailedException.class).isThrownBy(() -> traffic.request(address, port));
    }

    private static void knockWithoutWaiting(Pod pod, String address, int port) {
        pod.namespace()
                .run(
                        "bash",
                        "-c",
                        "(exec 3<>/dev/tcp/" + address + "/" + port
                                + ") 2>/dev/null & sleep 0.1; kill $! 2>/dev/null; true");
    }

    @Test
    void drops_areToldWithNames_asTheyHappen_untilCtrlC() throws Exception {
        Instant before = Instant.now();
        try (Following following = new Following("-o", "json")) {
            Drop refused = following.await(
                    () -> knock(outside.traffic(), NODE, 30082),
                    drop -> drop.service().equals("test/empty"));
            assertThat(refused.reason()).isEqualTo("refused");
            assertThat(refused.direction()).isEqualTo("to_backend");
            assertThat(refused.device()).isEqualTo("eth0");
            assertThat(refused.protocol()).isEqualTo("TCP");
            assertThat(refused.port()).isEqualTo("http");
            assertThat(refused.source()).startsWith(CLIENT + ":");
            assertThat(refused.sourceName()).isEmpty();
            assertThat(refused.destination()).isEqualTo(NODE + ":30082");
            assertThat(refused.destinationName()).isEqualTo("node node-1");
            assertThat(refused.time()).isBetween(before, Instant.now());

            Drop elsewhere = following.await(
                    () -> knockWithoutWaiting(outside, NODE, 30081),
                    drop -> drop.service().equals("test/elsewhere"));
            assertThat(elsewhere.reason()).isEqualTo("no_local_backend");

            Drop outOfRange = following.await(
                    () -> knockWithoutWaiting(outside, "203.0.113.10", 80),
                    drop -> drop.reason().equals("source_range"));
            assertThat(outOfRange.service()).isEqualTo("test/web");
            assertThat(outOfRange.destination()).isEqualTo("203.0.113.10:80");
            assertThat(outOfRange.destinationName()).isEqualTo("service test/web");

            Drop call = following.await(
                    () -> knock(client.traffic(), "10.96.0.12", 80),
                    drop -> drop.device().isEmpty());
            assertThat(call.reason()).isEqualTo("refused");
            assertThat(call.service()).isEqualTo("test/empty");
            assertThat(call.source()).isEqualTo("0.0.0.0");
            assertThat(call.sourceName()).isEqualTo("a socket of this node");
            assertThat(call.destinationName()).isEqualTo("service test/empty");

            Traffic.Socket bound = client.traffic().socket(Traffic.Kind.TCP4);
            bound.bind(client.v4(), 0);
            Drop ofPod = following.await(
                    () -> assertThatExceptionOfType(CallFailedException.class)
                            .isThrownBy(() -> bound.connect(new Peer("10.96.0.12", 80))),
                    drop -> drop.source().equals(client.v4()));
            assertThat(ofPod.sourceName()).isEqualTo("endpoint of test/client");

            assertThat(following.interrupt()).isEqualTo(130);
            assertThat(following.read(following.err)).isEmpty();
            assertThat(drops(following.out())).extracting(Drop::id).isSorted().doesNotHaveDuplicates();

            List<Drop> recent = drops(
                    flows("--dropped", "--service=test/elsewhere", "-o", "json").out());
            assertThat(recent).isNotEmpty().allMatch(drop -> drop.service().equals("test/elsewhere"));
            Launcher.Outcome text = flows("--dropped");
            assertThat(text.out()).startsWith("TIME ").contains("(service test/empty)");
            assertThat(text.err()).startsWith("! drops are told while somebody asks");
        }
    }

    @Test
    void daemonKilledWhileSomebodyFollows_endsTheFollower_andTheNextTellsOnlyWhatComes() throws Exception {
        try (Following following = new Following("-o", "json")) {
            following.await(() -> knock(outside.traffic(), NODE, 30082), drop -> true);
            daemon.kill();
            knock(outside.traffic(), NODE, 30082);
            assertThat(following.process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            assertThat(following.process.exitValue()).isEqualTo(1);
            assertThat(following.read(following.err))
                    .startsWith("shunt flows: ")
                    .hasLineCount(1);
        }
        daemon = start();
        assertThat(flows("--dropped", "-o", "json").out()).isEmpty();
        knock(outside.traffic(), NODE, 30082);
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(
                        () -> assertThat(drops(flows("--dropped", "-o", "json").out()))
                                .hasSize(1));
    }

    @Test
    void flows_areShownWithNames() {
        List<Flow> flows = flows("--service=test/web", "-o", "json")
                .out()
                .lines()
                .map(line -> Json.MAPPER.readValue(line, Flow.class))
                .toList();
        assertThat(flows).isNotEmpty();
        Flow flow = flows.getFirst();
        assertThat(flow.client()).startsWith(CLIENT + ":");
        assertThat(flow.frontend()).isEqualTo(NODE + ":30080");
        assertThat(flow.port()).isEqualTo("http");
        assertThat(flow.backendName()).isEqualTo("pod test/web-7d4b9");
        assertThat(flow.source()).startsWith("10.1.0.1:");
        assertThat(flow.state()).isIn("confirmed", "half_closed", "closed", "reset");
        assertThat(flows("--service=test/empty").out().lines()).hasSize(1);
    }
}
