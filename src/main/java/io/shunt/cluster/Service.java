package io.shunt.cluster;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.util.List;

/**
 * A Service that a proxy has to serve; those that kube-proxy skips (headless, ExternalName, another proxy's) never
 * become one.
 *
 * @param clusterIps one or two addresses, at most one a family
 * @param ports in the Service's order; (port, protocol) and (name, protocol) are unique
 */
public record Service(ObjectName name, List<Address> clusterIps, List<Port> ports) {
    public Service {
        clusterIps = List.copyOf(clusterIps);
        ports = List.copyOf(ports);
    }

    /**
     * One port of a Service. The target port is not here: endpoints say it themselves, under the same port name.
     *
     * @param name the port's name, "" if it has none
     * @param port 1 to 65535
     */
    public record Port(String name, Protocol protocol, int port) {}
}
