package io.shunt.cluster;

import io.shunt.net.Address;
import java.util.List;
import java.util.Map;

/**
 * The Node that this daemon runs on.
 *
 * @param addresses its IP addresses as its status lists them, the internal ones first
 * @param leaving whether it has a deletion timestamp or the cluster autoscaler's deletion taint, which tells load
 *     balancers to go elsewhere (KEP-3836)
 */
public record Node(String name, List<Address> addresses, Map<String, String> labels, boolean leaving) {
    public Node {
        addresses = List.copyOf(addresses);
        labels = Map.copyOf(labels);
    }
}
