package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import java.util.Collection;
import java.util.EnumMap;
import java.util.Map;

/** What a health check node port tells load balancers of this node. */
public final class LocalEndpoints {
    private LocalEndpoints() {}

    /**
     * How many addresses of ready endpoints are on the node, before any fallback, whether or not the Service has their
     * port (kube-proxy pkg/proxy/endpointschangetracker.go).
     *
     * @param slices the Service's slices of both families, in the order of their names
     * @return one entry for each family that the Service has
     */
    public static Map<IpFamily, Integer> count(Service service, Collection<EndpointSlice> slices, String node) {
        Map<IpFamily, Integer> counts = new EnumMap<>(IpFamily.class);
        for (Address clusterIp : service.clusterIps()) {
            IpFamily family = clusterIp.family();
            counts.put(family, (int) Candidates.of(slices, family, port -> true).values().stream()
                    .filter(endpoint -> endpoint.ready() && node.equals(endpoint.nodeName()))
                    .map(EndpointSlice.Endpoint::address)
                    .distinct()
                    .count());
        }
        return counts;
    }
}
