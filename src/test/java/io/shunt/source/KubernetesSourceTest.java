package io.shunt.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Change;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Occurrence;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.source.Problem.Cause;
import io.shunt.source.SourceCounters.Kind;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

class KubernetesSourceTest {
    private final FakeApiServer server = new FakeApiServer().start();
    private final Told told = new Told();
    private final Source source = new KubernetesSource(config(), "node-1");

    private Config config() {
        Config config = ApiServerAccess.of(
                new SourceOptions("node-1", null, server.url()), Map.of(), Path.of("/no/such/directory"));
        config.setRequestTimeout(5000);
        return config;
    }

    @AfterEach
    void close() {
        source.close();
        server.close();
        assertThat(told.overlapped()).isFalse();
    }

    private static void eventually(ThrowingRunnable assertion) {
        await().pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(5)).untilAsserted(assertion);
    }

    private void startAndWatch() {
        source.start(told);
        eventually(() -> assertThat(told.listed()).isOne());
        eventually(() -> assertThat(List.of("services", "endpointslices", "nodes"))
                .allSatisfy(resource -> assertThat(server.openWatches(resource)).isOne()));
    }

    private List<String> problems() {
        return source.status().problems().stream().map(Problem::toString).toList();
    }

    @Test
    void start_tellsAllThenListedOnce() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        server.put(Yaml.slice("web", "10.0.0.1", "10.0.0.2"));
        server.put("{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
        server.put("{apiVersion: v1, kind: Node, metadata: {name: node-2}}");

        startAndWatch();

        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");
        assertThat(told.slices()).containsExactly("default/web-1=[10.0.0.1, 10.0.0.2]");
        eventually(() -> assertThat(Objects.requireNonNull(told.node()).name()).isEqualTo("node-1"));
        SourceStatus status = source.status();
        assertThat(status.kind()).isEqualTo("kubernetes");
        assertThat(status.description()).isEqualTo(server.url());
        assertThat(status.listed()).isTrue();
        assertThat(status.lastEvent()).isBetween(Instant.now().minusSeconds(60), Instant.now());
        assertThat(status.services()).isEqualTo(1);
        assertThat(status.endpointSlices()).isEqualTo(1);
        assertThat(status.problems()).isEmpty();
    }

    @Test
    void listed_comesAfterServicesAndSlices() {
        for (int i = 0; i < 20; i++) {
            server.put(Yaml.service("web" + i, "10.96.0." + (i + 1), 80) + "---\n" + Yaml.slice("web" + i, "10.0.0.1"));
        }

        startAndWatch();

        List<Change> beforeListed = told.changes().stream()
                .takeWhile(change -> !(change instanceof Change.Listed))
                .toList();
        assertThat(beforeListed).hasSizeGreaterThanOrEqualTo(40);
    }

    @Test
    void start_emptyCluster_isListed() {
        startAndWatch();

        assertThat(told.changes()).containsExactly(new Change.Listed(), new Change.Complete());
    }

    @Test
    void requests_selectAsKubeProxyDoes_inPages() {
        startAndWatch();

        assertThat(server.requests())
                .contains(
                        "/api/v1/services?fieldSelector=spec.clusterIP!=None"
                                + "&labelSelector=!service.kubernetes.io/service-proxy-name&limit=100",
                        "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless&limit=100",
                        "/api/v1/nodes?fieldSelector=metadata.name=node-1&limit=100")
                .anySatisfy(request -> assertThat(request)
                        .startsWith("/api/v1/services?allowWatchBookmarks=true&fieldSelector=spec.clusterIP!=None")
                        .contains("watch=true"));
    }

    @Test
    void watch_addChangeDelete() {
        startAndWatch();

        server.put(Yaml.service("web", "10.96.0.1", 80));
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:80"));
        server.put(Yaml.slice("web", "10.0.0.1"));
        eventually(() -> assertThat(told.slices()).containsExactly("default/web-1=[10.0.0.1]"));
        server.put(Yaml.service("web", "10.96.0.1", 81));
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        server.put("{apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {a: b}}}");
        eventually(() -> assertThat(told.node()).isNotNull());
        server.delete("Service", "default/web");
        server.delete("EndpointSlice", "default/web-1");
        server.delete("Node", "node-1");
        eventually(() -> assertThat(told.services()).isEmpty());
        eventually(() -> assertThat(told.slices()).isEmpty());
        eventually(() -> assertThat(told.node()).isNull());

        assertThat(source.counters().sets(Kind.SERVICE)).isEqualTo(2);
        assertThat(source.counters().deletes(Kind.SERVICE)).isEqualTo(1);
        assertThat(told.listed()).isOne();
    }

    @Test
    void watch_changeThatConcernsNoProxy_isNotTold() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        startAndWatch();

        server.put(Yaml.service("web", "10.96.0.1", 80).replace("name: web", "name: web\n  labels: {a: b}"));
        server.put(Yaml.service("last", "10.96.0.2", 80));

        eventually(() -> assertThat(told.services()).hasSize(2));
        assertThat(source.counters().sets(Kind.SERVICE)).isEqualTo(2);
    }

    @Test
    void watch_charactersBeyondAscii() {
        startAndWatch();

        for (int i = 1; i <= 5; i++) {
            server.put(Yaml.service("web", "10.96.0.1", i)
                    .replace("name: web", "name: web\n  annotations: {note: größer €uro 🦊}"));
            String expected = "default/web=10.96.0.1:" + i;
            eventually(() -> assertThat(told.services()).containsExactly(expected));
        }

        assertThat(source.counters().errors(Cause.GARBAGE)).isZero();
        assertThat(server.requests().stream().filter(request -> request.startsWith("/api/v1/services")))
                .as("one list, one watch")
                .hasSize(2);
    }

    @Test
    void watch_addingAFilteredLabel_isADelete() {
        String service = Yaml.service("web", "10.96.0.1", 80);
        String slice = Yaml.slice("web", "10.0.0.1");
        server.put(service + "---\n" + slice);
        startAndWatch();

        server.put(service.replace("name: web", "name: web\n  labels: {service.kubernetes.io/service-proxy-name: x}"));
        eventually(() -> assertThat(told.services()).isEmpty());
        server.put(slice.replace("labels:", "labels:\n    service.kubernetes.io/headless: \"\""));
        eventually(() -> assertThat(told.slices()).isEmpty());

        server.put(service + "---\n" + slice);
        eventually(() -> assertThat(told.services()).hasSize(1));
        eventually(() -> assertThat(told.slices()).hasSize(1));
    }

    @Test
    void watch_clusterIpBecomesUnserved_isADelete() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        startAndWatch();

        server.put(Yaml.service("web", "10.96.0.1", 80).replace("spec:", "spec:\n  type: ExternalName"));

        eventually(() -> assertThat(told.services()).isEmpty());
    }

    @Test
    void list_inPages() {
        IntStream.rangeClosed(1, 1234)
                .forEach(i -> server.put(Yaml.service("web-" + i, "10.96." + i / 250 + "." + (1 + i % 250), 80)));

        startAndWatch();

        assertThat(told.services()).hasSize(1234);
        assertThat(server.requests().stream().filter(request -> request.contains("continue=")))
                .hasSize(1234 / 100);
    }

    @Test
    void droppedWatch_isOpenedAgain_andMissesNothing() {
        server.put(Yaml.service("a", "10.96.0.1", 80));
        startAndWatch();

        server.answer("watch=true", 503, "");
        server.dropWatches();
        eventually(() -> assertThat(problems())
                .anySatisfy(problem -> assertThat(problem)
                        .isEqualTo("API server " + server.url()
                                + ": watch of services failed with status 503: Service Unavailable; look at the API server's log;"
                                + " retried until then")));
        server.put(Yaml.service("b", "10.96.0.2", 80));
        server.delete("Service", "default/a");
        assertThat(told.services()).containsExactly("default/a=10.96.0.1:80");
        server.answerWell();

        eventually(() -> assertThat(told.services()).containsExactly("default/b=10.96.0.2:80"));
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(source.counters().errors(Cause.HTTP_STATUS)).isPositive();
        assertThat(told.listed()).isOne();
    }

    @Test
    void historyLostWhileDisconnected_newListTellsDeletesToo() {
        server.put(Yaml.service("a", "10.96.0.1", 80));
        server.put(Yaml.service("b", "10.96.0.2", 80));
        server.put(Yaml.slice("a", "10.0.0.1"));
        startAndWatch();

        server.stop();
        server.delete("Service", "default/a");
        server.delete("EndpointSlice", "default/a-1");
        server.put(Yaml.service("b", "10.96.0.2", 81));
        server.put(Yaml.service("c", "10.96.0.3", 80));
        server.compact();
        eventually(() -> assertThat(problems()).isNotEmpty());
        assertThat(told.services()).containsExactly("default/a=10.96.0.1:80", "default/b=10.96.0.2:80");
        server.start();

        eventually(
                () -> assertThat(told.services()).containsExactly("default/b=10.96.0.2:81", "default/c=10.96.0.3:80"));
        eventually(() -> assertThat(told.slices()).isEmpty());
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(source.counters().errors(Cause.CONNECTION)).isPositive();
        assertThat(told.listed()).isOne();
    }

    @Test
    void serverDownAtStart_isWaitedFor() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        server.stop();
        source.start(told);
        eventually(() -> assertThat(problems())
                .contains("API server " + server.url() + ": list of services failed with no connection;"
                        + " check the address and that the API server runs; retried until then"));
        assertThat(source.status().listed()).isFalse();
        assertThat(source.status().lastEvent()).isNull();

        server.start();

        eventually(() -> assertThat(told.listed()).isOne());
        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");
        eventually(() -> assertThat(problems()).isEmpty());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            401 | {"kind":"Status","apiVersion":"v1","code":401,"message":"Unauthorized"} | UNAUTHORIZED | status 401: Unauthorized; check that its token or client certificate has not expired and is this cluster's
            403 | {"kind":"Status","apiVersion":"v1","code":403,"message":"services is forbidden"} | FORBIDDEN | status 403: services is forbidden; grant list and watch of services, as ClusterRole system:node-proxier does
            500 | {"kind":"Status","apiVersion":"v1","code":500,"message":"etcd is gone"} | HTTP_STATUS | status 500: etcd is gone; look at the API server's log; retried until then
            404 | nothing here | HTTP_STATUS | status 404
            200 | <html>Please log in</html> | GARBAGE | an answer that is not the Kubernetes API's
            200 | {} | GARBAGE | an answer that is not the Kubernetes API's
            200 | {"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"kind":"Service","metadata":{"na | GARBAGE | an answer that is not the Kubernetes API's
            200 | {"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"x"},"spec":{"ports":"none"}}]} | GARBAGE | an answer that is not the Kubernetes API's
            0   | | TIMEOUT | no answer in time; check the network and the API server's load; retried until then
            """)
    void badAnswer_showsAndIsRetried(int status, String body, Cause cause, String message) {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        server.answer("/services", status, body == null ? "" : body);
        source.start(told);

        eventually(() -> assertThat(problems())
                .anySatisfy(problem -> assertThat(problem)
                        .startsWith("API server " + server.url() + ": list of services failed with " + message)));
        assertThat(source.counters().errors(cause)).isPositive();
        assertThat(told.listed()).isZero();
        assertThat(told.changes()).isEmpty();

        server.answerWell();
        eventually(() -> assertThat(told.listed()).isOne());
        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");
        eventually(() -> assertThat(problems()).isEmpty());
    }

    @Test
    void nobodyAtTheClusterIp_isSaidWithTheCure() {
        Config config = config();
        server.close();
        try (Source unreached = new KubernetesSource(config, "node-1", true)) {
            unreached.start(told);
            eventually(() -> assertThat(unreached.status().problems())
                    .anySatisfy(problem -> assertThat(problem.toString())
                            .contains("list of services failed with no connection")
                            .contains("this is the cluster IP of Service kubernetes", "k8sServiceHost of the chart")));
        }
    }

    /** fabric8's own mock server, as it can speak TLS with a certificate that nobody trusts. */
    @Test
    void untrustedCertificate_isATlsProblem() {
        KubernetesMockServer stranger = new KubernetesMockServer(true);
        stranger.init();
        Config config = config();
        config.setMasterUrl(stranger.url("/"));
        try (Source distrustful = new KubernetesSource(config, "node-1")) {
            distrustful.start(told);
            eventually(() -> assertThat(distrustful.status().problems())
                    .anySatisfy(problem -> assertThat(problem.toString())
                            .contains("list of services failed with TLS failed: ")
                            .endsWith("; check the certificate authority, the clock, and that the certificate names"
                                    + " this host")));
            assertThat(distrustful.counters().errors(Cause.TLS)).isPositive();
        } finally {
            stranger.destroy();
        }
    }

    @Test
    void nodeForbidden_showsButDoesNotHoldBackListed() {
        server.answer("/nodes", 403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":403}");
        source.start(told);

        eventually(() -> assertThat(told.listed()).isOne());
        eventually(() ->
                assertThat(problems()).singleElement().asString().contains("list of nodes failed with status 403"));
    }

    @Test
    void garbageOnTheWatch_showsAndIsMendedByANewList() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        startAndWatch();

        server.sendRaw("services", "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Serv");
        eventually(() -> assertThat(source.counters().errors(Cause.GARBAGE)).isPositive());
        server.put(Yaml.service("web", "10.96.0.1", 81));

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(source.counters().deletes(Kind.SERVICE)).isZero();
    }

    @Test
    void bookmark_countsAsHeard_andGoneOnTheWatchListsAnew() {
        startAndWatch();
        Instant before = Objects.requireNonNull(source.status().lastEvent());
        server.sendRaw("services", bookmark("v1", "Service"));
        server.sendRaw("endpointslices", bookmark("discovery.k8s.io/v1", "EndpointSlice"));
        eventually(() -> assertThat(source.status().lastEvent()).isAfter(before));
        assertThat(told.changes()).containsExactly(new Change.Listed(), new Change.Complete());

        server.sendRaw("services", """
                {"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired"}}""");
        eventually(() -> assertThat(server.requests().stream()
                        .filter(request -> request.startsWith("/api/v1/services?fieldSelector")))
                .hasSize(2));
        server.put(Yaml.service("web", "10.96.0.1", 80));
        eventually(() -> assertThat(told.services()).hasSize(1));
        assertThat(problems()).isEmpty();
    }

    private static String bookmark(String apiVersion, String kind) {
        return "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"" + kind + "\",\"apiVersion\":\"" + apiVersion
                + "\",\"metadata\":{\"resourceVersion\":\"100\"}}}";
    }

    @Test
    void invalidObject_keepsWhatItLastWas_untilItIsMended() {
        server.put(Yaml.service("web", "10.96.0.1", 80) + "---\n" + Yaml.slice("web", "10.0.0.1"));
        startAndWatch();

        server.put(Yaml.service("web", "10.96.0.300", 81));
        server.put(Yaml.slice("web", "fd00::1"));
        eventually(() -> assertThat(problems())
                .containsExactly(
                        "EndpointSlice default/web-1: endpoints[0].addresses[0]: fd00::1 is an IPv6 address in a slice"
                                + " of addressType IPv4; move it to a slice of addressType IPv6",
                        "Service default/web: spec.clusterIP: \"10.96.0.300\" is no IP address; write an IPv4 address"
                                + " without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d"));
        assertThat(source.counters().errors(Cause.INVALID)).isEqualTo(2);
        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");
        assertThat(told.slices()).containsExactly("default/web-1=[10.0.0.1]");

        server.put(Yaml.service("web", "10.96.0.1", 81));
        server.delete("EndpointSlice", "default/web-1");
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        eventually(() -> assertThat(told.slices()).isEmpty());
        eventually(() -> assertThat(problems()).isEmpty());
    }

    @Test
    void invalidObjectFromTheStart_holdsBackComplete() {
        server.put(Yaml.service("a", "10.96.0.300", 80));
        server.put(Yaml.service("b", "10.96.0.2", 80));
        startAndWatch();
        assertThat(told.services()).containsExactly("default/b=10.96.0.2:80");
        assertThat(told.complete()).isZero();

        server.put(Yaml.service("a", "10.96.0.1", 80));

        eventually(() -> assertThat(told.complete()).isOne());
        assertThat(told.services()).hasSize(2);
    }

    @Test
    void unknownAnnotations_areSaid_andTheDefaultsHold() {
        server.put(Yaml.service("web", "10.96.0.1", 80)
                .replace("name: web", "name: web\n  annotations: {shunt.io/algorithm: rr}"));
        server.put(Yaml.slice("web", "10.0.0.1")
                .replace("name: web-1", "name: web-1\n  annotations: {shunt.io/weight: \"0\"}"));
        startAndWatch();

        assertThat(told.complete()).isOne();
        assertThat(told.service("default/web").algorithm()).isNull();
        assertThat(told.slice("default/web-1").endpoints().getFirst().weight()).isOne();
        assertThat(problems())
                .containsExactly(
                        "EndpointSlice default/web-1: metadata.annotations[shunt.io/weight]: \"0\" is no weight, so it is"
                                + " left out; write a whole number from 1 to 1000",
                        "Service default/web: metadata.annotations[shunt.io/algorithm]: \"rr\" is no algorithm, so it is"
                                + " left out; write random or maglev");
        assertThat(source.counters().errors(Cause.INVALID)).isEqualTo(2);

        server.put(Yaml.service("web", "10.96.0.1", 80)
                .replace("name: web", "name: web\n  annotations: {shunt.io/algorithm: maglev}"));
        server.put(Yaml.slice("web", "10.0.0.1")
                .replace("name: web-1", "name: web-1\n  annotations: {shunt.io/weight: \"5\"}"));

        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(told.service("default/web").algorithm()).isEqualTo(Algorithm.MAGLEV);
        assertThat(told.slice("default/web-1").endpoints().getFirst().weight()).isEqualTo(5);
    }

    private static String loadBalancer(String externalIps, String ranges, String ingress) {
        return Yaml.service("web", "10.96.0.1", 80)
                        .replace(
                                "spec:",
                                "spec:\n  type: LoadBalancer\n  externalIPs: " + externalIps
                                        + "\n  loadBalancerSourceRanges: " + ranges)
                + "status: {loadBalancer: {ingress: " + ingress + "}}\n";
    }

    @Test
    void unknownForwarding_isLeftOut_andTheServiceIsServedAsUsual() {
        server.put(annotated("fastest"));
        startAndWatch();

        assertThat(told.complete()).isOne();
        assertThat(told.service("default/web").forwarding()).isNull();
        assertThat(problems())
                .containsExactly("Service default/web: metadata.annotations[shunt.io/forwarding]: \"fastest\" is no way"
                        + " of forwarding, so it is left out; write snat, dsr or hybrid");
        assertThat(source.counters().errors(Cause.INVALID)).isOne();

        server.put(annotated("hybrid"));
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(told.service("default/web").forwarding()).isEqualTo(Forwarding.HYBRID);
    }

    private static String annotated(String forwarding) {
        return Yaml.service("web", "10.96.0.1", 80)
                .replace("metadata:", "metadata:\n  annotations: {shunt.io/forwarding: " + forwarding + "}");
    }

    @Test
    void oddAddress_isLeftOut_andHoldsNothingBack_untilItIsMended() {
        server.put(loadBalancer(
                "[bad, 010.0.0.1, 0.0.0.0, \" 10.0.0.2\"]",
                "[\" 198.51.100.77/024 \", 10.0.0.0/33]",
                "[{ip: 1.2.3}, {ip: 192.0.02.1}, null]"));
        startAndWatch();

        assertThat(told.complete()).isOne();
        assertThat(told.service("default/web").external())
                .isEqualTo(new Service.External(
                        List.of(Address.of("10.0.0.1")),
                        List.of(Address.of("192.0.2.1")),
                        List.of(Prefix.parse("198.51.100.0/24").orElseThrow()),
                        TrafficPolicy.CLUSTER,
                        0));
        String cure =
                "; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d";
        assertThat(problems())
                .containsExactly(
                        "Service default/web: spec.externalIPs[0]: \"bad\" is no IP address, so it is left out" + cure,
                        "Service default/web: spec.externalIPs[2]: 0.0.0.0 stands for every address, so it is left out;"
                                + " write one address",
                        "Service default/web: spec.externalIPs[3]: \" 10.0.0.2\" is no IP address, so it is left out"
                                + cure,
                        "Service default/web: spec.loadBalancerSourceRanges[1]: \"10.0.0.0/33\" is no range of"
                                + " addresses, so it is left out; write one like 10.0.0.0/8 or fd00::/8",
                        "Service default/web: status.loadBalancer.ingress[0].ip: \"1.2.3\" is no IP address, so it is"
                                + " left out" + cure,
                        "Service default/web: status.loadBalancer.ingress[2]: is empty, so it is left out; write it, or"
                                + " leave it out");
        assertThat(source.counters().errors(Cause.INVALID)).isEqualTo(6);

        server.put(loadBalancer("[010.0.0.1]", "[bad]", "[]"));
        eventually(() -> assertThat(problems())
                .containsExactly(
                        "Service default/web: spec.loadBalancerSourceRanges[0]: \"bad\" is no range of addresses,"
                                + " so it is left out; write one like 10.0.0.0/8 or fd00::/8"));
        server.delete("Service", "default/web");

        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(told.services()).isEmpty();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            [10.0.0.0/33]                  | IPV4
            [010.0.0.0]                    | IPV4
            [fd00::/129]                   | IPV6
            [fd00::/8, 10.0.0.0/x]         | IPV4 IPV6
            [fd00::/8]                     | IPV6
            [bad]                          | IPV4 IPV6
            [""]                           | IPV4 IPV6
            [10.0.0/8]                     | IPV4 IPV6
            []                             |
            """)
    void sourceRangeThatIsLeftOut_opensNoFamily(String ranges, String restricted) {
        server.put(loadBalancer("[]", ranges, "[{ip: 192.0.2.1}]"));
        startAndWatch();

        assertThat(told.service("default/web").external().restricted())
                .extracting(IpFamily::name)
                .containsExactlyInAnyOrder(restricted == null ? new String[0] : restricted.split(" "));
    }

    @Test
    void sourceRangesOfTheOtherFamilyAlone_areSaid_asTheyGuardNothing() {
        server.put(loadBalancer("[]", "[fd00::/8]", "[{ip: 192.0.2.1}]"));
        server.put(Yaml.service("other", "10.96.0.2", 80));
        startAndWatch();

        assertThat(told.complete()).isOne();
        assertThat(told.services()).hasSize(2);
        assertThat(problems())
                .containsExactly("Service default/web: spec.loadBalancerSourceRanges[0]: \"fd00::/8\" is of a family"
                        + " that the Service has no address of, so it is left out; write one of its family, without"
                        + " which everyone is let in");
        assertThat(source.counters().errors(Cause.INVALID)).isOne();

        server.put(loadBalancer("[]", "[fd00::/8, 198.51.100.77/24]", "[{ip: 192.0.2.1}]"));
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(told.service("default/web").external().sourceRanges())
                .extracting(Prefix::toString)
                .containsExactly("fd00::/8", "198.51.100.0/24");
    }

    @Test
    void close_endsTelling() {
        startAndWatch();
        int before = told.changes().size();

        source.close();
        source.close();

        eventually(() -> {
            server.put(Yaml.service("web", "10.96.0.1", 80));
            assertThat(server.openWatches("services"))
                    .as("the server notices when it writes")
                    .isZero();
        });
        assertThat(told.changes()).hasSize(before);
    }

    @Test
    void requests_areCountedByTheirResult_andTimedUnlessTheyAreWatches() {
        server.put(Yaml.service("web", "10.96.0.1", 80));
        startAndWatch();
        String host = server.url().replace("http://", "");

        RequestCounters requests = source.counters().requests();
        eventually(() -> assertThat(requests.results())
                .containsExactly(Map.entry(new RequestCounters.Result("200", "GET", host), 6L)));
        RequestCounters.Latency latency =
                Objects.requireNonNull(requests.latencies().get(new RequestCounters.Verb("GET", host)));
        assertThat(latency.counts().stream().mapToLong(count -> count).sum())
                .as("three lists, no watches")
                .isEqualTo(3);
        assertThat(latency.sumSeconds()).isBetween(1e-5, 30.0);

        server.answer("/api/v1/services", 403, "no");
        server.dropWatches();
        eventually(() -> assertThat(requests.results()).containsKey(new RequestCounters.Result("403", "GET", host)));
        server.stop();
        eventually(
                () -> assertThat(requests.results()).containsKey(new RequestCounters.Result("<error>", "GET", host)));
    }

    /** As client-go's recorder makes them; the API server reads a MicroTime with six digits only. */
    @Test
    void occurrences_becomeEvents() {
        source.report(Occurrence.started("node-1"));
        eventually(() -> assertThat(server.posted()).hasSize(1));
        JsonNode started = server.posted().getFirst();
        assertThat(server.requests()).contains("/apis/events.k8s.io/v1/namespaces/default/events");
        assertThat(started.at("/apiVersion").asString()).isEqualTo("events.k8s.io/v1");
        assertThat(started.at("/kind").asString()).isEqualTo("Event");
        assertThat(started.at("/metadata/namespace").asString()).isEqualTo("default");
        assertThat(started.at("/metadata/name").asString()).matches("node-1\\.[0-9a-f]{16}");
        assertThat(started.at("/eventTime").asString()).matches("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z");
        assertThat(started.at("/type").asString()).isEqualTo("Normal");
        assertThat(started.at("/reason").asString()).isEqualTo("Starting");
        assertThat(started.at("/action").asString()).isEqualTo("StartKubeProxy");
        assertThat(started.at("/reportingController").asString()).isEqualTo("shunt");
        assertThat(started.at("/reportingInstance").asString()).isEqualTo("shunt-node-1");
        assertThat(started.at("/regarding/kind").asString()).isEqualTo("Node");
        assertThat(started.at("/regarding/name").asString()).isEqualTo("node-1");
        assertThat(started.at("/regarding/uid").asString()).isEqualTo("node-1");
        assertThat(started.at("/regarding").has("namespace")).isFalse();

        source.report(Occurrence.healthCheckFailed(new ObjectName("shop", "web"), 32000, "node-1", "in use"));
        eventually(() -> assertThat(server.posted()).hasSize(2));
        JsonNode failed = server.posted().getLast();
        assertThat(failed.at("/metadata/namespace").asString()).isEqualTo("shop");
        assertThat(failed.at("/type").asString()).isEqualTo("Warning");
        assertThat(failed.at("/reason").asString()).isEqualTo("FailedToStartServiceHealthcheck");
        assertThat(failed.at("/note").asString())
                .isEqualTo("node node-1 failed to start healthcheck \"shop/web\" on port 32000: in use");
        assertThat(failed.at("/regarding/kind").asString()).isEqualTo("Service");
        assertThat(failed.at("/regarding/namespace").asString()).isEqualTo("shop");
        assertThat(failed.at("/regarding/uid").asString()).isEqualTo("shop/web");
    }

    @Test
    void eventsThatMayNotBeWritten_hurtNothing() {
        server.answer("/events", 403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":403}");
        startAndWatch();

        source.report(Occurrence.started("node-1"));
        source.report(Occurrence.started("node-1"));

        eventually(() -> assertThat(source.counters().requests().results()).anySatisfy((result, count) -> {
            assertThat(result.code() + " " + result.method()).isEqualTo("403 POST");
            assertThat(count).isEqualTo(2);
        }));
        assertThat(problems()).isEmpty();
        server.put(Yaml.service("web", "10.96.0.1", 80));
        eventually(() -> assertThat(told.services()).hasSize(1));
    }
}
