package io.shunt.source;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.LoadBalancerIngress;
import io.fabric8.kubernetes.api.model.NodeAddress;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectReference;
import io.fabric8.kubernetes.api.model.ServicePort;
import io.fabric8.kubernetes.api.model.ServiceSpec;
import io.fabric8.kubernetes.api.model.ServiceStatus;
import io.fabric8.kubernetes.api.model.SessionAffinityConfig;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointConditions;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointHints;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointPort;
import io.shunt.cluster.Algorithm;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * API objects to cluster records. An object that the API server would refuse is refused as a whole, but for those lists
 * of addresses that older API servers let anything into: of them the odd entry is left out, as with kube-proxy. So is an
 * annotation of our own that the API server knows nothing of. What
 * kube-proxy 1.36 skips is not served (pkg/proxy/util/utils.go, pkg/proxy/endpointslicecache.go). Strings that many
 * objects share are interned.
 */
final class Conversion {
    static final String SERVICE_PROXY_NAME = "service.kubernetes.io/service-proxy-name";
    static final String HEADLESS = "service.kubernetes.io/headless";
    static final String SERVICE_NAME = "kubernetes.io/service-name";

    /** How a Service's backends are chosen, and how many connections a slice's endpoints get, as against others. */
    static final String ALGORITHM = "shunt.io/algorithm";

    static final String WEIGHT = "shunt.io/weight";

    /** How those from elsewhere reach a Service's backends on other nodes. */
    static final String FORWARDING = "shunt.io/forwarding";

    private static final String TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";
    private static final Pattern WEIGHTS = Pattern.compile("[0-9]{1,4}");
    private static final String LEAVING_TAINT = "ToBeDeletedByClusterAutoscaler";
    private static final String IP_CURE =
            "write an IPv4 address without leading zeros or an IPv6 address, and IPv4 never as ::ffff:a.b.c.d";
    private static final String FAMILIES = "write IPv4 or IPv6";
    private static final int MAX_PORT = 65535;
    /** What the API server writes where nothing is said, and the most it allows (pkg/apis/core/types.go). */
    private static final int DEFAULT_AFFINITY_SECONDS = 10_800;

    private static final int MAX_AFFINITY_SECONDS = 86_400;

    private Conversion() {}

    static Converted<Service> service(io.fabric8.kubernetes.api.model.Service raw) throws InvalidObjectException {
        ObjectName name = name(raw);
        if (labels(raw).containsKey(SERVICE_PROXY_NAME)) {
            return Converted.notServed(name, "another proxy's, by its label " + SERVICE_PROXY_NAME);
        }
        ServiceSpec spec = raw.getSpec();
        if (spec == null) {
            throw new InvalidObjectException("spec", "is missing", "write the Service's spec");
        }
        if ("ExternalName".equals(spec.getType())) {
            return Converted.notServed(name, "of type ExternalName");
        }
        if ("None".equals(spec.getClusterIP())) {
            return Converted.notServed(name, "headless");
        }
        if (orEmpty(spec.getClusterIP()).isEmpty()
                && orEmpty(spec.getClusterIPs()).isEmpty()) {
            return Converted.notServed(name, "without spec.clusterIP");
        }
        List<InvalidObjectException> leftOut = new ArrayList<>();
        List<Address> clusterIps = clusterIps(spec);
        Service service = new Service(
                name,
                clusterIps,
                servicePorts(orEmpty(spec.getPorts())),
                external(spec, raw.getStatus(), families(clusterIps), leftOut),
                policy("spec.internalTrafficPolicy", spec.getInternalTrafficPolicy()),
                affinitySeconds(spec),
                algorithm(raw, leftOut),
                forwarding(raw, leftOut));
        return Converted.served(name, service, leftOut);
    }

