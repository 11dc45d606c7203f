package io.shunt.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Services of one port and one slice each, as an API server would give them. The one in the middle is the one that is
 * measured: its only backend may be a real one. All others lead to addresses where nobody lives.
 *
 * @param services how many, at most 65,000
 * @param endpoints how many a service
 * @param real where the measured service leads to; null: where nobody lives
 */
record Cluster(int services, int endpoints, @Nullable String real) {
    static final int SERVICE_PORT = 80;
    static final int BACKEND_PORT = 8080;

    private static final int SERVICES_A_FILE = 500;
    private static final String NAMESPACE = "bench";
    private static final String CREATED = "2025-01-01T00:00:00Z";

    enum Format {
        JSON("json", JsonMapper.builder().build()),
        YAML("yaml", YAMLMapper.builder().build());

        final String suffix;
        private final ObjectMapper mapper;

        Format(String suffix, ObjectMapper mapper) {
            this.suffix = suffix;
            this.mapper = mapper;
        }

        String list(List<Map<String, Object>> items) {
            return mapper.writeValueAsString(Map.of("apiVersion", "v1", "kind", "List", "items", items));
        }
    }

    int measured() {
        return services / 2;
    }

    /** The service's cluster IP. */
    static String vip(int service) {
        return "10." + (96 + (service >> 16)) + "." + (service >> 8 & 255) + "." + (service & 255);
    }

    /** @param version an endpoint has another address in every second version */
    String endpoint(int service, int endpoint, int version) {
        if (service == measured() && real != null) {
            return real;
        }
        int number = service * endpoints + endpoint + ((version & 1) << 20);
        return "10." + (128 + (number >> 16)) + "." + (number >> 8 & 255) + "." + (number & 255);
    }

    int endpointsOf(int service) {
        return service == measured() && real != null ? 1 : endpoints;
    }

    Map<String, Object> service(int service) {
        return Map.of(
                "apiVersion",
                "v1",
                "kind",
                "Service",
                "metadata",
                Map.of(
                        "name",
                        "service-" + service,
                        "namespace",
                        NAMESPACE,
                        "uid",
                        uid(1, service),
                        "resourceVersion",
                        Integer.toString(1000 + service),
                        "creationTimestamp",
                        CREATED,
                        "labels",
                        Map.of("app", "app-" + service)),
                "spec",
                Map.of(
                        "type",
                        "ClusterIP",
                        "clusterIP",
                        vip(service),
                        "clusterIPs",
                        List.of(vip(service)),
                        "ipFamilies",
                        List.of("IPv4"),
                        "ipFamilyPolicy",
                        "SingleStack",
                        "internalTrafficPolicy",
                        "Cluster",
                        "sessionAffinity",
                        "None",
                        "selector",
                        Map.of("app", "app-" + service),
                        "ports",
                        List.of(Map.of(
                                "name", "http", "port", SERVICE_PORT, "protocol", "TCP", "targetPort", BACKEND_PORT))),
                "status",
                Map.of("loadBalancer", Map.of()));
    }

    /** @param version the first endpoint of each second version is another pod */
    Map<String, Object> slice(int service, int version) {
        return Map.of(
                "apiVersion",
                "discovery.k8s.io/v1",
                "kind",
                "EndpointSlice",
                "addressType",
                "IPv4",
                "metadata",
                Map.of(
                        "name",
                        "service-" + service + "-x7k2p",
                        "generateName",
                        "service-" + service + "-",
                        "namespace",
                        NAMESPACE,
                        "uid",
                        uid(2, service),
                        "resourceVersion",
                        Integer.toString(1_000_000 + service),
                        "creationTimestamp",
                        CREATED,
                        "labels",
                        Map.of(
                                "kubernetes.io/service-name",
                                "service-" + service,
                                "endpointslice.kubernetes.io/managed-by",
                                "endpointslice-controller.k8s.io")),
                "ports",
                List.of(Map.of("name", "http", "port", BACKEND_PORT, "protocol", "TCP")),
                "endpoints",
                IntStream.range(0, endpointsOf(service))
                        .mapToObj(i -> Map.of(
                                "addresses",
                                List.of(endpoint(service, i, i == 0 ? version : 0)),
                                "conditions",
                                Map.of("ready", true, "serving", true, "terminating", false),
                                "nodeName",
                                "node-" + i % 100,
                                "zone",
                                "zone-" + i % 3,
                                "targetRef",
                                Map.of(
                                        "kind",
                                        "Pod",
                                        "namespace",
                                        NAMESPACE,
                                        "name",
                                        "app-" + service + "-5d4f8c7b9-" + i,
                                        "uid",
                                        uid(3, service * endpoints + i))))
                        .toList());
    }

    private static String uid(int kind, int number) {
        return String.format("%08x-0000-4000-8000-%012x", kind, number);
    }

    /**
     * Writes all manifests into a directory, Lists of some hundred objects each; the measured service's slice has a file
     * of its own.
     *
     * @param slicesAFile how many slices a file of slices holds
     * @return the files of slices, without the measured service's
     */
    List<SliceFile> write(Path directory, Format format, int slicesAFile) throws IOException {
        for (int first = 0; first < services; first += SERVICES_A_FILE) {
            write(directory, "services-" + first, format, range(first, SERVICES_A_FILE), this::service);
        }
        List<SliceFile> files = new ArrayList<>();
        for (int first = 0; first < services; first += slicesAFile) {
            List<Integer> members = new ArrayList<>(range(first, slicesAFile));
            if (members.remove((Integer) measured())) {
                write(directory, "measured", format, List.of(measured()), i -> slice(i, 0));
            }
            if (!members.isEmpty()) {
                String name = "slices-" + first;
                write(directory, name, format, members, i -> slice(i, 0));
                files.add(new SliceFile(directory.resolve(name + "." + format.suffix), members));
            }
        }
        return files;
    }

    /** The services whose slices are in one file. */
    record SliceFile(Path path, List<Integer> services) {}

    private List<Integer> range(int first, int length) {
        return IntStream.range(first, Math.min(first + length, services))
                .boxed()
                .toList();
    }

    private static void write(
            Path directory, String name, Format format, List<Integer> members, IntFunction<Map<String, Object>> object)
            throws IOException {
        Files.writeString(
                directory.resolve(name + "." + format.suffix),
                format.list(members.stream().map(object::apply).toList()));
    }
}
