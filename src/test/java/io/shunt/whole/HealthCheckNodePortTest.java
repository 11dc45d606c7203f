package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.testbed.FreePorts;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What a load balancer hears of a Service that wants its traffic where its endpoints are. */
@Tag("kernel")
@Tag("process")
class HealthCheckNodePortTest {
    private final HttpClient balancer = HttpClient.newHttpClient();
    private Site site;

    @BeforeEach
    void prepare() {
        site = new Site();
    }

    @AfterEach
    void clear() {
        site.close();
        balancer.close();
    }

    private void write(int healthCheckNodePort, String... nodesOfEndpoints) {
        StringBuilder endpoints = new StringBuilder();
        for (int i = 0; i < nodesOfEndpoints.length; i++) {
            endpoints
                    .append("  - {addresses: [10.0.0.")
                    .append(i + 1)
                    .append("], nodeName: ")
                    .append(nodesOfEndpoints[i])
                    .append("}\n");
        }
        site.write("web.yaml", """
                apiVersion: v1
                kind: Service
                metadata: {name: web, namespace: test}
                spec:
                  type: LoadBalancer
                  clusterIP: 10.96.0.10
                  externalTrafficPolicy: Local
                  healthCheckNodePort: %d
                  ports: [{name: http, port: 80, nodePort: 30080, protocol: TCP}]
                status: {loadBalancer: {ingress: [{ip: 192.0.2.10}]}}
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: web-ipv4, namespace: test, labels: {kubernetes.io/service-name: web}}
                addressType: IPv4
                ports: [{name: http, port: 8080, protocol: TCP}]
                endpoints:
                """.formatted(healthCheckNodePort) + endpoints);
    }

    private void awaitAnswer(int port, int status, int endpoints) {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/healthz"))
                .build();
        await().atMost(DaemonProcess.PATIENCE)
                .ignoreExceptionsInstanceOf(IOException.class)
                .untilAsserted(() -> {
                    HttpResponse<String> answer = balancer.send(request, HttpResponse.BodyHandlers.ofString());
                    assertThat(answer.statusCode()).isEqualTo(status);
                    assertThat(answer.headers().firstValue("X-Load-Balancing-Endpoint-Weight"))
                            .contains(Integer.toString(endpoints));
                });
    }

    @Test
    void idleConnections_keepNoProbeFromItsAnswer_andEndSoon() throws IOException {
        int port = FreePorts.next();
        write(port, "node-1");
        DaemonProcess daemon = site.start().awaitReady();
        awaitAnswer(port, 200, 1);
        Socket first = null;
        for (URI page : List.of(daemon.health("/livez").uri(), URI.create("http://127.0.0.1:" + port + "/"))) {
            for (int i = 0; i < 300; i++) {
                Socket idle = site.add(new Socket(page.getHost(), page.getPort()));
                first = first == null ? idle : first;
            }
            HttpRequest probe =
                    HttpRequest.newBuilder(page).timeout(Duration.ofSeconds(4)).build();
            assertThat(balancer.sendAsync(probe, HttpResponse.BodyHandlers.ofString())
                            .join()
                            .statusCode())
                    .isEqualTo(200);
        }
        Objects.requireNonNull(first).setSoTimeout(30_000);
        assertThat(first.getInputStream().read()).isEqualTo(-1);
    }

    @Test
    void loadBalancers_hearOfTheEndpointsHere_orWhyTheyDoNot() throws IOException {
        ServerSocket other = site.add(new ServerSocket());
        int port = FreePorts.next();
        other.bind(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), port));
        write(port, "node-1", "node-2", "node-1");
        DaemonProcess daemon = site.start().awaitReady();
        String complaint = "Service test/web: its health check node port " + port + " cannot be served: listen"
                + " 0.0.0.0 port " + port + ": Address already in use";
        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(daemon.status().complaints())
                        .singleElement()
                        .asString()
                        .startsWith(complaint));
        assertThat(daemon.log()).containsOnlyOnce(complaint);
        other.close();

        awaitAnswer(port, 200, 2);
        await().atMost(DaemonProcess.PATIENCE).until(() -> daemon.status().healthy());
        write(port, "node-2");
        awaitAnswer(port, 503, 0);
        assertThat(daemon.metric("kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\","
                        + "traffic_policy=\"external\"}"))
                .isOne();
    }
}
