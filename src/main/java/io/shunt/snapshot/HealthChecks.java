package io.shunt.snapshot;

import io.shunt.net.Address;
import java.util.List;
import java.util.Set;

/**
 * What load balancers may ask of this node.
 *
 * @param ports in no order
 * @param addresses where they may ask; the unspecified address of a family stands for all of the host's
 */
public record HealthChecks(List<HealthCheckPort> ports, Set<Address> addresses) {
    public HealthChecks {
        ports = List.copyOf(ports);
        addresses = Set.copyOf(addresses);
    }
}