    private static List<Address> clusterIps(ServiceSpec spec) throws InvalidObjectException {
        List<String> texts = orEmpty(spec.getClusterIPs());
        String first = orEmpty(spec.getClusterIP());
        if (texts.isEmpty()) {
            return List.of(address("spec.clusterIP", first));
        }
        if (!first.isEmpty() && !first.equals(texts.getFirst())) {
            throw new InvalidObjectException(
                    "spec.clusterIPs[0]", texts.getFirst() + " is not spec.clusterIP, " + first, "make them equal");
        }
        List<String> families = orEmpty(spec.getIpFamilies());
        List<Address> addresses = new ArrayList<>(texts.size());
        for (int i = 0; i < texts.size(); i++) {
            String field = "spec.clusterIPs[" + i + "]";
            Address address = address(field, texts.get(i));
            if (i < families.size() && !address.family().label().equals(families.get(i))) {
                throw new InvalidObjectException(
                        field,
                        address + " is not of the family that spec.ipFamilies[" + i + "] says, " + families.get(i),
                        "write an address of that family, or the address's family");
            }
            if (addresses.stream().anyMatch(other -> other.family() == address.family())) {
                throw new InvalidObjectException(
                        field, address + " is a second address of one family", "write at most one a family");
            }
            addresses.add(address);
        }
        return addresses;
    }

    private static Set<IpFamily> families(List<Address> addresses) {
        return addresses.stream().map(Address::family).collect(Collectors.toSet());
    }

    /** @param families those that the Service has addresses of */
    private static Service.External external(
            ServiceSpec spec,
            @Nullable ServiceStatus status,
            Set<IpFamily> families,
            List<InvalidObjectException> leftOut)
            throws InvalidObjectException {
        List<Address> ips = externalIps(orEmpty(spec.getExternalIPs()), leftOut);
        TrafficPolicy policy = policy("spec.externalTrafficPolicy", spec.getExternalTrafficPolicy());
        boolean loadBalanced = "LoadBalancer".equals(spec.getType());
        // A policy says nothing where there is no way in (ExternallyAccessible, pkg/api/v1/service/util.go).
        if (!loadBalanced && !"NodePort".equals(spec.getType()) && ips.isEmpty()) {
            policy = TrafficPolicy.CLUSTER;
        }
        int healthCheckNodePort = loadBalanced && policy == TrafficPolicy.LOCAL
                ? optionalPort("spec.healthCheckNodePort", spec.getHealthCheckNodePort())
                : 0;
        List<Address> loadBalancerIps = loadBalancerIps(status, leftOut);
        List<String> rangeTexts = orEmpty(spec.getLoadBalancerSourceRanges());
        return ips.isEmpty() && loadBalancerIps.isEmpty() && rangeTexts.isEmpty() && policy == TrafficPolicy.CLUSTER
                ? Service.External.NONE
                : new Service.External(
                        ips,
                        loadBalancerIps,
                        sourceRanges(rangeTexts, families, leftOut),
                        restrictedFamilies(rangeTexts),
                        policy,
                        healthCheckNodePort);
    }

    private static List<Address> externalIps(List<String> texts, List<InvalidObjectException> leftOut) {
        List<Address> addresses = new ArrayList<>(texts.size());
        for (int i = 0; i < texts.size(); i++) {
            try {
                addresses.add(sloppyAddress("spec.externalIPs[" + i + "]", orEmpty(texts.get(i))));
            } catch (InvalidObjectException e) {
                leftOut.add(e);
            }
        }
        return addresses;
    }

    /** Only what is delivered to the node with the address still on it: no host name, and no ipMode Proxy (KEP-1860). */
    private static List<Address> loadBalancerIps(@Nullable ServiceStatus status, List<InvalidObjectException> leftOut) {
        List<LoadBalancerIngress> ingress = status == null || status.getLoadBalancer() == null
                ? List.of()
                : orEmpty(status.getLoadBalancer().getIngress());
        List<Address> addresses = new ArrayList<>(ingress.size());
        for (int i = 0; i < ingress.size(); i++) {
            String field = "status.loadBalancer.ingress[" + i + "]";
            try {
                LoadBalancerIngress way = present(field, ingress.get(i));
                String mode = orEmpty(way.getIpMode());
                if (!orEmpty(way.getIp()).isEmpty() && (mode.isEmpty() || mode.equals("VIP"))) {
                    addresses.add(sloppyAddress(field + ".ip", way.getIp()));
                }
            } catch (InvalidObjectException e) {
                leftOut.add(e);
            }
        }
        return addresses;
    }

