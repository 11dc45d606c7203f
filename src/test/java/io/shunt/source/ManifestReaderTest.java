package io.shunt.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ManifestReaderTest {
    private static final ObjectName WEB = new ObjectName("default", "web");
    private static final ObjectName WEB_1 = new ObjectName("default", "web-1");

    private static final String SERVICE_WITH_ALGORITHM = """
            apiVersion: v1
            kind: Service
            metadata:
              name: web
              annotations: {shunt.io/algorithm: %s}
            spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
            """;

    private static final String SLICE_WITH_WEIGHT = """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata:
              name: web-1
              labels: {kubernetes.io/service-name: web}
              annotations:
                shunt.io/weight: "%s"
            addressType: IPv4
            ports: [{port: 8080}]
            endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]
            """;

    @TempDir
    Path directory;

    private Manifests read(String fileName, String text) throws IOException {
        Path file = directory.resolve(fileName);
        Files.writeString(file, text);
        return new ManifestReader("node-1").read(file);
    }

    private Manifests yaml(String text) throws IOException {
        return read("web.yaml", text);
    }

    private static EndpointSlice slice(Manifests found, ObjectName name) {
        return Objects.requireNonNull(found.slices.get(name));
    }

    @Test
    void service_allFields() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web, namespace: shop, labels: {app: web}}
                spec:
                  type: LoadBalancer
                  clusterIP: 10.96.0.10
                  clusterIPs: [10.96.0.10, "fd00:96::10"]
                  ipFamilies: [IPv4, IPv6]
                  externalIPs: [203.0.113.7, "2001:db8::7"]
                  internalTrafficPolicy: Local
                  externalTrafficPolicy: Local
                  healthCheckNodePort: 32123
                  loadBalancerSourceRanges: [" 198.51.100.0/24 ", "2001:db8:1::1/48"]
                  sessionAffinity: ClientIP
                  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
                  ports:
                  - {name: http, port: 80, targetPort: web, nodePort: 30080}
                  - {name: dns, port: 53, protocol: UDP}
                  - {name: dns-tcp, port: 53, protocol: TCP}
                  - {name: sip, port: 5060, protocol: SCTP}
                status:
                  loadBalancer:
                    ingress:
                    - {ip: 192.0.2.1}
                    - {ip: 192.0.2.2, ipMode: Proxy}
                    - {ip: "2001:db8::2", ipMode: VIP, ports: [{port: 80, protocol: TCP}]}
                    - {hostname: lb.example.org}
                """);

        ObjectName name = new ObjectName("shop", "web");
        assertThat(found.problems).isEmpty();
        assertThat(found.services)
                .containsExactly(Map.entry(
                        name,
                        new Service(
                                name,
                                List.of(Address.of("10.96.0.10"), Address.of("fd00:96::10")),
                                List.of(
                                        new Service.Port("http", Protocol.TCP, 80, 30080),
                                        new Service.Port("dns", Protocol.UDP, 53),
                                        new Service.Port("dns-tcp", Protocol.TCP, 53),
                                        new Service.Port("sip", Protocol.SCTP, 5060)),
                                new Service.External(
                                        List.of(Address.of("203.0.113.7"), Address.of("2001:db8::7")),
                                        List.of(Address.of("192.0.2.1"), Address.of("2001:db8::2")),
                                        List.of(
                                                new Prefix(Address.of("198.51.100.0"), 120),
                                                new Prefix(Address.of("2001:db8:1::"), 48)),
                                        TrafficPolicy.LOCAL,
                                        32123),
                                TrafficPolicy.LOCAL,
                                60)));
    }

    @Test
    void slice_allFields() throws IOException {
        Manifests found = yaml("""
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata:
                  name: web-1
                  labels: {kubernetes.io/service-name: web}
                  annotations: {endpoints.kubernetes.io/last-change-trigger-time: "2026-01-02T03:04:05.5+01:00"}
                addressType: IPv6
                ports:
                - {name: http, port: 8080}
                - {name: any}
                - {port: 53, protocol: UDP}
                endpoints:
                - addresses: ["fd00::1", "fd00::2"]
                  nodeName: node-1
                  conditions: {ready: false, serving: true, terminating: true}
                - addresses: ["fd00::3"]
                  conditions: {ready: null}
                - addresses: ["fd00::4"]
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.slices)
                .containsExactly(Map.entry(
                        WEB_1,
                        new EndpointSlice(
                                WEB_1,
                                WEB,
                                IpFamily.IPV6,
                                List.of(
                                        new EndpointSlice.Port("http", Protocol.TCP, 8080),
                                        new EndpointSlice.Port("", Protocol.UDP, 53)),
                                List.of(
                                        new Endpoint(Address.of("fd00::1"), false, true, true, "node-1"),
                                        new Endpoint(Address.of("fd00::3"), true, true, false, null),
                                        new Endpoint(Address.of("fd00::4"), true, true, false, null)),
                                Instant.parse("2026-01-02T02:04:05.5Z"))));
    }

    @Test
    void node_onlyOurs() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Node
                metadata: {name: node-2}
                status: {addresses: [{type: InternalIP, address: nonsense}]}
                ---
                apiVersion: v1
                kind: Node
                metadata: {name: node-1, labels: {topology.kubernetes.io/zone: z1}}
                spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}
                status:
                  addresses:
                  - {type: Hostname, address: node-1}
                  - {type: InternalIP, address: 192.0.2.1}
                  - {type: ExternalIP, address: "2001:db8::1"}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.node)
                .isEqualTo(new Node(
                        "node-1",
                        List.of(Address.of("192.0.2.1"), Address.of("2001:db8::1")),
                        Map.of("topology.kubernetes.io/zone", "z1"),
                        true));
    }

    @ParameterizedTest
    @ValueSource(strings = {"list.yaml", "list.json"})
    void list_fieldsInAnyOrder(String fileName) throws IOException {
        Manifests found = read(fileName, """
                {"apiVersion": "v1", "items": [
                  {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
                   "kind": "Service", "apiVersion": "v1"},
                  {"addressType": "IPv4", "apiVersion": "discovery.k8s.io/v1",
                   "endpoints": [{"addresses": ["10.0.0.1"]}], "kind": "EndpointSlice",
                   "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
                   "ports": [{"port": 8080}]}
                 ], "kind": "List", "metadata": {"resourceVersion": ""}}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.services).containsOnlyKeys(WEB);
        assertThat(found.slices).containsOnlyKeys(WEB_1);
        assertThat(slice(found, WEB_1).endpoints()).hasSize(1);
    }

    @Test
    void typedList_itemsSayNoKind() throws IOException {
        Manifests found = read("list.json", """
                {"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": [
                  {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}},
                  {"metadata": {"name": "api"}, "spec": {"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}}]}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.services).hasSize(2);
    }

    @Test
    void documents_emptyOnesAndForeignKindsBetween() throws IOException {
        Manifests found = yaml("""
                # a comment

                ---
                ---
                apiVersion: apps/v1
                kind: Deployment
                metadata: {name: web}
                spec: {replicas: many, ports: nonsense}
                ---
                %s---
                spec: {ports: 1}
                kind: Service
                apiVersion: serving.knative.dev/v1
                ---
                %s
                """.formatted(Yaml.service("web", "10.96.0.1", 80), Yaml.slice("web", "10.0.0.1")));

        assertThat(found.problems).isEmpty();
        assertThat(found.services).containsOnlyKeys(WEB);
        assertThat(found.slices).containsOnlyKeys(WEB_1);
    }

    @Test
    void json_severalDocuments() throws IOException {
        Manifests found = read("two.json", """
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                 "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"},
                 "spec": {"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.services).hasSize(2);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            {type: ExternalName, externalName: example.org}     | of type ExternalName
            {clusterIP: None, ports: [{port: 80}]}              | headless
            {clusterIP: "", ports: [{port: 80}]}                | without spec.clusterIP
            {ports: [{port: 80}]}                               | without spec.clusterIP
            """)
    void service_whatKubeProxySkips_isNotServed(String spec, String why) throws IOException {
        Manifests found = yaml("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: " + spec + "}");

        assertThat(found.problems).isEmpty();
        assertThat(found.services).isEmpty();
        assertThat(found.notServed).containsExactly("Service default/web is " + why);
    }

    @Test
    void service_ofAnotherProxy_isNotServed() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web, labels: {service.kubernetes.io/service-proxy-name: other}}
                spec: {clusterIP: nonsense}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.notServed)
                .containsExactly("Service default/web is another proxy's, by its label"
                        + " service.kubernetes.io/service-proxy-name");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            labels: {service.kubernetes.io/headless: ""} | IPv4 | a headless Service's
            labels: {kubernetes.io/service-name: web}    | FQDN | of addressType FQDN
            labels: {app: web}                           | IPv4 | without label kubernetes.io/service-name
            """)
    void slice_whatKubeProxySkips_isNotServed(String labels, String type, String why) throws IOException {
        Manifests found = yaml("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, "
                + labels + "}, addressType: " + type + ", endpoints: [{addresses: [example.org]}]}");

        assertThat(found.problems).isEmpty();
        assertThat(found.notServed).containsExactly("EndpointSlice default/web-1 is " + why);
    }

    @Test
    void slice_withoutPortsOrEndpoints_andWithDuplicateEndpoints_isLegal() throws IOException {
        Manifests found = yaml("""
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
                addressType: IPv4
                ports:
                endpoints: null
                ---
                %s
                """.formatted(Yaml.slice("api", "10.0.0.1", "10.0.0.1")));

        assertThat(found.problems).isEmpty();
        assertThat(slice(found, WEB_1).ports()).isEmpty();
        assertThat(slice(found, WEB_1).endpoints()).isEmpty();
        assertThat(slice(found, new ObjectName("default", "api-1")).endpoints()).hasSize(2);
    }

    @Test
    void slice_withAThousandEndpoints_andServiceWithTenThousandPorts() throws IOException {
        String[] addresses = IntStream.range(0, 1000)
                .mapToObj(i -> "10.0." + i / 250 + "." + (1 + i % 250))
                .toArray(String[]::new);
        String ports = IntStream.rangeClosed(1, 10_000)
                .mapToObj(i -> "{name: p%d, port: %d}".formatted(i, i))
                .collect(Collectors.joining(", "));
        Manifests found = yaml(Yaml.slice("web", addresses) + """
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec: {clusterIP: 10.96.0.1, ports: [%s]}
                """.formatted(ports));

        assertThat(found.problems).isEmpty();
        assertThat(slice(found, WEB_1).endpoints()).hasSize(1000);
        assertThat(Objects.requireNonNull(found.services.get(WEB)).ports()).hasSize(10_000);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            clusterIP: 10.96.0.256   | spec.clusterIP: "10.96.0.256" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            clusterIP: 10.96.0.010   | spec.clusterIP: "10.96.0.010" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            clusterIP: ::ffff:1.2.3.4 | spec.clusterIP: "::ffff:1.2.3.4" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            clusterIP: 0.0.0.0       | spec.clusterIP: 0.0.0.0 stands for every address; write one address
            clusterIP: 7             | spec.clusterIP: is not text; write text
            clusterIP: [10.96.0.1]   | spec.clusterIP: is not text; write text
            """)
    void service_badClusterIp(String line, String message) throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata:
                  namespace: shop
                  name: web
                spec:
                  ports: [{port: 80}]
                  %s
                """.formatted(line));

        assertThat(found.problems).hasToString("[Service shop/web (web.yaml:8): " + message + "]");
        assertThat(found.services).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            10.96.0.1 | [10.96.0.2]            | [IPv4]       | spec.clusterIPs[0]: 10.96.0.2 is not spec.clusterIP, 10.96.0.1; make them equal
            10.96.0.1 | [10.96.0.1, 10.96.0.2] | []           | spec.clusterIPs[1]: 10.96.0.2 is a second address of one family; write at most one a family
            10.96.0.1 | [10.96.0.1]            | [IPv6]       | spec.clusterIPs[0]: 10.96.0.1 is not of the family that spec.ipFamilies[0] says, IPv6; write an address of that family, or the address's family
            10.96.0.1 | [10.96.0.1, "fd::1:x"] | [IPv4, IPv6] | spec.clusterIPs[1]: "fd::1:x" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            10.96.0.1 | {a: b}                 | []           | spec.clusterIPs: is not a list; write a list
            """)
    void service_badClusterIps(String first, String all, String families, String message) throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: %s
                  ipFamilies: %s
                  clusterIPs: %s
                  ports: [{port: 80}]
                """.formatted(first, families, all));

        assertThat(found.problems).hasToString("[Service default/web (web.yaml:7): " + message + "]");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            {port: 0}                         | .port: 0 is no port; write a port from 1 to 65535
            {port: -1}                        | .port: -1 is no port; write a port from 1 to 65535
            {port: 65536}                     | .port: 65536 is no port; write a port from 1 to 65535
            {port: 99999999999}               | .port: is not a whole number; write a whole number
            {port: "80"}                      | .port: is not a whole number; write a whole number
            {port: 80.5}                      | .port: is not a whole number; write a whole number
            {port: http}                      | .port: is not a whole number; write a whole number
            {port: }                          | .port: is missing; write a port from 1 to 65535
            {name: b}                         | .port: is missing; write a port from 1 to 65535
            {name: 80, port: 80}              | .name: is not text; write text
            {name: b, port: 80, protocol: tcp} | .protocol: "tcp" is no protocol that a Service can have; write TCP, UDP or SCTP
            {name: a, port: 81}               | .name: "a" is there already; give each port a name of its own
            {name: a, port: 81, protocol: UDP} | .name: "a" is there already; give each port a name of its own
            {name: b, port: 81, nodePort: 30443} | .nodePort: 30443/TCP is there already; give each port a node port of its own, or leave it out
            {name: b, port: 81, nodePort: -1} | .nodePort: -1 is no port; write a port from 1 to 65535
            {name: b, port: 443}              | .port: 443/TCP is there already; give each port a number and protocol of its own
            80                                | : is not an object; write an object
            null                              | : is empty; write it, or leave it out
            """)
    void service_badPort(String port, String message) throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: 10.96.0.1
                  ports:
                  - {name: a, port: 443, nodePort: 30443}
                  - %s
                """.formatted(port));

        assertThat(found.problems).hasToString("[Service default/web (web.yaml:8): spec.ports[1]" + message + "]");
    }

    @Test
    void service_twoNamelessPorts() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: 10.96.0.1
                  ports: [{port: 53}, {port: 53, protocol: UDP}]
                """);

        assertThat(found.problems)
                .hasToString("[Service default/web (web.yaml:6): spec.ports[1].name: a nameless port is there already;"
                        + " give each port a name of its own]");
    }

    @Test
    void service_oneNodePortForTwoProtocols_isLegal() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: 10.96.0.1
                  ports:
                  - {name: dns-tcp, port: 53, nodePort: 30053}
                  - {name: dns, port: 53, nodePort: 30053, protocol: UDP}
                """);

        assertThat(found.problems).isEmpty();
        assertThat(found.services).hasSize(1);
    }

    @Test
    void service_oddAddress_isAProblemOfTheFile() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: 10.96.0.1
                  ports: [{port: 80}]
                  externalIPs:
                  - 010.0.0.1
                  - 10.0.0.300
                """);

        assertThat(found.problems)
                .hasToString("[Service default/web (web.yaml:9): spec.externalIPs[1]: \"10.0.0.300\" is no IP address;"
                        + " write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as"
                        + " ::ffff:a.b.c.d]");
    }

    @ParameterizedTest
    @CsvSource({"random,RANDOM", "maglev,MAGLEV"})
    void service_algorithm(String text, Algorithm algorithm) throws IOException {
        Manifests found = yaml(SERVICE_WITH_ALGORITHM.formatted(text));

        assertThat(found.problems).isEmpty();
        assertThat(found.services.values()).extracting(Service::algorithm).containsExactly(algorithm);
    }

    @ParameterizedTest
    @ValueSource(strings = {"roundrobin", "Maglev", "\"\"", "\" random\""})
    void service_unknownAlgorithm_isAProblemOfTheFile_andNotFollowed(String text) throws IOException {
        Manifests found = yaml(SERVICE_WITH_ALGORITHM.formatted(text));

        assertThat(found.problems)
                .hasToString("[Service default/web (web.yaml:5): metadata.annotations[shunt.io/algorithm]: \""
                        + text.replace("\"", "") + "\" is no algorithm; write random or maglev]");
        assertThat(found.services.values()).extracting(Service::algorithm).containsOnlyNulls();
    }

    @ParameterizedTest
    @CsvSource({"1,1", "20,20", "1000,1000", "0007,7"})
    void slice_weight_isItsEndpoints(String text, int weight) throws IOException {
        Manifests found = yaml(SLICE_WITH_WEIGHT.formatted(text));

        assertThat(found.problems).isEmpty();
        assertThat(found.slices.values())
                .flatExtracting(EndpointSlice::endpoints)
                .extracting(EndpointSlice.Endpoint::weight)
                .containsExactly(weight, weight);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "1001", "-1", "1.5", "99999999999", "heavy", "", "+2", " 2"})
    void slice_wrongWeight_isAProblemOfTheFile_andCountsAsOne(String text) throws IOException {
        Manifests found = yaml(SLICE_WITH_WEIGHT.formatted(text));

        assertThat(found.problems)
                .hasToString("[EndpointSlice default/web-1 (web.yaml:7): metadata.annotations[shunt.io/weight]: \""
                        + text + "\" is no weight; write a whole number from 1 to 1000]");
        assertThat(found.slices.values())
                .flatExtracting(EndpointSlice::endpoints)
                .extracting(EndpointSlice.Endpoint::weight)
                .containsExactly(1, 1);
    }

    @Test
    void service_unknownForwarding_isAProblemOfTheFile() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata:
                  name: web
                  annotations:
                    shunt.io/forwarding: fast
                spec:
                  clusterIP: 10.96.0.1
                  ports: [{port: 80}]
                """);

        assertThat(found.problems)
                .hasToString(
                        "[Service default/web (web.yaml:6): metadata.annotations[shunt.io/forwarding]: \"fast\" is no"
                                + " way of forwarding; write snat, dsr or hybrid]");
    }

    @Test
    void service_withoutPorts_orSpec_orName() throws IOException {
        Manifests found = yaml("""
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec:
                  clusterIP: 10.96.0.1
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: api}
                ---
                apiVersion: v1
                kind: Service
                metadata: {namespace: shop}
                spec: {clusterIP: 10.96.0.1}
                """);

        assertThat(found.problems.stream().map(Problem::toString))
                .containsExactly(
                        "Service default/web (web.yaml:4): spec.ports: is empty; write at least one port",
                        "Service default/api (web.yaml:7): spec: is missing; write the Service's spec",
                        "Service without a name (web.yaml:13): metadata.name: is missing; give the object a name");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            [10.0.0.300]           | [0]: "10.0.0.300" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            ["fd00::1"]            | [0]: fd00::1 is an IPv6 address in a slice of addressType IPv4; move it to a slice of addressType IPv6
            [10.0.0.1, "fd00::1"]  | [1]: fd00::1 is an IPv6 address in a slice of addressType IPv4; move it to a slice of addressType IPv6
            [0.0.0.0]              | [0]: 0.0.0.0 stands for every address; write one address
            [null]                 | [0]: "" is no IP address; write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d
            []                     | : is empty; write the endpoint's address, or leave it out
            10.0.0.1               | : is not a list; write a list
            """)
    void slice_badAddresses(String addresses, String message) throws IOException {
        Manifests found = yaml("""
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
                addressType: IPv4
                endpoints:
                - addresses: [10.0.0.1]
                - nodeName: node-1
                  addresses: %s
                """.formatted(addresses));

        assertThat(found.problems)
                .hasToString("[EndpointSlice default/web-1 (web.yaml:8): endpoints[1].addresses" + message + "]");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            addressType: ipv4                             | addressType: "ipv4" is unknown; write IPv4 or IPv6
            addressType:                                  | addressType: is missing; write IPv4 or IPv6
            addressType: [IPv4]                           | addressType: is not text; write text
            ports: [{port: 70000}]                        | ports[0].port: 70000 is no port; write a port from 1 to 65535
            ports: [{port: 1, protocol: HTTP}]            | ports[0].protocol: "HTTP" is no protocol that a Service can have; write TCP, UDP or SCTP
            ports: [{port: 1}, {port: 2}]                 | ports[1].name: a nameless TCP port is there already; give each port a name of its own
            endpoints: [{conditions: {ready: maybe}}]     | endpoints[0].conditions.ready: is not true or false; write true or false
            """)
    void slice_badField(String line, String message) throws IOException {
        String type = line.startsWith("addressType") ? "" : "addressType: IPv4";
        Manifests found = yaml("""
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
                %s
                %s
                """.formatted(type, line));

        assertThat(found.problems).hasToString("[EndpointSlice default/web-1 (web.yaml:5): " + message + "]");
    }

    @Test
    void problemInAListInTheSecondDocument_namesItsLine() throws IOException {
        Manifests found = yaml("""
                %s---
                apiVersion: v1
                kind: List
                items:
                - %s
                - apiVersion: v1
                  kind: Service
                  metadata: {name: bad}
                  spec:
                    clusterIP: 10.96.0.2
                    ports:
                    - port: 80
                    - name: x
                      port: 0
                """.formatted(
                        Yaml.service("web", "10.96.0.1", 80),
                        Yaml.service("api", "10.96.0.3", 80).strip().replace("\n", "\n  ")));

        assertThat(found.problems)
                .hasToString("[Service default/bad (web.yaml:31): spec.ports[1].port: 0 is no port;"
                        + " write a port from 1 to 65535]");
        assertThat(found.services).hasSize(2);
    }

    @Test
    void wrongTypeInAJsonListWithItsKindLast_namesObjectLineAndField() throws IOException {
        Manifests found = read("list.json", """
                {"apiVersion": "v1",
                 "items": [
                  {"addressType": "IPv4",
                   "apiVersion": "discovery.k8s.io/v1",
                   "endpoints": [
                     {"addresses": "10.0.0.1"}
                   ],
                   "kind": "EndpointSlice",
                   "metadata": {"name": "web-1"}}
                 ], "kind": "List"}
                """);

        assertThat(found.problems)
                .hasToString("[EndpointSlice default/web-1 (list.json:6): endpoints[0].addresses:"
                        + " is not a list; write a list]");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            a: [1, 2          | web.yaml:2 | is no YAML: expected ',' or ']', but got <stream end>
            a: b: c           | web.yaml:1 | is no YAML: mapping values are not allowed here
            a: 'b             | web.yaml:2 | is no YAML: found unexpected end of stream
            {a: 1, a: 2}      | web.yaml:1 | cannot be parsed: Duplicate Object property "a"
            {a: &x 1, b: *x}  | web.yaml:1 | is no YAML: aliases are not supported; write out what *x stands for
            """)
    void yaml_syntax(String text, String where, String message) throws IOException {
        Manifests found = yaml(text + "\n");

        assertThat(found.problems).hasToString("[web.yaml (" + where + "): " + message + "; correct it]");
        assertThat(found.problems.getFirst().cause()).isEqualTo(Problem.Cause.SYNTAX);
    }

    @Test
    void json_truncated() throws IOException {
        Manifests found = read("web.json", """
                {"apiVersion": "v1", "kind": "Service",
                 "metadata": {"name": "web"},
                 "spec": {"clusterIP": "10.96.0.1", "ports": [{"po""");

        assertThat(found.problems).hasSize(1);
        assertThat(found.problems.getFirst().toString())
                .startsWith("web.json (web.json:3): cannot be parsed: Unexpected end-of-input");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            apiVersi               | web.yaml (web.yaml:1): is no manifest; write objects with apiVersion, kind and metadata
            [a, b]                 | web.yaml (web.yaml:1): is no manifest; write objects with apiVersion, kind and metadata
            apiVersion: v1         | web.yaml (web.yaml:1): kind: is missing; write objects with apiVersion, kind and metadata
            kind: Service          | web.yaml (web.yaml:1): apiVersion: is missing; write objects with apiVersion, kind and metadata
            # nothing              | web.yaml (web.yaml): says nothing, as a file does that is still being written; remove the file if its objects shall go
            {apiVersion: v1, kind: List, items: [x]} | web.yaml (web.yaml:1): items[0]: is no manifest; write objects with apiVersion, kind and metadata
            """)
    void noManifest(String text, String message) throws IOException {
        assertThat(yaml(text).problems).hasToString("[" + message + "]");
    }

    @Test
    void emptyFile_isNotAFileYet() throws IOException {
        assertThat(read("web.json", "").problems).hasSize(1);
        assertThat(yaml("").problems).hasSize(1);
    }

    @Test
    void notUtf8() throws IOException {
        Path file = directory.resolve("web.yaml");
        Files.write(file, "name: gr\u00fcn".getBytes(StandardCharsets.ISO_8859_1));

        assertThat(new ManifestReader("node-1").read(file).problems)
                .hasToString("[web.yaml (web.yaml): is not UTF-8 text; save it as UTF-8]");
    }

    @Test
    void sameObjectTwiceInOneFile() throws IOException {
        Manifests found = yaml(Yaml.service("web", "10.96.0.1", 80) + "---\n" + Yaml.service("web", "10.96.0.2", 80));

        assertThat(found.problems)
                .hasToString("[Service default/web (web.yaml:14): metadata.name: is in this file twice; remove one]");
    }

    @Test
    void aThousandProblems_areNotAllListed() throws IOException {
        String bad = IntStream.range(0, 1000)
                .mapToObj(i -> Yaml.service("web-" + i, "nonsense", 80))
                .collect(Collectors.joining("---\n"));

        assertThat(yaml(bad).problems).hasSize(20);
    }

    @Test
    void missingFile() {
        assertThatThrownBy(() -> new ManifestReader("node-1").read(directory.resolve("gone.yaml")))
                .isInstanceOf(NoSuchFileException.class);
    }
}
