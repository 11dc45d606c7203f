package io.shunt.whole;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** The text of manifests in namespace `test`. */
final class Manifest {
    private Manifest() {}

    /** A Service of type ClusterIP; a port is {@code "http 80 TCP"}. */
    static String service(String name, List<String> clusterIps, String... ports) {
        return """
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: %s, namespace: test}
                spec:
                  clusterIP: "%s"
                  clusterIPs: [%s]
                  ports: [%s]
                """.formatted(name, clusterIps.getFirst(), quoted(clusterIps), ports(ports));
    }

    /** A slice of ready endpoints; a port is {@code "http 8080 TCP"}. */
    static String slice(String service, String addressType, List<String> addresses, String... ports) {
        return """
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: %s-%s, namespace: test, labels: {kubernetes.io/service-name: %s}}
                addressType: %s
                ports: [%s]
                endpoints: [%s]
                """.formatted(
                        service,
                        addressType.toLowerCase(java.util.Locale.ROOT),
                        service,
                        addressType,
                        ports(ports),
                        addresses.stream()
                                .map(address -> "{addresses: [\"" + address + "\"]}")
                                .collect(Collectors.joining(", ")));
    }

    private static String quoted(List<String> words) {
        return words.stream().map(word -> '"' + word + '"').collect(Collectors.joining(", "));
    }

    private static String ports(String... ports) {
        return Arrays.stream(ports)
                .map(port -> port.split(" "))
                .map(words -> "{name: " + words[0] + ", port: " + words[1] + ", protocol: " + words[2] + "}")
                .collect(Collectors.joining(", "));
    }
}