    /** One of the other family is no mistake beside one that guards the Service; kube-proxy leaves it out in silence. */
    private static List<Prefix> sourceRanges(
            List<String> texts, Set<IpFamily> families, List<InvalidObjectException> leftOut) {
        boolean guards = !Collections.disjoint(restrictedFamilies(texts), families);
        List<Prefix> ranges = new ArrayList<>(texts.size());
        for (int i = 0; i < texts.size(); i++) {
            String text = orEmpty(texts.get(i)).strip();
            Optional<Prefix> range = Prefix.parseSloppily(text);
            range.ifPresent(ranges::add);
            if (range.isPresent() && !guards) {
                leftOut.add(new InvalidObjectException(
                        "spec.loadBalancerSourceRanges[" + i + "]",
                        quoted(text) + " is of a family that the Service has no address of",
                        "write one of its family, without which everyone is let in"));
            }
            if (range.isEmpty()) {
                leftOut.add(new InvalidObjectException(
                        "spec.loadBalancerSourceRanges[" + i + "]",
                        quoted(text) + " is no range of addresses",
                        "write one like 10.0.0.0/8 or fd00::/8"));
            }
        }
        return ranges;
    }

    /** A range that cannot be read does not open what it was to restrict: if its family cannot be read either, both. */
    private static Set<IpFamily> restrictedFamilies(List<String> ranges) {
        Set<IpFamily> families = EnumSet.noneOf(IpFamily.class);
        for (String range : ranges) {
            String text = orEmpty(range).strip();
            Prefix.parseSloppily(text)
                    .map(Prefix::family)
                    .or(() -> Address.parseSloppily(text.split("/", 2)[0]).map(Address::family))
                    .ifPresentOrElse(families::add, () -> families.addAll(EnumSet.allOf(IpFamily.class)));
        }
        return families;
    }

    private static TrafficPolicy policy(String field, @Nullable String text) throws InvalidObjectException {
        return switch (orEmpty(text)) {
            case "", "Cluster" -> TrafficPolicy.CLUSTER;
            case "Local" -> TrafficPolicy.LOCAL;
            default ->
                throw new InvalidObjectException(
                        field, quoted(orEmpty(text)) + " is no traffic policy", "write Cluster or Local");
        };
    }

    private static int affinitySeconds(ServiceSpec spec) throws InvalidObjectException {
        switch (orEmpty(spec.getSessionAffinity())) {
            case "", "None" -> {
                return 0;
            }
            case "ClientIP" -> {
                SessionAffinityConfig config = spec.getSessionAffinityConfig();
                Integer seconds = config == null || config.getClientIP() == null
                        ? null
                        : config.getClientIP().getTimeoutSeconds();
                if (seconds == null) {
                    return DEFAULT_AFFINITY_SECONDS;
                }
                if (seconds < 1 || seconds > MAX_AFFINITY_SECONDS) {
                    throw new InvalidObjectException(
                            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                            seconds + " is no time a client may stay with its backend",
                            "write 1 to " + MAX_AFFINITY_SECONDS);
                }
                return seconds;
            }
            default ->
                throw new InvalidObjectException(
                        "spec.sessionAffinity",
                        quoted(orEmpty(spec.getSessionAffinity())) + " is unknown",
                        "write None or ClientIP");
        }
    }

    private static @Nullable Algorithm algorithm(HasMetadata raw, List<InvalidObjectException> leftOut) {
        return chosen(raw, ALGORITHM, Algorithm::parse, "no algorithm", Algorithm.CHOICE, leftOut);
    }

    private static @Nullable Forwarding forwarding(HasMetadata raw, List<InvalidObjectException> leftOut) {
        return chosen(raw, FORWARDING, Forwarding::parse, "no way of forwarding", Forwarding.CHOICE, leftOut);
    }

    /** What an annotation chooses; null if there is none, or one that is left out. */
    private static <T> @Nullable T chosen(
            HasMetadata raw,
            String name,
            Function<String, Optional<T>> parse,
            String isWhat,
            String choice,
            List<InvalidObjectException> leftOut) {
        String text = annotation(raw, name);
        if (text == null) {
            return null;
        }
        Optional<T> chosen = parse.apply(text);
        if (chosen.isEmpty()) {
            leftOut.add(wrongAnnotation(name, quoted(text) + " is " + isWhat, "write " + choice));
        }
        return chosen.orElse(null);
    }

