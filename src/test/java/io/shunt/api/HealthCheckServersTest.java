package io.shunt.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.shunt.health.Probes;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.FixedSnapshots;
import io.shunt.snapshot.Health;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.snapshot.HealthChecks;
import io.shunt.testbed.FreePorts;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HealthCheckServersTest {
    private static final Address ANY_V4 = Address.of("0.0.0.0");
    private static final Address ANY_V6 = Address.of("::");
    private static final Set<Address> ANY = Set.of(ANY_V4, ANY_V6);

    private final FixedSnapshots snapshots = new FixedSnapshots();
    private final Probes probes = new Probes(snapshots, Duration.ofSeconds(30), InstantSource.system());
    private final List<String> heard = new CopyOnWriteArrayList<>();
    private final HealthCheckServers servers =
            HealthCheckServers.open(snapshots, probes, new HealthCheckServers.Failures() {
                @Override
                public void failed(HealthCheckPort port, String reason) {
                    heard.add("failed " + port.name() + ": " + reason);
                }

                @Override
                public void healed(HealthCheckPort port) {
                    heard.add("healed " + port.name());
                }
            });

    private final List<ServerSocket> others = new ArrayList<>();

    @AfterEach
    void close() throws IOException {
        servers.close();
        for (ServerSocket other : others) {
            other.close();
        }
    }

    /** Somebody else at 127.0.0.1. */
    private ServerSocket other() throws IOException {
        ServerSocket other = new ServerSocket();
        others.add(other);
        other.bind(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), FreePorts.next()));
        return other;
    }

    private static HealthCheckPort v4(String name, int port, int endpoints) {
        return new HealthCheckPort("shop", name, port, Map.of(IpFamily.IPV4, endpoints));
    }

    private void serve(Set<Address> addresses, HealthCheckPort... ports) {
        snapshots.healthChecks = new HealthChecks(List.of(ports), addresses);
        servers.wake();
    }

    private static String ask(String address, int port, String request) throws IOException {
        try (Socket socket = new Socket(InetAddress.ofLiteral(address), port)) {
            socket.setSoTimeout(5_000);
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static String ask(String address, int port) throws IOException {
        return ask(address, port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }

    private static void awaitAnswer(String address, int port, String part) {
        await().pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(10))
                .ignoreExceptionsInstanceOf(SocketException.class)
                .until(() -> ask(address, port).contains(part));
    }

    private static void awaitRefusal(String address, int port) {
        await().untilAsserted(() -> assertThatThrownBy(() -> ask(address, port)).isInstanceOf(ConnectException.class));
    }

    @Test
    void answer_isKubeProxysToTheByte() throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 2));
        awaitAnswer("127.0.0.1", port, "200 OK");

        String[] halves = ask("127.0.0.1", port).split("\r\n\r\n", 2);

        String body = """
                {
                \t"service": {
                \t\t"namespace": "shop",
                \t\t"name": "web"
                \t},
                \t"localEndpoints": 2,
                \t"serviceProxyHealthy": true
                }""";
        assertThat(halves[1]).isEqualTo(body);
        assertThat(halves[0].lines())
                .startsWith(
                        "HTTP/1.1 200 OK",
                        "Content-Type: application/json",
                        "X-Content-Type-Options: nosniff",
                        "X-Load-Balancing-Endpoint-Weight: 2")
                .contains("Content-Length: " + body.length());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                "OPTIONS / HTTP/1.0\r\n\r\n",
                "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET http://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n",
                "POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            })
    void everyPathAndMethod_isAnsweredTheSame(String request) throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 1));
        awaitAnswer("127.0.0.1", port, "200 OK");

        assertThat(ask("127.0.0.1", port, request))
                .startsWith(request.contains("HTTP/1.0") ? "HTTP/1.0 200 OK\r\n" : "HTTP/1.1 200 OK\r\n")
                .endsWith("\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}");
    }

    @Test
    void head_hasNoBody_andGarbageIsRefused() throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 1));
        awaitAnswer("127.0.0.1", port, "200 OK");

        assertThat(ask("127.0.0.1", port, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"))
                .startsWith("HTTP/1.1 200 OK\r\n")
                .endsWith("\r\n\r\n");
        assertThat(ask("127.0.0.1", port, "\0\1\2\r\n\r\n")).startsWith("HTTP/1.1 400 ");
    }

    @Test
    void withoutEndpointsHere_orBehindItsTime_theAnswerIs503() throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 0));
        awaitAnswer("127.0.0.1", port, "503 Service Unavailable");
        assertThat(ask("127.0.0.1", port)).contains("Weight: 0\r\n", "\"serviceProxyHealthy\": true");

        serve(ANY, v4("web", port, 3));
        awaitAnswer("127.0.0.1", port, "200 OK");

        snapshots.health = new Health(Instant.now(), Instant.now().minusSeconds(60), true);
        assertThat(ask("127.0.0.1", port))
                .startsWith("HTTP/1.1 503 Service Unavailable\r\n")
                .contains("Weight: 3\r\n", "\"serviceProxyHealthy\": false");
    }

    @Test
    void eachFamily_hasItsOwnCount_andOneThatTheServiceHasNotIsRefused() {
        int both = FreePorts.next();
        int v4 = FreePorts.next();
        serve(
                ANY,
                new HealthCheckPort("shop", "both", both, Map.of(IpFamily.IPV4, 1, IpFamily.IPV6, 2)),
                v4("four", v4, 1));

        awaitAnswer("127.0.0.1", both, "\"localEndpoints\": 1,");
        awaitAnswer("::1", both, "\"localEndpoints\": 2,");
        awaitAnswer("127.0.0.1", v4, "\"localEndpoints\": 1,");
        awaitRefusal("::1", v4);
    }

    @Test
    void onlyTheSelectedAddresses_areListenedAt() throws IOException {
        int port = FreePorts.next();
        serve(Set.of(Address.of("127.0.0.2"), Address.of("127.0.0.3")), v4("web", port, 1));
        awaitAnswer("127.0.0.2", port, "200 OK");
        awaitAnswer("127.0.0.3", port, "200 OK");
        awaitRefusal("127.0.0.1", port);

        // All of IPv6 and some of IPv4 take one socket.
        serve(
                Set.of(Address.of("127.0.0.2"), ANY_V6),
                new HealthCheckPort("shop", "web", port, Map.of(IpFamily.IPV4, 1, IpFamily.IPV6, 2)));
        awaitAnswer("::1", port, "\"localEndpoints\": 2,");
        awaitAnswer("127.0.0.2", port, "\"localEndpoints\": 1,");
        assertThatAnswerIsNone("127.0.0.1", port);
    }

    private static void assertThatAnswerIsNone(String address, int port) {
        try {
            assertThat(ask(address, port)).isEmpty();
        } catch (IOException reset) {
            assertThat(reset).hasMessageContaining("reset");
        }
    }

    @Test
    void ports_goWithTheirServices_andMoveFromOneToAnother() {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 1));
        awaitAnswer("127.0.0.1", port, "\"name\": \"web\"");

        serve(ANY, v4("shop", port, 1));
        awaitAnswer("127.0.0.1", port, "\"name\": \"shop\"");

        serve(ANY);
        awaitRefusal("127.0.0.1", port);
        assertThat(heard).isEmpty();
    }

    @Test
    void takenPort_isComplainedOf_andServedOnceItIsFree() throws IOException {
        ServerSocket other = other();
        int port = other.getLocalPort();
        serve(ANY, v4("web", port, 1));
        await().until(() -> !heard.isEmpty());
        assertThat(heard.getFirst()).matches("failed web: listen 0.0.0.0 port " + port + ": .*in use.*");

        other.close();

        awaitAnswer("127.0.0.1", port, "200 OK");
        await().until(() -> heard.getLast().equals("healed web"));
    }

    @Test
    void failingPort_thatIsNotWantedAnyMore_isForgotten() throws IOException {
        serve(ANY, v4("web", other().getLocalPort(), 1));
        await().until(() -> !heard.isEmpty());

        serve(ANY);

        await().until(() -> heard.getLast().equals("healed web"));
    }

    @Test
    void hundredsOfServices_takeNoThreadOfTheSystem() {
        int before = ManagementFactory.getThreadMXBean().getThreadCount();
        HealthCheckPort[] ports = IntStream.range(0, 300)
                .mapToObj(i -> v4("web-" + i, FreePorts.next(), i + 1))
                .toArray(HealthCheckPort[]::new);
        serve(ANY, ports);

        for (HealthCheckPort port : ports) {
            awaitAnswer("127.0.0.1", port.port(), "\"name\": \"" + port.name() + "\"");
        }
        assertThat(ManagementFactory.getThreadMXBean().getThreadCount()).isLessThan(before + 20);
    }

    @Test
    void silentClients_keepNobodyWaiting() throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 1));
        awaitAnswer("127.0.0.1", port, "200 OK");
        List<Socket> silent = new ArrayList<>();
        try {
            for (int i = 0; i < 300; i++) {
                silent.add(new Socket(InetAddress.ofLiteral("127.0.0.1"), port));
            }
            for (int probe = 0; probe < 3; probe++) {
                assertThat(ask("127.0.0.1", port)).contains("200 OK");
            }
        } finally {
            for (Socket socket : silent) {
                socket.close();
            }
        }
    }

    @Test
    void clientsThatDoNotAskForLong_areCutOff() throws IOException {
        int port = FreePorts.next();
        serve(ANY, v4("web", port, 1));
        awaitAnswer("127.0.0.1", port, "200 OK");
        try (Socket silent = new Socket(InetAddress.ofLiteral("127.0.0.1"), port);
                Socket dawdling = new Socket(InetAddress.ofLiteral("127.0.0.1"), port)) {
            await().until(() -> isCutOff(dawdling));
            silent.setSoTimeout(30_000);
            assertThat(silent.getInputStream().read()).isEqualTo(-1);
        }
    }

    /** Sends one more byte to see. */
    private static boolean isCutOff(Socket client) {
        try {
            client.getOutputStream().write('x');
            return false;
        } catch (IOException e) {
            return true;
        }
    }
}
