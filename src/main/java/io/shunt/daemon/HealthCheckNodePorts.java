package io.shunt.daemon;

import io.shunt.api.HealthCheckServers;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Occurrence;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import io.shunt.plan.LocalEndpoints;
import io.shunt.plan.NodePortAddresses;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.snapshot.HealthChecks;
import io.shunt.source.Source;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
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
                        LocalEndpoints.count(service, slices, nodeName));
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