    private static InvalidObjectException wrongAnnotation(String name, String message, String cure) {
        return new InvalidObjectException("metadata.annotations[" + name + "]", message, cure);
    }

    private static List<Service.Port> servicePorts(List<ServicePort> raw) throws InvalidObjectException {
        if (raw.isEmpty()) {
            throw new InvalidObjectException("spec.ports", "is empty", "write at least one port");
        }
        List<Service.Port> ports = new ArrayList<>(raw.size());
        Set<Object> seen = HashSet.newHashSet(3 * raw.size());
        for (int i = 0; i < raw.size(); i++) {
            String field = "spec.ports[" + i + "]";
            ServicePort port = present(field, raw.get(i));
            Protocol protocol = protocol(field + ".protocol", port.getProtocol());
            String name = orEmpty(port.getName()).intern();
            int number = port(field + ".port", port.getPort());
            int nodePort = optionalPort(field + ".nodePort", port.getNodePort());
            if (!seen.add(name)) {
                throw duplicateName(field, name.isEmpty() ? "a nameless port" : quoted(name));
            }
            if (!seen.add(new PortNumber(number, protocol))) {
                throw new InvalidObjectException(
                        field + ".port",
                        number + "/" + protocol + " is there already",
                        "give each port a number and protocol of its own");
            }
            if (nodePort != 0 && !seen.add(new NodePort(nodePort, protocol))) {
                throw new InvalidObjectException(
                        field + ".nodePort",
                        nodePort + "/" + protocol + " is there already",
                        "give each port a node port of its own, or leave it out");
            }
            ports.add(new Service.Port(name, protocol, number, nodePort));
        }
        return ports;
    }

    static Converted<EndpointSlice> slice(io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice raw)
            throws InvalidObjectException {
        ObjectName name = name(raw);
        Map<String, String> labels = labels(raw);
        if (labels.containsKey(HEADLESS)) {
            return Converted.notServed(name, "a headless Service's");
        }
        String service = labels.get(SERVICE_NAME);
        if (service == null || service.isEmpty()) {
            return Converted.notServed(name, "without label " + SERVICE_NAME);
        }
        IpFamily family;
        switch (orEmpty(raw.getAddressType())) {
            case "IPv4" -> family = IpFamily.IPV4;
            case "IPv6" -> family = IpFamily.IPV6;
            case "FQDN" -> {
                return Converted.notServed(name, "of addressType FQDN");
            }
            case "" -> throw new InvalidObjectException("addressType", "is missing", FAMILIES);
            default ->
                throw new InvalidObjectException("addressType", quoted(raw.getAddressType()) + " is unknown", FAMILIES);
        }
        List<InvalidObjectException> leftOut = new ArrayList<>();
        int weight = weight(raw, leftOut);
        return Converted.served(
                name,
                new EndpointSlice(
                        name,
                        new ObjectName(name.namespace(), service),
                        family,
                        slicePorts(orEmpty(raw.getPorts())),
                        endpoints(orEmpty(raw.getEndpoints()), family, weight),
                        triggered(raw)),
                leftOut);
    }

    private static int weight(HasMetadata raw, List<InvalidObjectException> leftOut) {
        String text = annotation(raw, WEIGHT);
        if (text == null) {
            return 1;
        }
        if (WEIGHTS.matcher(text).matches()) {
            int weight = Integer.parseInt(text);
            if (weight >= 1 && weight <= EndpointSlice.Endpoint.MOST_WEIGHT) {
                return weight;
            }
        }
        leftOut.add(wrongAnnotation(
                WEIGHT,
                quoted(text) + " is no weight",
                "write a whole number from 1 to " + EndpointSlice.Endpoint.MOST_WEIGHT));
        return 1;
    }

