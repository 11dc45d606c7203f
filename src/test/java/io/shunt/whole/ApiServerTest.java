package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.snapshot.Status;
import io.shunt.source.FakeApiServer;
import io.shunt.testbed.Load;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Services from an API server that may be down, refuse, or talk nonsense: what is programmed stays in force. */
@Tag("kernel")
@Tag("process")
class ApiServerTest {
    private static final String VIP = "10.96.0.10";

    @TempDir
    private Path directory;

    private Site site;
    private FakeApiServer server;
    private List<NodePod> servers;
    private Traffic client;

    @BeforeEach
    void prepare() {
        site = new Site();
        server = site.add(new FakeApiServer().start());
        servers = site.servers(2);
        client = site.node().pod("client").traffic();
        put(servers.getFirst());
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private void put(NodePod backend) {
        String port = "http " + Site.HTTP + " TCP";
        String manifests = Manifest.service("web", List.of(VIP), "http 80 TCP")
                + Manifest.slice("web", "IPv4", List.of(backend.v4()), port);
        server.put(manifests.substring("---\n".length()));
    }

    private Path kubeconfig(String text) {
        try {
            return Files.writeString(directory.resolve("kubeconfig"), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private DaemonProcess start() {
        Path kubeconfig = kubeconfig("""
                apiVersion: v1
                kind: Config
                current-context: here
                contexts: [{name: here, context: {cluster: mine}}]
                clusters: [{name: mine, cluster: {server: "%s"}}]
                """.formatted(server.url()));
        return site.start(Launcher.plain(), "kubernetes", "--kubeconfig=" + kubeconfig);
    }

    private void awaitAnswers(String name) {
        await("the API server's change in force")
                .atMost(DaemonProcess.PATIENCE)
                .until(() -> client.request(VIP, 80).equals(name));
    }

    private void awaitProblem(DaemonProcess daemon, String cause, String message) {
        await("the daemon to complain of " + cause)
                .atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> {
                    assertThat(daemon.status().source().problems())
                            .isNotEmpty()
                            .allSatisfy(problem -> {
                                assertThat(problem.object()).isEqualTo("API server " + server.url());
                                assertThat(problem.cure()).isNotEmpty();
                            })
                            .anySatisfy(problem -> assertThat(problem.message()).contains(message));
                    assertThat(daemon.metric("shunt_source_errors_total{cause=\"" + cause + "\"}"))
                            .isPositive();
                });
    }

    @Test
    void anApiServerThatGoesAndComesBack() {
        DaemonProcess daemon = start().awaitReady();
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
        put(servers.getLast());
        awaitAnswers("web-1");
        Status.SourceView source = daemon.status().source();
        assertThat(source.kind()).isEqualTo("kubernetes");
        assertThat(source.location()).isEqualTo(server.url());
        await().untilAsserted(() -> assertThat(server.posted())
                .singleElement()
                .satisfies(event -> assertThat(event.at("/reason").asString()).isEqualTo("Starting")));

        try (SteadyLoad load = new SteadyLoad(client, Load.Kind.CONNECT, VIP, 80)) {
            server.stop();
            awaitProblem(daemon, "connection", "no connection");
            assertThat(daemon.health("/livez").statusCode()).isEqualTo(200);
            assertThat(daemon.health("/readyz").statusCode()).isEqualTo(200);
            assertThat(daemon.metric("shunt_healthy")).isZero();

            put(servers.getFirst());
            server.start();
            await("the daemon to be content")
                    .atMost(DaemonProcess.PATIENCE)
                    .until(() -> daemon.status().healthy());
            assertThat(load.stop()).containsOnlyKeys("ok");
        }
        awaitAnswers("web-0");
    }

    @Test
    void aNode_isEligibleFromWhenTheApiServerTellsOfItUntilItIsToBeDeleted() {
        DaemonProcess daemon = start().awaitReady();
        assertThat(daemon.health("/healthz").statusCode()).isEqualTo(503);
        assertThat(daemon.health("/healthz").body()).contains("\"nodeEligible\":false,\"healthy\":true");
        assertThat(daemon.health("/livez").statusCode()).isEqualTo(200);

        server.put("{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
        await().atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.health("/healthz").statusCode() == 200);

        server.put("{apiVersion: v1, kind: Node, metadata: {name: node-1},"
                + " spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}}");
        await().atMost(DaemonProcess.PATIENCE)
                .until(() -> daemon.health("/healthz").statusCode() == 503);
        assertThat(daemon.health("/livez").statusCode()).isEqualTo(200);
        server.delete("Node", "node-1");
        await().untilAsserted(() -> assertThat(daemon.metric("rest_client_requests_total{code=\"200\",host=\""
                        + server.url().replace("http://", "") + "\",method=\"GET\"}"))
                .isGreaterThanOrEqualTo(6));
    }

    @Test
    void anApiServerThatCannotBeListed_costsNothingThatIsProgrammed() {
        start().awaitReady().kill();
        KernelTable left = site.table();
        SteadyLoad load = site.add(new SteadyLoad(client, Load.Kind.CONNECT, VIP, 80));
        server.stop();

        DaemonProcess daemon = start().awaitServing();
        awaitProblem(daemon, "connection", "no connection");
        server.answer(
                "/", 401, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":401,\"message\":\"Unauthorized\"}");
        server.start();
        awaitProblem(daemon, "unauthorized", "failed with status 401");
        server.answer("/", 403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":403,\"message\":\"no, not you\"}");
        awaitProblem(daemon, "forbidden", "failed with status 403");
        server.answer("/", 200, "<html>hello</html>");
        awaitProblem(daemon, "garbage", "an answer that is not the Kubernetes API's");

        assertThat(daemon.health("/readyz").statusCode()).isEqualTo(503);
        assertThat(daemon.health("/readyz").body())
                .startsWith("source " + server.url() + " has not listed everything yet");
        assertThat(daemon.health("/livez").statusCode()).isEqualTo(200);
        assertThat(daemon.metric("shunt_source_listed")).isZero();
        assertThat(site.table()).isEqualTo(left);
        Launcher.Outcome status = Launcher.plain().run("status", "--metrics-address", daemon.metricsAddress());
        assertThat(status.exitCode()).isEqualTo(1);
        assertThat(status.out()).contains("NOT LISTED YET", "check that this is an API server");

        server.answerWell();
        daemon.awaitReady();
        // It is ready without its Node, which is asked for again later.
        await().atMost(DaemonProcess.PATIENCE).until(() -> daemon.status().healthy());
        assertThat(site.table()).isEqualTo(left);
        assertThat(load.stop()).containsOnlyKeys("ok");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            {            | kubeconfig FILE cannot be parsed: .*; write a Config of apiVersion v1
            kind: Config | kubeconfig FILE: current-context is missing; write it
            kind: Config\\ncurrent-context: a\\ncontexts: [{name: a, context: {cluster: b}}]\\nclusters: [{name: b, cluster: {server: "https://h", certificate-authority: no.crt}}] | kubeconfig FILE: clusters\\[b\\].cluster.certificate-authority DIR/no.crt is not there; name a file
            """)
    void aKubeconfigThatCannotWork(String text, String message) {
        Path file = kubeconfig(text.translateEscapes());
        Launcher.Outcome outcome = site.run(Launcher.plain(), "--source=kubernetes", "--kubeconfig=" + file);
        assertThat(outcome.exitCode()).as(outcome.toString()).isEqualTo(2);
        assertThat(outcome.err())
                .matches("shunt run: "
                        + message.replace("FILE", file.toString()).replace("DIR", directory.toString())
                        + "\n");
    }

    @Test
    void noKubeconfig() {
        Path file = directory.resolve("none");
        Launcher.Outcome missing = site.run(Launcher.plain(), "--source=kubernetes", "--kubeconfig=" + file);
        assertThat(missing.exitCode()).isEqualTo(2);
        assertThat(missing.err())
                .isEqualTo(
                        "shunt run: --kubeconfig (or KUBECONFIG) " + file + " is not a file that can be read; give one,"
                                + " or leave it out to use the pod's service account\n");

        Launcher.Outcome noPod = site.run(Launcher.plain().with("KUBERNETES_SERVICE_HOST", ""), "--source=kubernetes");
        assertThat(noPod.exitCode()).isEqualTo(2);
        assertThat(noPod.err())
                .isEqualTo(
                        "shunt run: no kubeconfig is given, and KUBERNETES_SERVICE_HOST is not set as in a pod; name a"
                                + " kubeconfig with --kubeconfig\n");
    }
}
