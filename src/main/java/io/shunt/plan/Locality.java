package io.shunt.plan;

import io.shunt.cluster.Node;
import org.jspecify.annotations.Nullable;

/**
 * Where this daemon stands.
 *
 * @param node the name of its node
 * @param zone the node's zone, "" if it has none
 */
public record Locality(String node, String zone) {
    private static final String ZONE = "topology.kubernetes.io/zone";

    /**
     * The place of the node called {@code name}.
     *
     * @param node what is known of it, null if nothing
     */
    public static Locality of(String name, @Nullable Node node) {
        return new Locality(name, node == null ? "" : node.labels().getOrDefault(ZONE, ""));
    }
}
