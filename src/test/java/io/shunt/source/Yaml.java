package io.shunt.source;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Manifests as text. */
public final class Yaml {
    private Yaml() {}

    /** A Service in namespace default with one TCP port, named http. */
    public static String service(String name, String clusterIp, int port) {
        return """
                apiVersion: v1
                kind: Service
                metadata:
                  name: %s
                spec:
                  clusterIP: %s
                  ports:
                  - name: http
                    port: %d
                """.formatted(name, clusterIp, port);
    }

    /** A slice {@code name-1} of the Service {@code name} in namespace default, port http 8080. */
    public static String slice(String name, String... addresses) {
        return """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata:
                  name: %s-1
                  labels:
                    kubernetes.io/service-name: %s
                addressType: IPv4
                ports:
                - name: http
                  port: 8080
                endpoints:
                %s
                """.formatted(
                        name,
                        name,
                        Arrays.stream(addresses)
                                .map(address -> "- addresses: [" + address + "]")
                                .collect(Collectors.joining("\n")));
    }
}