    private static List<EndpointSlice.Port> slicePorts(List<EndpointPort> raw) throws InvalidObjectException {
        List<EndpointSlice.Port> ports = new ArrayList<>(raw.size());
        Set<PortName> seen = HashSet.newHashSet(raw.size());
        for (int i = 0; i < raw.size(); i++) {
            String field = "ports[" + i + "]";
            EndpointPort port = present(field, raw.get(i));
            Protocol protocol = protocol(field + ".protocol", port.getProtocol());
            String name = orEmpty(port.getName()).intern();
            if (!seen.add(new PortName(name, protocol))) {
                throw duplicateName(
                        field, name.isEmpty() ? "a nameless " + protocol + " port" : quoted(name) + "/" + protocol);
            }
            if (port.getPort() != null && port.getPort() != 0) {
                ports.add(new EndpointSlice.Port(name, protocol, port(field + ".port", port.getPort())));
            }
        }
        return ports;
    }

    private static List<EndpointSlice.Endpoint> endpoints(
            List<io.fabric8.kubernetes.api.model.discovery.v1.Endpoint> raw, IpFamily family, int weight)
            throws InvalidObjectException {
        List<EndpointSlice.Endpoint> endpoints = new ArrayList<>(raw.size());
        for (int i = 0; i < raw.size(); i++) {
            String field = "endpoints[" + i + "]";
            var endpoint = present(field, raw.get(i));
            EndpointConditions conditions = endpoint.getConditions();
            String node = endpoint.getNodeName();
            endpoints.add(new EndpointSlice.Endpoint(
                    firstAddress(field + ".addresses", orEmpty(endpoint.getAddresses()), family),
                    conditions == null || !Boolean.FALSE.equals(conditions.getReady()),
                    conditions == null || !Boolean.FALSE.equals(conditions.getServing()),
                    conditions != null && Boolean.TRUE.equals(conditions.getTerminating()),
                    node == null ? null : node.intern(),
                    hints(endpoint.getHints()),
                    pod(endpoint.getTargetRef()),
                    weight));
        }
        return endpoints;
    }

    private static @Nullable String pod(@Nullable ObjectReference target) {
        return target != null && "Pod".equals(target.getKind()) ? target.getName() : null;
    }

    private static EndpointSlice.Hints hints(@Nullable EndpointHints raw) {
        if (raw == null) {
            return EndpointSlice.Hints.NONE;
        }
        Set<String> zones = orEmpty(raw.getForZones()).stream()
                .filter(Objects::nonNull)
                .map(zone -> orEmpty(zone.getName()).intern())
                .collect(Collectors.toSet());
        Set<String> nodes = orEmpty(raw.getForNodes()).stream()
                .filter(Objects::nonNull)
                .map(node -> orEmpty(node.getName()).intern())
                .collect(Collectors.toSet());
        return zones.isEmpty() && nodes.isEmpty() ? EndpointSlice.Hints.NONE : new EndpointSlice.Hints(zones, nodes);
    }

    /** Only the first is used, but all have to be right. */
    private static Address firstAddress(String field, List<String> texts, IpFamily family)
            throws InvalidObjectException {
        Address first = null;
        for (int i = 0; i < texts.size(); i++) {
            Address address = Address.parse(orEmpty(texts.get(i))).orElse(null);
            if (address == null || address.isUnspecified() || address.family() != family) {
                throw wrongAddress(field + "[" + i + "]", orEmpty(texts.get(i)), family);
            }
            first = first == null ? address : first;
        }
        if (first == null) {
            throw new InvalidObjectException(field, "is empty", "write the endpoint's address, or leave it out");
        }
        return first;
    }

    private static InvalidObjectException wrongAddress(String field, String text, IpFamily family)
            throws InvalidObjectException {
        Address address = address(field, text);
        return new InvalidObjectException(
                field,
                address + " is an " + address.family().label() + " address in a slice of addressType " + family.label(),
                "move it to a slice of addressType " + address.family().label());
    }

    /** When the change that a slice reports happened; kube-proxy ignores a time it cannot read, and so do we. */
    private static @Nullable Instant triggered(HasMetadata raw) {
        String time = annotation(raw, TRIGGER_TIME);
        if (time == null) {
            return null;
        }
        try {
            return OffsetDateTime.parse(time).toInstant();
        } catch (DateTimeParseException e) {
            return null;
        }
    }

