package io.shunt.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.InstanceOfAssertFactories.STRING;
import static org.awaitility.Awaitility.await;

import io.shunt.flow.FixedFlows;
import io.shunt.flow.Flow;
import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import io.shunt.metrics.Scrape;
import io.shunt.net.HostPort;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.FixedSnapshots;
import io.shunt.snapshot.Health;
import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView.FrontendView;
import io.shunt.snapshot.Status;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class HttpFacesTest {
    private static final InetSocketAddress ANY_V4 = new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0);
    private static final InetSocketAddress ANY_V6 = new InetSocketAddress(InetAddress.ofLiteral("::1"), 0);

    private final FixedSnapshots snapshots = new FixedSnapshots();
    private final FixedFlows flows = new FixedFlows();
    private final Metrics metrics = new Metrics();
    private final HttpClient client = HttpClient.newHttpClient();
    private final Probes probes = new Probes(snapshots, Duration.ofSeconds(30), InstantSource.system());
    private HttpFaces faces;

    @BeforeEach
    void open() throws IOException {
        metrics.serve(snapshots, InstantSource.system());
        faces = HttpFaces.open(
                HttpPorts.bind(ANY_V4, ANY_V6),
                probes,
                snapshots,
                flows,
                metrics,
                Map.of("shunt", Map.of("source", "file:/somewhere", "v", "2")));
    }

    @AfterEach
    void close() {
        faces.close();
        client.close();
    }

    private HttpResponse<String> send(String method, InetSocketAddress server, String path) throws Exception {
        return client.send(
                HttpRequest.newBuilder(URI.create("http://" + HostPort.format(server) + path))
                        .method(method, HttpRequest.BodyPublishers.noBody())
                        .build(),
                BodyHandlers.ofString());
    }

    private HttpResponse<String> health(String path) throws Exception {
        return send("GET", faces.healthzAddress().orElseThrow(), path);
    }

    private HttpResponse<String> metrics(String path) throws Exception {
        return send("GET", faces.metricsAddress().orElseThrow(), path);
    }

    @Test
    void healthz_hasKubeProxysFieldsInItsOrder() throws Exception {
        HttpResponse<String> answer = health("/healthz");

        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("Content-Type")).contains("application/json");
        assertThat(answer.headers().firstValue("X-Content-Type-Options")).contains("nosniff");
        String time = "\"20[0-9-]+T[0-9:]+(\\.[0-9]*[1-9])?Z\"";
        String family = "\\{\"lastUpdated\":\"2026-01-02T03:04:05Z\",\"healthy\":true\\}";
        assertThat(answer.body())
                .matches("\\{\"lastUpdated\":" + time + ",\"currentTime\":" + time
                        + ",\"nodeEligible\":true,\"healthy\":true,\"status\":\\{\"IPv4\":" + family + ",\"IPv6\":"
                        + family + "\\}\\}");
    }

    @Test
    void livez_leavesOutTheNode_andHealthzBeforeTheFirstUpdateTheFamilies() throws Exception {
        assertThat(health("/livez").body()).doesNotContain("nodeEligible").contains("\"status\"");

        snapshots.health = new Health(null, null, true);
        snapshots.ready = false;
        assertThat(health("/healthz").body()).doesNotContain("status");
        assertThat(health("/healthz").statusCode()).isEqualTo(200);
    }

    @Test
    void probes_countTheirAnswers() throws Exception {
        health("/healthz");
        health("/livez");
        snapshots.health = new Health(Instant.now(), null, false);
        health("/healthz");

        Scrape scrape = new Scrape(metrics("/metrics").body());

        assertThat(scrape.value("kubeproxy_proxy_healthz_total", "code", "200")).isOne();
        assertThat(scrape.value("kubeproxy_proxy_healthz_total", "code", "503")).isOne();
        assertThat(scrape.value("kubeproxy_proxy_livez_total", "code", "200")).isOne();
    }

    @Test
    void readyz_says503AndWhy_thenOk() throws Exception {
        snapshots.health = new Health(null, null, true);
        snapshots.ready = false;
        snapshots.status = FixedSnapshots.brokenStatus();
        HttpResponse<String> notYet = health("/readyz");
        assertThat(notYet.statusCode()).isEqualTo(503);
        assertThat(notYet.body()).isEqualTo("cgroup/connect6 is not attached\n");

        snapshots.health = new Health(Instant.now(), null, true);
        snapshots.ready = true;
        HttpResponse<String> ready = health("/readyz");
        assertThat(ready.statusCode()).isEqualTo(200);
        assertThat(ready.body()).isEqualTo("ok");
    }

    @Test
    void metrics_areServedAsPrometheusText() throws Exception {
        metrics.programming().synced(IpFamily.IPV4, 1_000);

        HttpResponse<String> answer = metrics("/metrics");

        assertThat(answer.headers().firstValue("Content-Type")).contains("text/plain; version=0.0.4; charset=utf-8");
        Scrape scrape = new Scrape(answer.body());
        assertThat(scrape.types).containsEntry("kubeproxy_sync_proxy_rules_duration_seconds", "histogram");
        assertThat(scrape.value("shunt_services")).isEqualTo(2);
    }

    @Test
    void smallPages_answer() throws Exception {
        HttpResponse<String> mode = metrics("/proxyMode");
        assertThat(mode.body()).isEqualTo("ebpf");
        assertThat(mode.headers().firstValue("Content-Type"))
                .hasValueSatisfying(type -> assertThat(type).startsWith("text/plain"));
        assertThat(metrics("/healthz").body()).isEqualTo("ok");
        assertThat(Json.MAPPER
                        .readTree(metrics("/configz").body())
                        .at("/shunt/source")
                        .asString())
                .isEqualTo("file:/somewhere");
        assertThat(metrics("/flagz").body())
                .startsWith("\nshunt flagz\nWarning: ")
                .endsWith("\n\nsource=file:/somewhere\nv=2\n");
        assertThat(metrics("/statusz").body())
                .startsWith("\nshunt statusz\nWarning: ")
                .contains("Binary version: 1.2.3\n");
        assertThat(metrics("/metrics/slis").body())
                .contains("kubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1.0\n")
                .contains("kubernetes_healthchecks_total{name=\"ping\",status=\"success\",type=\"healthz\"} 1.0\n");
    }

    @Test
    void index_namesEveryPage() throws Exception {
        HttpResponse<String> index = metrics("/");
        assertThat(index.statusCode()).isEqualTo(200);
        List<String> paths = index.body()
                .lines()
                .filter(line -> line.startsWith("/"))
                .map(line -> line.replaceFirst(" .*", ""))
                .toList();
        assertThat(paths).hasSize(11);
        for (String path : paths) {
            assertThat(metrics(path).statusCode()).as(path).isEqualTo(200);
        }
    }

    @Test
    void status_readsBackAsTheSameRecord() throws Exception {
        assertThat(Json.MAPPER.readValue(metrics("/api/v1/status").body(), Status.class))
                .isEqualTo(snapshots.status);
        assertThat(metrics("/api/v1/status").body())
                .startsWith("{\"version\":\"1.2.3\",\"node\":\"worker-1\",\"started\":\"2026-01-02T03:04:05Z\"");
    }

    @Test
    void services_areSortedAndCarryTheirCounters() throws Exception {
        List<ServiceEntry> services =
                List.of(Json.MAPPER.readValue(metrics("/api/v1/services").body(), ServiceEntry[].class));

        assertThat(services)
                .extracting(ServiceEntry::name, ServiceEntry::family, ServiceEntry::connections, ServiceEntry::refused)
                .containsExactly(
                        tuple("dns", "IPv4", 0L, 0L), tuple("web", "IPv4", 300L, 2L), tuple("web", "IPv6", 5L, 0L));
        assertThat(services.getFirst().error()).isEqualTo("map is full");
        assertThat(services.get(1).backends()).hasSize(2);
        assertThat(services.get(1).frontends())
                .contains(new FrontendView("203.0.113.1:80/TCP", "cluster", "local", true));
        assertThat(services.get(1).sourceRanges()).containsExactly("198.51.100.0/24");
        assertThat(services.get(1).affinitySeconds()).isEqualTo(10_800);
        assertThat(services.get(1).algorithm()).isEqualTo("maglev");
    }

    @Test
    void backends_nameTheServiceTheyServe() throws Exception {
        List<BackendEntry> backends =
                List.of(Json.MAPPER.readValue(metrics("/api/v1/backends").body(), BackendEntry[].class));

        assertThat(backends)
                .containsExactly(
                        new BackendEntry("10.0.0.2:8080", "cluster", "shop", "web", "http", "TCP", "IPv4"),
                        new BackendEntry("10.0.0.3:8080", "draining", "shop", "web", "http", "TCP", "IPv4"),
                        new BackendEntry("[fd00:1::2]:8080", "cluster", "shop", "web", "http", "TCP", "IPv6"));
    }

    @Test
    void tenThousandServices_areListedAndScraped() throws Exception {
        snapshots.services = FixedSnapshots.services(10_000);
        Map<Integer, ServiceCounters> counters = new HashMap<>();
        for (int id = 0; id < 10_000; id++) {
            counters.put(id, new ServiceCounters(id, 1));
        }
        snapshots.counters = counters;

        assertThat(Json.MAPPER.readTree(metrics("/api/v1/services").body()).size())
                .isEqualTo(10_000);
        Scrape scrape = new Scrape(metrics("/metrics").body());
        assertThat(scrape.named("shunt_service_connections_total")).hasSize(10_000);
        assertThat(scrape.named("shunt_service_connections_total").stream()
                        .mapToDouble(Scrape.Sample::value)
                        .sum())
                .isEqualTo(10_000 * 9_999 / 2.0);
    }

    @Test
    void head_hasTheHeadersAndNoBody() throws Exception {
        HttpResponse<String> answer = send("HEAD", faces.metricsAddress().orElseThrow(), "/api/v1/status");
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("Content-Type")).contains("application/json");
        assertThat(answer.body()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
    void otherMethods_areNotAllowed(String method) throws Exception {
        HttpResponse<String> answer = send(method, faces.metricsAddress().orElseThrow(), "/api/v1/status");
        assertThat(answer.statusCode()).isEqualTo(405);
        assertThat(answer.headers().firstValue("Allow")).contains("GET, HEAD");

        assertThat(send(method, faces.healthzAddress().orElseThrow(), "/healthz")
                        .statusCode())
                .as("kube-proxy's health pages do not look at the method")
                .isEqualTo(200);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/nope", "/metrics/", "/api/v1/", "/%00"})
    void unknownPath_isNotFound_asJson(String path) throws Exception {
        HttpResponse<String> answer = metrics(path);
        assertThat(answer.statusCode()).isEqualTo(404);
        JsonNode body = Json.MAPPER.readTree(answer.body());
        assertThat(body.get("error").asString()).startsWith("nothing is at ");
        assertThat(health("/metrics").statusCode()).isEqualTo(404);
    }

    @Test
    void brokenSnapshots_answer500_andTheNextRequestIsServed() throws Exception {
        snapshots.countersFailure = new IllegalStateException("the map is gone");
        HttpResponse<String> answer = metrics("/api/v1/services");
        assertThat(answer.statusCode()).isEqualTo(500);
        assertThat(answer.body()).isEqualTo("{\"error\":\"the map is gone\"}");
        assertThat(metrics("/proxyMode").statusCode()).isEqualTo(200);
    }

    @Test
    void slowClients_keepNobodyWaiting() throws Exception {
        snapshots.services = FixedSnapshots.services(10_000);
        List<Socket> slow = new ArrayList<>();
        try {
            for (int i = 0; i < 50; i++) {
                Socket socket = new Socket();
                socket.setReceiveBufferSize(1024);
                socket.connect(faces.metricsAddress().orElseThrow());
                // A third says nothing, a third stops half-way, a third asks for much and never reads it.
                String request =
                        i % 3 == 0 ? "" : i % 3 == 1 ? "GET /metr" : "GET /api/v1/services HTTP/1.1\r\nHost: x\r\n\r\n";
                socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
                slow.add(socket);
            }
            assertThat(metrics("/proxyMode").body()).isEqualTo("ebpf");
            assertThat(health("/healthz").statusCode()).isEqualTo(200);
            assertThat(Json.MAPPER.readTree(metrics("/api/v1/services").body()).size())
                    .isEqualTo(10_000);
        } finally {
            for (Socket socket : slow) {
                socket.close();
            }
        }
    }

    @Test
    void idleConnections_keepNoProbeFromItsAnswer() throws Exception {
        InetSocketAddress server = faces.healthzAddress().orElseThrow();
        List<Socket> idle = new ArrayList<>();
        try {
            for (int i = 0; i < 300; i++) {
                Socket socket = new Socket(server.getAddress(), server.getPort());
                socket.getOutputStream().write((i % 2 == 0 ? "" : "GET /li").getBytes(StandardCharsets.US_ASCII));
                idle.add(socket);
            }
            assertThat(health("/livez").statusCode()).isEqualTo(200);
        } finally {
            for (Socket socket : idle) {
                socket.close();
            }
        }
    }

    @Test
    void garbage_isRefused_andTheNextRequestIsServed() throws Exception {
        for (String garbage :
                List.of("\0\1\2\3\r\n\r\n", "GET\r\n\r\n", "GET * HTTP/1.1\r\n\r\n", "GET http://[ HTTP/1.1\r\n\r\n")) {
            try (Socket socket = new Socket()) {
                socket.connect(faces.metricsAddress().orElseThrow());
                socket.getOutputStream().write(garbage.getBytes(StandardCharsets.US_ASCII));
                socket.shutdownOutput();
                try (InputStream in = socket.getInputStream()) {
                    assertThat(new String(in.readAllBytes(), StandardCharsets.US_ASCII))
                            .doesNotContain("200 OK");
                }
            }
        }
        assertThat(metrics("/proxyMode").statusCode()).isEqualTo(200);
    }

    @Test
    void takenPort_isSaidInOneLine_andTheOtherServerIsClosedAgain() throws Exception {
        try (ServerSocket taken = new ServerSocket()) {
            taken.bind(ANY_V4);
            int port = taken.getLocalPort();
            int healthPort;
            try (ServerSocket free = new ServerSocket()) {
                free.bind(ANY_V4);
                healthPort = free.getLocalPort();
            }
            InetSocketAddress health = new InetSocketAddress(ANY_V4.getAddress(), healthPort);
            InetSocketAddress wanted = new InetSocketAddress(ANY_V4.getAddress(), port);

            assertThatThrownBy(() -> HttpPorts.bind(health, wanted))
                    .isInstanceOf(IOException.class)
                    .hasMessage("port " + port + " is taken (--metrics-bind-address 127.0.0.1:" + port
                            + "): stop what listens there (kube-proxy, if it still runs on this node), or give another"
                            + " address:port");
            await().untilAsserted(() -> assertThatThrownBy(() -> new Socket(ANY_V4.getAddress(), healthPort).close())
                    .isInstanceOf(ConnectException.class));
        }
    }

    @Test
    void foreignAddress_isSaidInOneLine() {
        InetSocketAddress foreign = new InetSocketAddress(InetAddress.ofLiteral("192.0.2.1"), 1234);

        assertThatThrownBy(() -> HttpPorts.bind(foreign, ANY_V4))
                .isInstanceOf(IOException.class)
                .hasMessage("no interface of this machine has the address (--healthz-bind-address 192.0.2.1:1234):"
                        + " give one that it has, or 0.0.0.0");
    }

    @Test
    void wildcardAddress_takesBothFamilies() throws Exception {
        InetSocketAddress wildcard = new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), 0);
        try (HttpFaces both =
                HttpFaces.open(HttpPorts.bind(wildcard, ANY_V4), probes, snapshots, flows, metrics, Map.of())) {
            int port = both.healthzAddress().orElseThrow().getPort();
            for (InetSocketAddress loopback : List.of(ANY_V4, ANY_V6)) {
                assertThat(send("GET", new InetSocketAddress(loopback.getAddress(), port), "/livez")
                                .statusCode())
                        .isEqualTo(200);
            }
        }
    }

    @Test
    void whoComesBeforeAnythingIsServed_waits() throws Exception {
        try (HttpPorts ports = HttpPorts.bind(ANY_V4, null)) {
            InetSocketAddress address =
                    Objects.requireNonNull(ports.health(), "bound").address();
            CompletableFuture<HttpResponse<String>> early = client.sendAsync(
                    HttpRequest.newBuilder(URI.create("http://" + HostPort.format(address) + "/livez"))
                            .build(),
                    BodyHandlers.ofString());
            try (Socket connected = new Socket(address.getAddress(), address.getPort())) {
                assertThat(connected.isConnected()).isTrue();
            }
            assertThat(early).isNotDone();
            HttpFaces.open(ports, probes, snapshots, flows, metrics, Map.of());
            assertThat(early.get(10, TimeUnit.SECONDS).statusCode()).isEqualTo(200);
        }
    }

    @Test
    void portsThatServedNothing_areFreeWhenClosed() throws Exception {
        HttpPorts ports = HttpPorts.bind(ANY_V4, null);
        InetSocketAddress address =
                Objects.requireNonNull(ports.health(), "bound").address();
        ports.close();
        HttpPorts.bind(address, null).close();
    }

    @Test
    void close_stopsListening() {
        InetSocketAddress address = faces.metricsAddress().orElseThrow();
        faces.close();

        assertThatThrownBy(() -> new Socket(address.getAddress(), address.getPort()).close())
                .isInstanceOf(ConnectException.class);
    }

    @Test
    void whatHasNoAddress_isNotServed() throws Exception {
        try (HttpFaces none = HttpFaces.open(HttpPorts.bind(null, null), probes, snapshots, flows, metrics, Map.of())) {
            assertThat(none.healthzAddress()).isEmpty();
            assertThat(none.metricsAddress()).isEmpty();
        }
    }

    private static Flow flow(String service, int port) {
        return new Flow(
                "TCP",
                "192.168.7.9:" + port,
                "",
                "192.168.7.1:30080",
                service,
                "http",
                "192.168.7.1:" + port,
                "10.1.0.2:8080",
                "pod shop/web-1",
                "confirmed",
                3);
    }

    @Test
    void flows_areALineEach_ofOneService_andNoMoreThanAskedFor() throws Exception {
        for (int i = 1; i <= 20; i++) {
            flows.flows.add(flow(i % 2 == 0 ? "shop/web" : "shop/db", 40_000 + i));
        }

        HttpResponse<String> all = metrics("/api/v1/flows");
        assertThat(all.headers().firstValue("Content-Type")).contains("application/x-ndjson");
        assertThat(all.body().lines()).hasSize(20);
        assertThat(all.body().lines().findFirst().orElseThrow())
                .isEqualTo("{\"protocol\":\"TCP\",\"client\":\"192.168.7.9:40001\",\"clientName\":\"\",\"frontend\":"
                        + "\"192.168.7.1:30080\",\"service\":\"shop/db\",\"port\":\"http\",\"source\":"
                        + "\"192.168.7.1:40001\",\"backend\":\"10.1.0.2:8080\",\"backendName\":\"pod shop/web-1\","
                        + "\"state\":\"confirmed\",\"silentSeconds\":3}");
        assertThat(metrics("/api/v1/flows?service=shop/web").body().lines())
                .hasSize(10)
                .allMatch(line -> line.contains("shop/web"));
        assertThat(metrics("/api/v1/flows?service=shop%2Fweb&limit=3").body().lines())
                .hasSize(4)
                .last(STRING)
                .isEqualTo("{\"notice\":\"there may be more than 3; limit=10000 is the most that can be asked for\"}");
        assertThat(flows.watched).as("asks for drops").hasValue(0);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "service=web",
                "service=shop/web/x",
                "service=",
                "limit=0",
                "limit=10001",
                "limit=-1",
                "limit=x",
                "dropped=perhaps",
                "dropped&after=x",
                "service=%zz"
            })
    void flows_askedForWrongly_is400_andSaysWhatWouldBeRight(String query) throws Exception {
        HttpResponse<String> answer;
        try (Socket socket = new Socket()) {
            socket.connect(faces.metricsAddress().orElseThrow());
            socket.getOutputStream()
                    .write(("GET /api/v1/flows?" + query + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                            .getBytes(StandardCharsets.UTF_8));
            assertThat(new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                    .startsWith("HTTP/1.1 400 ");
        }
        answer = metrics("/api/v1/flows?limit=0");
        assertThat(answer.body()).isEqualTo("{\"error\":\"limit must be a number from 1 to 10000, not \\\"0\\\"\"}");
    }

    @Test
    void drops_areTheLastOnes_afterANoticeSinceWhenTheyAreTold() throws Exception {
        flows.drop("shop/web", 1);
        flows.drop("shop/db", 2);
        List<String> lines =
                metrics("/api/v1/flows?dropped=true").body().lines().toList();
        assertThat(lines).hasSize(3);
        assertThat(lines.getFirst())
                .isEqualTo("{\"notice\":\"drops are told while somebody asks, and for a minute longer: now since "
                        + "2026-01-02T03:04:05.678Z\"}");
        assertThat(lines.get(1))
                .matches("\\{\"id\":[0-9]{16},\"time\":\"2026-01-02T03:04:05.678Z\",\"protocol\":\"TCP\",\"source\":"
                        + "\"192.168.7.9:1\",\"sourceName\":\"\",\"destination\":\"10.96.0.10:80\","
                        + "\"destinationName\":\"service shop/web\",\"service\":\"shop/web\",\"port\":\"http\","
                        + "\"reason\":\"source_range\",\"direction\":\"to_backend\",\"device\":\"eth0\","
                        + "\"more\":false\\}");
        assertThat(metrics("/api/v1/flows?dropped&service=shop/db").body().lines())
                .hasSize(2)
                .last(STRING)
                .contains("192.168.7.9:2");
        assertThat(flows.watched).hasPositiveValue();
    }

    private Socket follow() throws IOException {
        Socket socket = new Socket();
        socket.connect(faces.metricsAddress().orElseThrow());
        socket.getOutputStream()
                .write("GET /api/v1/flows?dropped&follow HTTP/1.1\r\nHost: a\r\n\r\n".getBytes(StandardCharsets.UTF_8));
        return socket;
    }

    @Test
    void follower_hearsOfDropsAsTheyHappen() throws Exception {
        flows.drop("shop/web", 1);
        try (Socket socket = follow();
                BufferedReader lines = new BufferedReader(new InputStreamReader(socket.getInputStream()))) {
            assertThat(lines.lines().filter(line -> line.contains(":1\"")).findFirst())
                    .isPresent();
            flows.drop("shop/web", 2);
            assertThat(lines.lines().filter(line -> line.startsWith("{")).findFirst())
                    .get(STRING)
                    .contains("192.168.7.9:2");
        }
    }

    private static String statusLine(Socket client) throws IOException {
        return new BufferedReader(new InputStreamReader(client.getInputStream())).readLine();
    }

    /** They hold nothing but their places; the others hear all. */
    @Test
    void followersThatNeverRead_areOfAHarmlessNumber_andKeepNobodyFromHearing() throws Exception {
        List<Socket> silent = new ArrayList<>();
        try {
            for (int i = 0; i < FlowPage.MOST_FOLLOWERS - 1; i++) {
                Socket follower = follow();
                silent.add(follower);
                // That it has its place, and no more.
                assertThat(follower.getInputStream().readNBytes(1)).asString().isEqualTo("H");
            }
            try (Socket socket = follow();
                    BufferedReader lines = new BufferedReader(new InputStreamReader(socket.getInputStream()))) {
                assertThat(lines.readLine()).isEqualTo("HTTP/1.1 200 OK");
                await().untilAsserted(() -> {
                    try (Socket more = follow()) {
                        assertThat(statusLine(more)).startsWith("HTTP/1.1 503 ");
                    }
                });
                assertThat(metrics("/api/v1/flows?dropped&follow").body())
                        .isEqualTo("{\"error\":\"64 clients follow already, which is as many as may\"}");
                for (int i = 1; i <= 20_000; i++) {
                    flows.drop("shop/web", i);
                    if (i % FixedFlows.KEPT == 0) {
                        String last = "192.168.7.9:" + i + "\"";
                        assertThat(lines.lines()
                                        .filter(line -> line.contains(last))
                                        .findFirst())
                                .isPresent();
                    }
                }
                assertThat(metrics("/healthz").statusCode()).isEqualTo(200);
            }
            Socket late = silent.getFirst();
            assertThat(new BufferedReader(new InputStreamReader(late.getInputStream()))
                            .lines()
                            .filter(line -> line.contains("\"notice\""))
                            .findFirst())
                    .get(STRING)
                    .matches(
                            "\\{\"notice\":\"[0-9]+ drops came before these and are gone: they were not read in time\"\\}");
        } finally {
            for (Socket socket : silent) {
                socket.close();
            }
        }
    }
}
