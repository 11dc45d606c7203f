package io.shunt.snapshot;

import io.shunt.net.IpFamily;
import java.util.Map;

/**
 * A port at which load balancers ask whether this node has endpoints of a Service ({@code healthCheckNodePort}).
 *
 * @param namespace the Service's
 * @param name the Service's
 * @param port 1 to 65535
 * @param localEndpoints how many addresses of its ready endpoints are on this node, by family; a family in which the
 *     Service has no cluster IP is not here, and its clients are not answered
 */
public record HealthCheckPort(String namespace, String name, int port, Map<IpFamily, Integer> localEndpoints) {
    public HealthCheckPort {
        localEndpoints = Map.copyOf(localEndpoints);
    }
}