    static Node node(io.fabric8.kubernetes.api.model.Node raw) throws InvalidObjectException {
        List<Address> addresses = new ArrayList<>();
        List<NodeAddress> listed =
                raw.getStatus() == null ? List.of() : orEmpty(raw.getStatus().getAddresses());
        for (String type : List.of("InternalIP", "ExternalIP")) {
            for (int i = 0; i < listed.size(); i++) {
                String field = "status.addresses[" + i + "]";
                NodeAddress address = present(field, listed.get(i));
                if (type.equals(address.getType())) {
                    addresses.add(address(field + ".address", orEmpty(address.getAddress())));
                }
            }
        }
        boolean tainted = raw.getSpec() != null
                && orEmpty(raw.getSpec().getTaints()).stream()
                        .anyMatch(taint -> taint != null && LEAVING_TAINT.equals(taint.getKey()));
        return new Node(
                metadataName(raw.getMetadata()),
                addresses,
                labels(raw),
                tainted || raw.getMetadata().getDeletionTimestamp() != null);
    }

    /** An object's name; one that names no namespace is in {@code default}, as kubectl has it. */
    static ObjectName name(HasMetadata raw) throws InvalidObjectException {
        String name = metadataName(raw.getMetadata());
        String namespace = orEmpty(raw.getMetadata().getNamespace());
        return new ObjectName(namespace.isEmpty() ? "default" : namespace.intern(), name);
    }

    private static String metadataName(@Nullable ObjectMeta metadata) throws InvalidObjectException {
        if (metadata == null || orEmpty(metadata.getName()).isEmpty()) {
            throw new InvalidObjectException("metadata.name", "is missing", "give the object a name");
        }
        return metadata.getName();
    }

    private static Map<String, String> labels(HasMetadata raw) {
        Map<String, String> labels = raw.getMetadata().getLabels();
        if (labels == null || labels.isEmpty()) {
            return Map.of();
        }
        labels.replaceAll((key, value) -> orEmpty(value));
        return labels;
    }

    private static @Nullable String annotation(HasMetadata raw, String name) {
        Map<String, String> annotations = raw.getMetadata().getAnnotations();
        return annotations == null ? null : annotations.get(name);
    }

    private static Address address(String field, String text) throws InvalidObjectException {
        return address(field, text, Address.parse(text));
    }

    private static Address sloppyAddress(String field, String text) throws InvalidObjectException {
        return address(field, text, Address.parseSloppily(text));
    }

    private static Address address(String field, String text, Optional<Address> address) throws InvalidObjectException {
        if (address.isEmpty()) {
            throw new InvalidObjectException(field, quoted(text) + " is no IP address", IP_CURE);
        }
        if (address.get().isUnspecified()) {
            throw new InvalidObjectException(field, text + " stands for every address", "write one address");
        }
        return address.get();
    }

    private static int port(String field, @Nullable Integer port) throws InvalidObjectException {
        if (port == null) {
            throw new InvalidObjectException(field, "is missing", "write a port from 1 to " + MAX_PORT);
        }
        if (port < 1 || port > MAX_PORT) {
            throw new InvalidObjectException(field, port + " is no port", "write a port from 1 to " + MAX_PORT);
        }
        return port;
    }

    /** 0 or nothing: there is none. */
    private static int optionalPort(String field, @Nullable Integer port) throws InvalidObjectException {
        return port == null || port == 0 ? 0 : port(field, port);
    }

    private static Protocol protocol(String field, @Nullable String name) throws InvalidObjectException {
        if (name == null || name.isEmpty()) {
            return Protocol.TCP;
        }
        return Protocol.ofName(name)
                .orElseThrow(() -> new InvalidObjectException(
                        field, quoted(name) + " is no protocol that a Service can have", "write TCP, UDP or SCTP"));
    }

    private static InvalidObjectException duplicateName(String field, String name) {
        return new InvalidObjectException(
                field + ".name", name + " is there already", "give each port a name of its own");
    }

    private static <T> T present(String field, @Nullable T element) throws InvalidObjectException {
        if (element == null) {
            throw new InvalidObjectException(field, "is empty", "write it, or leave it out");
        }
        return element;
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }

    private static <T> List<T> orEmpty(@Nullable List<T> list) {
        return list == null ? List.of() : list;
    }

    private static String quoted(String text) {
        return '"' + text + '"';
    }

    private record PortName(String name, Protocol protocol) {}

    private record PortNumber(int number, Protocol protocol) {}

    private record NodePort(int number, Protocol protocol) {}
}
