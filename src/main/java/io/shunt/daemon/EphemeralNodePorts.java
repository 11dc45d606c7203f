package io.shunt.daemon;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.host.EphemeralPorts;
import io.shunt.net.Address;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Warns once of a node port that the kernel may give to a client: a server on this node that answers it by UDP would
 * reach the Service instead. Passes on what it hears.
 */
final class EphemeralNodePorts implements ControlLoop.Listener {
    private static final Logger log = LoggerFactory.getLogger(EphemeralNodePorts.class);

    private final Supplier<EphemeralPorts> ephemeral;
    private final ControlLoop.Listener next;
    /** Those that have been looked at. */
    private final Set<Integer> seen = new HashSet<>();

    private boolean warned;

    EphemeralNodePorts(Supplier<EphemeralPorts> ephemeral, ControlLoop.Listener next) {
        this.ephemeral = ephemeral;
        this.next = next;
    }

    @Override
    public void programmed(ObjectName name, @Nullable Service service, Collection<EndpointSlice> slices) {
        if (service != null && !warned) {
            service.ports().stream()
                    .map(Service.Port::nodePort)
                    .filter(port -> port != 0 && seen.add(port))
                    .filter(port -> ephemeral.get().contain(port))
                    .findFirst()
                    .ifPresent(port -> warn(name, port));
        }
        next.programmed(name, service, slices);
    }

    private void warn(ObjectName name, int port) {
        warned = true;
        seen.clear();
        log.warn(
                "Service {}: the kernel may give its node port {} to a client, whose replies from this node's UDP servers"
                        + " the Service would get then: add the cluster's node ports to those reserved, as by sysctl -w"
                        + " net.ipv4.ip_local_reserved_ports=30000-32767; `shunt status` counts all such ports",
                name,
                port);
    }

    @Override
    public void standsAt(Set<Address> hostAddresses, @Nullable Node node) {
        next.standsAt(hostAddresses, node);
    }
}
