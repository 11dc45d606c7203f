package io.shunt.daemon;

import io.shunt.api.HealthCheckServers;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Occurrence;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.plan.NodePortAddresses;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.snapshot.HealthChecks;
import io.shunt.source.Source;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which health check node ports there are, and how many endpoints stand behind each on this node: written by the control
 * thread, read by anyone. What cannot be served is logged, left as word in the cluster and complained of, each once.
 */
final class HealthCheckNodePorts implements ControlLoop.Listener, HealthCheckServers.Failures {
    private static final Logger log = LoggerFactory.getLogger(HealthCheckNodePorts.class);

    private final String nodeName;
    private final NodePortAddresses selection;
    private final Source source;
    private final RecentErrors errors;
    private final Map<ObjectName, HealthCheckPort> ports = new ConcurrentHashMap<>();
    private final Map<ObjectName, String> failures = new ConcurrentHashMap<>();
    private volatile Set<Address> addresses = Set.of();
    private volatile Runnable changed = () -> {};

    HealthCheckNodePorts(String nodeName, NodePortAddresses selection, Source source, RecentErrors errors) {
        this.nodeName = nodeName;
        this.selection = selection;
        this.source = source;
        this.errors = errors;
    }

    /** From now on {@code changed} is called after each change, on the thread that made it. */
    void whenChanged(Runnable changed) {
        this.changed = changed;
    }

    @Override
    public void programmed(ObjectName name, @Nullable Service service, Collection<EndpointSlice> slices) {
        HealthCheckPort now = service == null || service.external().healthCheckNodePort() == 0
                ? null
                : new HealthCheckPort(
                        name.namespace(),
                        name.name(),
                        service.external().healthCheckNodePort(),
                        localEndpoints(service, slices));
        HealthCheckPort before = now == null ? ports.remove(name) : ports.put(name, now);
        if (now == null ? before != null : !now.equals(before)) {
            changed.run();
        }
    }

    @Override
    public void standsAt(Set<Address> hostAddresses, @Nullable Node node) {
        Set<Address> now = selection.listened(hostAddresses, node);
        if (!now.equals(addresses)) {
            addresses = now;
            changed.run();
        }
    }

    /** Ready endpoints of this node by address, before any fallback (kube-proxy pkg/proxy/endpointschangetracker.go). */
    private Map<IpFamily, Integer> localEndpoints(Service service, Collection<EndpointSlice> slices) {
        Map<IpFamily, Integer> counts = new EnumMap<>(IpFamily.class);
        for (Address clusterIp : service.clusterIps()) {
            IpFamily family = clusterIp.family();
            counts.put(family, (int) endpoints(slices, family)
                    .filter(endpoint -> endpoint.ready() && nodeName.equals(endpoint.nodeName()))
                    .map(EndpointSlice.Endpoint::address)
                    .distinct()
                    .count());
        }
        return counts;
    }

    private record Peer(EndpointSlice.Port port, Address address) {}

    /** Those that a port leads to; where two slices name one, the later unless it terminates (endpointslicecache.go). */
    private static Stream<EndpointSlice.Endpoint> endpoints(Collection<EndpointSlice> slices, IpFamily family) {
        Map<Peer, EndpointSlice.Endpoint> endpoints = new HashMap<>();
        for (EndpointSlice slice : slices) {
            if (slice.family() == family) {
                for (EndpointSlice.Port port : slice.ports()) {
                    slice.endpoints()
                            .forEach(endpoint -> endpoints.merge(
                                    new Peer(port, endpoint.address()),
                                    endpoint,
                                    (first, later) -> later.terminating() ? first : later));
                }
            }
        }
        return endpoints.values().stream();
    }

    HealthChecks view() {
        return new HealthChecks(List.copyOf(ports.values()), addresses);
    }

    List<String> complaints() {
        return failures.entrySet().stream()
                .map(failure -> "Service " + failure.getKey() + ": " + failure.getValue())
                .sorted()
                .toList();
    }

    @Override
    public void failed(HealthCheckPort port, String reason) {
        ObjectName name = new ObjectName(port.namespace(), port.name());
        String message = "its health check node port " + port.port() + " cannot be served: " + reason
                + "; load balancers take this node for one without its endpoints until the port is free";
        if (!message.equals(failures.put(name, message))) {
            errors.add("Service " + name, message);
            log.error("Service {}: {}", name, message);
            source.report(Occurrence.healthCheckFailed(name, port.port(), nodeName, reason));
        }
    }

    @Override
    public void healed(HealthCheckPort port) {
        failures.remove(new ObjectName(port.namespace(), port.name()));
    }
}
