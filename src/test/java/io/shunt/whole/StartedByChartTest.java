package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.chart.Chart;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The daemon as the chart starts it: with the arguments that it renders and the capabilities that it asks for, on a node
 * where kube-proxy may still have its ports. Only places and the source are this test's.
 */
@Tag("kernel")
@Tag("process")
class StartedByChartTest {
    private static final String VIP = "10.96.0.10";

    private Site site;
    private Namespace node;

    @BeforeEach
    void prepare() {
        site = new Site();
        try {
            node = site.node().namespace();
            NodePod server = site.servers(1).getFirst();
            site.moveIn(
                    "web.yaml",
                    Manifest.service("web", List.of(VIP), "http 80 TCP"),
                    Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        } catch (RuntimeException | Error e) {
            site.close();
            throw e;
        }
    }

    @AfterEach
    void clear() {
        site.close();
    }

    /** In the node's network, with the container's capabilities and no others. */
    private Launcher launcher(Chart chart) {
        String capabilities = chart.daemon().getSecurityContext().getCapabilities().getAdd().stream()
                .map(name -> ",+" + name.toLowerCase(Locale.ROOT))
                .collect(Collectors.joining("", "-all", ""));
        return Launcher.plain()
                .under(
                        "nsenter",
                        "--net=" + node.path(),
                        "setpriv",
                        "--bounding-set=" + capabilities,
                        "--inh-caps=-all")
                .with("NODE_NAME", "node-1");
    }

    private List<String> flags(Chart chart) {
        return chart.daemon().getArgs().stream()
                .skip(1)
                .map(flag -> flag.equals("--source=kubernetes") ? "--source=file:" + site.manifests() : flag)
                .map(flag -> flag.equals("--cgroup-root=/host/cgroup") ? "--cgroup-root=" + site.cgroupRoot() : flag)
                .map(flag -> flag.equals("--bpf-root=/sys/fs/bpf/shunt") ? "--bpf-root=" + site.bpfRoot() : flag)
                .toList();
    }

    private void kubeProxyRuns() throws IOException {
        for (int port : List.of(10256, 10249)) {
            node.call(() -> {
                ServerSocket socket = site.add(new ServerSocket());
                socket.bind(new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), port));
                return socket;
            });
        }
    }

    private int answer(int port, String path) {
        return node.call(() -> {
            HttpURLConnection connection = (HttpURLConnection)
                    URI.create("http://127.0.0.1:" + port + path).toURL().openConnection();
            try {
                return connection.getResponseCode();
            } finally {
                connection.disconnect();
            }
        });
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void besideKubeProxy_itServesAtOtherPorts(boolean staleSockets) throws IOException {
        kubeProxyRuns();
        Chart chart = Chart.of("""
                kubeProxy: {running: true}
                staleSockets: %s
                bpf: {maxServices: 512, maxBackends: 2048, maxFlows: 1024}
                """.formatted(staleSockets));
        DaemonProcess daemon = site.add(DaemonProcess.start(launcher(chart), flags(chart)));
        daemon.awaitServing();

        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(answer(10356, "/readyz")).isEqualTo(200));
        assertThat(answer(10356, "/livez")).isEqualTo(200);
        assertThat(answer(10349, "/metrics")).isEqualTo(200);
        assertThat(site.node().pod("client").traffic().request(VIP, 80)).isEqualTo("web-0");
        assertThat(daemon.log()).doesNotContain(" ERROR ");
    }

    @Test
    void inKubeProxysPlace_itSaysThatItsPortsAreTaken() throws IOException {
        kubeProxyRuns();
        Chart chart = Chart.of("k8sServiceHost: 192.0.2.10");
        List<String> arguments = new ArrayList<>(List.of("run"));
        arguments.addAll(flags(chart));
        Launcher.Outcome outcome = launcher(chart).run(arguments.toArray(String[]::new));

        assertThat(outcome.exitCode()).isEqualTo(1);
        assertThat(outcome.err().lines())
                .singleElement()
                .satisfies(
                        line -> assertThat(line)
                                .startsWith(
                                        "shunt run: port 10256 is taken (--healthz-bind-address 0.0.0.0:10256): stop what listens there"));
        assertThat(site.bpfRoot()).as("kube-proxy serves all").doesNotExist();
    }
}
