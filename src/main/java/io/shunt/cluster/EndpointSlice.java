package io.shunt.cluster;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import java.time.Instant;
import java.util.List;
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
     */
    public record Endpoint(
            Address address,
            boolean ready,
            boolean serving,
            boolean terminating,
            @Nullable String nodeName) {}
}
