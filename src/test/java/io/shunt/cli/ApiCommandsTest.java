package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import io.shunt.api.HttpFaces;
import io.shunt.api.HttpPorts;
import io.shunt.api.Json;
import io.shunt.api.ServiceEntry;
import io.shunt.flow.FixedFlows;
import io.shunt.flow.Flow;
import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import io.shunt.net.HostPort;
import io.shunt.snapshot.FixedSnapshots;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.ServiceView.FrontendView;
import io.shunt.snapshot.Status;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** `shunt status` and `shunt service list` against real servers. */
class ApiCommandsTest {
    private static final InetSocketAddress ANY = new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0);
    private static final InetSocketAddress ANY_V6 = new InetSocketAddress(InetAddress.ofLiteral("::1"), 0);

    private final FixedSnapshots snapshots = new FixedSnapshots();
    private final FixedFlows flows = new FixedFlows();
    private final Shell shell = new Shell();
    private HttpFaces faces;

    @BeforeEach
    void open() throws IOException {
        faces = HttpFaces.open(
                HttpPorts.bind(ANY, ANY_V6),
                new Probes(snapshots, Duration.ofSeconds(30), InstantSource.system()),
                snapshots,
                flows,
                new Metrics(),
                Map.of());
        shell.environment.put(
                "SHUNT_METRICS_ADDRESS", HostPort.format(faces.metricsAddress().orElseThrow()));
    }

    @AfterEach
    void close() {
        faces.close();
    }

    @Test
    void status_ofAHealthyDaemon_fitsOneScreen() {
        assertThat(shell.run("status")).as(shell.err()).isZero();

        assertThat(shell.out()
                        .replaceAll("up \\d+ d \\d+ h", "up TIME")
                        .replaceAll("event \\d+ d \\d+ h", "event TIME")
                        .replaceAll("Audit     \\d+ d \\d+ h", "Audit     TIME"))
                .startsWith("""
                        Shunt     1.2.3 on worker-1, up TIME
                        Health    healthy
                        Source    file /etc/shunt/services, listed, last event TIME ago
                        Events    3 service set, 1 endpointslice delete; errors: 2 parse
                        Services  2 programmed, 1 failed, 3 backends
                        Devices   eth0, veth1; none that is up is called wlan0
                        Flows     17 of 131072
                        Stale     on for UDP; ended 4 UDP, 1 TCP
                        Audit     TIME ago; put right what others have changed: 2 in frontends
                        Programs  2 of 2 attached to /sys/fs/cgroup
                        Maps      2 with 4.0 MiB; the fullest is frontends, 0.0 %
                        NodePorts 2 may be given to clients, the first is 30053: add the cluster's node ports to net.ipv4.ip_local_reserved_ports

                        FAILED CALL  MAP        ERRORS  OF
                        update       frontends       1  12

                        SOCKET ERROR  COUNT
                        bad_set           5

                        DROPPED  DIRECTION   PACKETS
                        no_port  to_backend        6
                        ttl      to_client         1

                        LAST ERRORS
                        """);
        assertThat(shell.out()).containsPattern("default/dns +map is full");
    }

    @Test
    void status_ofABrokenDaemon_saysWhatIsWrong_andExits1() {
        snapshots.status = FixedSnapshots.brokenStatus();

        assertThat(shell.run("status")).isEqualTo(1);
        assertThat(shell.out())
                .contains("Health    NOT HEALTHY\n", "\n          ! cgroup/connect6 is not attached\n")
                .containsPattern("connect6 +cgroup/connect6 +NO ")
                .contains("\nDevices   veth1 (NOT ATTACHED), eth0; none that is up is called wlan0\n")
                .contains(
                        "PROBLEMS OF THE SOURCE",
                        "\n  shop/web web.yaml:12 spec.ports[0].port: is 0; use 1 to 65535\n");
    }

    @Test
    void status_wide_namesEachProgramMapAndDevice() {
        assertThat(shell.run("status", "-o", "wide")).isZero();

        assertThat(shell.out()).contains("""
                        NodePorts 2 may be given to clients, the first is 30053: add the cluster's node ports to net.ipv4.ip_local_reserved_ports

                        PROGRAM   HOOK             ATTACHED  INSTRUCTIONS  TARGET
                        connect4  cgroup/connect4  yes                412  /sys/fs/cgroup
                        connect6  cgroup/connect6  yes                530  /sys/fs/cgroup

                        MAP        ENTRIES  MAXIMUM   USED   MEMORY
                        frontends        3    65536  0.0 %  4.0 MiB
                        origins          -    16384      -  2.0 KiB

                        DEVICE  PROGRAM       DIRECTION  ATTACHED
                        eth0    from_outside  ingress    yes
                        eth0    from_host     egress     yes
                        veth1   from_pod      ingress    yes

                        FAILED CALL  MAP        ERRORS  OF
                        """);
    }

    @Test
    void status_namesMapsThatAreNearlyFull() {
        Status status = snapshots.status;
        snapshots.status = FixedSnapshots.withMaps(
                status, new Status.MapView("frontends", 800, 1000, 4096), new Status.MapView("sets", 799, 1000, 4096));
        assertThat(shell.run("status")).isZero();
        assertThat(shell.out())
                .contains(
                        "Maps      2 with 8.0 KiB; the fullest is frontends, 80.0 %\n", "\nfrontends      800     1000")
                .doesNotContain("\nsets");
    }

    @ParameterizedTest
    @ValueSource(strings = {"json", "yaml", "YAML"})
    void status_forPrograms_isTheApis(String format) {
        assertThat(shell.run("status", "-o", format)).isZero();
        assertThat(new YAMLMapper().readValue(shell.out(), Status.class)).isEqualTo(snapshots.status);
    }

    @Test
    void yaml_isWrittenAsPeopleWriteIt() {
        assertThat(shell.run("service", "list", "dns", "-o", "yaml")).isZero();
        assertThat(shell.out()).isEqualTo("""
                - namespace: default
                  name: dns
                  port: ""
                  protocol: UDP
                  family: IPv4
                  serviceId: -1
                  frontends:
                  - address: 10.96.0.10:53/UDP
                    inside: cluster
                    outside: cluster
                    restricted: false
                  backends: []
                  sourceRanges: []
                  affinitySeconds: 0
                  algorithm: random
                  connections: 0
                  refused: 0
                  error: map is full
                """);
    }

    @Test
    void serviceList_isAnAlignedTable() {
        assertThat(shell.run("service", "list")).as(shell.err()).isZero();
        assertThat(shell.out()).isEqualTo("""
                NAMESPACE  NAME  PORT  FRONTEND                             BACKENDS  CONNECTIONS
                default    dns   -     10.96.0.10:53/UDP                           0            0
                shop       web   http  10.96.0.1:80/TCP,203.0.113.1:80/TCP         2          300
                shop       web   http  [fd00::1]:80/TCP                            1            5
                ! default/dns - (IPv4) is not as it should be: map is full
                """);
    }

    @Test
    void serviceList_wide_namesEachBackend() {
        assertThat(shell.run("service", "list", "-n", "shop", "-o", "wide")).isZero();
        assertThat(shell.out()).isEqualTo("""
                NAMESPACE  NAME  PORT  ID  CONNECTIONS  REFUSED  ALGORITHM  FRONTEND                                                       BACKENDS
                shop       web   http   7          300        2  maglev     10.96.0.1:80/TCP,203.0.113.1:80/TCP(outside:local,restricted)  10.0.0.2:8080,10.0.0.3:8080(draining)
                shop       web   http   8            5        0  random     [fd00::1]:80/TCP                                               [fd00:1::2]:8080
                """);
    }

    @Test
    void serviceList_asJson_isFilteredToo() {
        assertThat(shell.run("service", "list", "dns", "-o", "json")).isZero();
        assertThat(List.of(Json.MAPPER.readValue(shell.out(), ServiceEntry[].class)))
                .extracting(ServiceEntry::name)
                .containsExactly("dns");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    dns                    | dns
                    shop/web               | web web
                    web*                   | web web
                    s*p/*                  | web web
                    default/d?s            |
                    -n shop dns            |
                    -n shop                | web web
                    -a 10.96.0.10          | dns
                    -a 10.96.0.10:53       | dns
                    -a 10.96.0.1           | web
                    -a 10.96.0.1:8         |
                    -a 10.0.0.3:8080       | web
                    -a fd00:0::1           | web
                    -a [fd00::1]:80        | web
                    -n default -a fd00::1  |
                    """)
    void serviceList_isFilteredByNameAndAddress(String filter, @Nullable String found) {
        String arguments = "service list -o json " + filter;
        assertThat(shell.run(arguments.split(" ", -1))).as(shell.err()).isEqualTo(found == null ? 1 : 0);
        if (found != null) {
            assertThat(Arrays.stream(Json.MAPPER.readValue(shell.out(), ServiceEntry[].class))
                            .map(ServiceEntry::name))
                    .containsExactly(found.split(" ", -1));
        }
    }

    @Test
    void serviceList_ofAWrongAddress_exits2() {
        assertThat(shell.run("service", "list", "-a", "10.96.0")).isEqualTo(2);
        assertThat(shell.err())
                .isEqualTo("shunt service list: --address must be an address, with a port or without, as 10.96.0.10,"
                        + " 10.96.0.10:53 or [fd00::10]:53, not \"10.96.0\"\n");
    }

    @Test
    void serviceList_keepsItsLinesShort_whereOneServiceHasManyAddresses() {
        List<FrontendView> many = IntStream.range(1, 60)
                .mapToObj(i -> new FrontendView("192.0.2." + i + ":80/TCP", "cluster", "cluster", false))
                .toList();
        snapshots.services = List.of(
                new ServiceView("shop", "web", "http", "TCP", "IPv4", 7, many, List.of(), List.of(), 0, "random", ""));
        assertThat(shell.run("service", "list")).isZero();
        assertThat(shell.out()).contains("192.0.2.1:80/TCP,192.0.2.2:80/TCP,192.0.2.3:80/TCP and 56 more  ");
        assertThat(shell.run("service", "list", "-o", "wide")).isZero();
        assertThat(shell.out()).contains("192.0.2.59:80/TCP");
    }

    @Test
    void serviceList_ofALargeCluster_isOneLineAPort() {
        snapshots.services = FixedSnapshots.services(10_000);
        assertThat(shell.run("service", "list")).isZero();
        assertThat(shell.out().lines()).hasSize(10_001).allMatch(line -> line.length() < 100);
    }

    @Test
    void serviceList_ofAnUnknownName_exits1() {
        assertThat(shell.run("service", "list", "-n", "default", "web")).isEqualTo(1);
        assertThat(shell.err())
                .isEqualTo(
                        "shunt service list: no Service web in namespace default is served here; `shunt service list`"
                                + " shows all\n");
    }

    @Test
    void serviceList_withoutServices_isTheHeaderAlone() {
        snapshots.services = List.of();
        assertThat(shell.run("service", "list")).isZero();
        assertThat(shell.out().lines()).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"status", "service list", "flows", "flows --dropped -f"})
    void noDaemon_isSaidInOneLine_andExits1(String command) {
        String where = HostPort.format(faces.metricsAddress().orElseThrow());
        faces.close();

        assertThat(shell.run(command.split(" ", -1))).isEqualTo(1);
        assertThat(shell.err())
                .isEqualTo("shunt " + command.replaceAll(" -.*", "") + ": no daemon answers at " + where
                        + " (Connection refused): start `shunt run`, or say where it is with --metrics-address\n");
    }

    @Test
    void anotherServer_isNotMistakenForADaemon() throws IOException {
        HttpServer other = HttpServer.create(ANY, 0);
        other.createContext("/api/v1/status", exchange -> {
            byte[] body = "<html>".getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        other.start();
        try {
            String where = HostPort.format(other.getAddress());
            assertThat(shell.run("status", "--metrics-address", where)).isEqualTo(1);
            assertThat(shell.err()).startsWith("shunt status: " + where + "/api/v1/status is not what shunt answers");
            assertThat(shell.err().lines()).hasSize(1);

            assertThat(shell.run("service", "list", "--metrics-address", where)).isEqualTo(1);
            assertThat(shell.err()).startsWith("shunt service list: " + where + " answers 404 to /api/v1/services");
        } finally {
            other.stop(0);
        }
    }

    @Test
    void wrongAddress_exits2() {
        assertThat(shell.run("status", "--metrics-address=nowhere")).isEqualTo(2);
        assertThat(shell.err())
                .isEqualTo("shunt status: --metrics-address must be an address and port, as 127.0.0.1:10249 or"
                        + " [::1]:10249, not \"nowhere\"\n");
    }

    @Test
    void wrongFormat_exits2_andNamesTheRightOnes() {
        assertThat(shell.run("service", "list", "-o", "xml")).isEqualTo(2);
        assertThat(shell.err()).contains("--output", "xml", "TABLE, WIDE, JSON, YAML");
    }

    @Test
    void flows_areAnAlignedTable() {
        flows.flows.add(new Flow(
                "TCP",
                "192.168.7.9:40000",
                "",
                "192.168.7.1:30080",
                "shop/web",
                "http",
                "192.168.7.1:40000",
                "10.1.0.2:8080",
                "pod shop/web-1",
                "confirmed",
                3));
        flows.flows.add(new Flow(
                "UDP",
                "10.1.0.5:5000",
                "pod shop/cart-2",
                "10.96.0.10:53",
                "default/dns",
                "",
                "10.1.0.5:5000",
                "10.1.0.3:53",
                "",
                "opening",
                120));
        assertThat(shell.run("flows")).as(shell.err()).isZero();
        assertThat(shell.out()).isEqualTo("""
                PROTOCOL  STATE      SILENT  SERVICE        CLIENT                           ASKED              BACKEND                         SEEN AS
                TCP       confirmed     3 s  shop/web:http  192.168.7.9:40000                192.168.7.1:30080  10.1.0.2:8080 (pod shop/web-1)  192.168.7.1:40000
                UDP       opening     120 s  default/dns    10.1.0.5:5000 (pod shop/cart-2)  10.96.0.10:53      10.1.0.3:53                     -
                """);
        assertThat(shell.err()).isEmpty();

        assertThat(shell.run("flows", "--service", "default/dns", "-o", "json")).isZero();
        assertThat(Json.MAPPER.readValue(shell.out(), Flow.class)).isEqualTo(flows.flows.getLast());
        assertThat(shell.run("flows", "--limit=1")).isZero();
        assertThat(shell.out().lines()).hasSize(2);
        assertThat(shell.err()).startsWith("! there may be more than 1; ");
    }

    @Test
    void drops_areAnAlignedTable_andWhenTheyAreToldIsSaidBesides() {
        flows.drop("shop/web", 1);
        flows.drop("shop/web", 65535);
        assertThat(shell.run("flows", "--dropped")).as(shell.err()).isZero();
        assertThat(shell.out().replaceAll("(?m)^[0-9:.]{12}", "hh:mm:ss.mmm")).isEqualTo("""
                TIME          REASON        DIRECTION   DEVICE  PROTOCOL  SERVICE        FROM               TO
                hh:mm:ss.mmm  source_range  to_backend  eth0    TCP       shop/web:http  192.168.7.9:1      10.96.0.10:80 (service shop/web)
                hh:mm:ss.mmm  source_range  to_backend  eth0    TCP       shop/web:http  192.168.7.9:65535  10.96.0.10:80 (service shop/web)
                """);
        assertThat(shell.err())
                .isEqualTo("! drops are told while somebody asks, and for a minute longer: now since"
                        + " 2026-01-02T03:04:05.678Z\n");
        assertThat(shell.run("flows", "--dropped", "--service=shop/db")).isZero();
        assertThat(shell.out().lines()).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-f", "--service=web", "--limit=0", "--limit=10001", "--service=shop/web&x=y"})
    void flows_askedForWrongly_exits2(String argument) {
        assertThat(shell.run("flows", argument)).isEqualTo(2);
        assertThat(shell.err()).startsWith("shunt flows: --").hasLineCount(1);
    }
}
