package io.shunt.cluster;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A piece of a Service's endpoints. All its endpoints have all its ports.
 *
 * @param service the Service it belongs to (label {@code kubernetes.io/service-name}), which may not exist
 * @param ports ports with a name and a number; those without a number are left out (kube-proxy endpointslicecache.go)
 * @param triggered when the change that this version reports happened (annotation
 *     {@code endpoints.kubernetes.io/last-change-trigger-time}), null if the slice does not say
 */
public record EndpointSlice(
        ObjectName name,
        ObjectName service,
        IpFamily family,
        List<Port> ports,
        List<Endpoint> endpoints,
        @Nullable Instant triggered) {
    public EndpointSlice {
        ports = List.copyOf(ports);
        endpoints = List.copyOf(endpoints);
    }

    /**
     * The same with those records of {@code before} that are equal to its own in their place. Most changes touch one
     * endpoint of many; the rest should not become old garbage each time.
     */
    public EndpointSlice sharing(EndpointSlice before) {
        Map<Endpoint, Endpoint> known = HashMap.newHashMap(before.endpoints.size());
        before.endpoints.forEach(endpoint -> known.put(endpoint, endpoint));
        List<Endpoint> shared = endpoints.stream()
                .map(endpoint -> known.getOrDefault(endpoint, endpoint))
                .toList();
        return new EndpointSlice(
                before.name,
                before.service.equals(service) ? before.service : service,
                family,
                before.ports.equals(ports) ? before.ports : ports,
                shared,
                triggered);
    }

    /**
     * @param name the Service port's name, "" if it has none
     * @param port 1 to 65535
     */
    public record Port(String name, Protocol protocol, int port) {}

    /**
     * One endpoint: the first of its addresses, as kube-proxy uses only that.
     *
     * @param ready whether it takes new connections; nil reads as true
     * @param serving whether it still answers, terminating or not; nil reads as true
     * @param terminating whether its pod is being deleted; nil reads as false
     * @param nodeName the node it runs on, null if the slice does not say
     * @param hints whom it should serve
     * @param pod the name of the pod that it is, in the slice's namespace, null if the slice does not say
     * @param weight how many connections it should get, as against the others, 1 to {@link #MOST_WEIGHT} (the slice's
     *     annotation {@code shunt.io/weight}). It stands here since it takes no memory here
     */
    public record Endpoint(
            Address address,
            boolean ready,
            boolean serving,
            boolean terminating,
            @Nullable String nodeName,
            Hints hints,
            @Nullable String pod,
            int weight) {
        /** The weight that counts most. */
        public static final int MOST_WEIGHT = 1000;

        /** An endpoint that may be no pod, and counts as much as any other. */
        public Endpoint(
                Address address,
                boolean ready,
                boolean serving,
                boolean terminating,
                @Nullable String nodeName,
                Hints hints) {
            this(address, ready, serving, terminating, nodeName, hints, null, 1);
        }

        /** An endpoint that should serve everyone. */
        public Endpoint(
                Address address, boolean ready, boolean serving, boolean terminating, @Nullable String nodeName) {
            this(address, ready, serving, terminating, nodeName, Hints.NONE);
        }
    }

    /**
     * Whom an endpoint should serve (KEP-2433, KEP-3015): clients in one of the zones, or on one of the nodes. Either may
     * be empty, and then says nothing.
     */
    public record Hints(Set<String> zones, Set<String> nodes) {
        /** None at all. */
        public static final Hints NONE = new Hints(Set.of(), Set.of());

        public Hints {
            zones = Set.copyOf(zones);
            nodes = Set.copyOf(nodes);
        }
    }
}
