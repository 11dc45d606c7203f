package io.shunt.config;

import io.shunt.net.Prefix;
import java.util.List;

/**
 * How clients inside are told from those outside, who reach a cluster IP in the node's name.
 *
 * @param mode ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix
 * @param ranges in mode ClusterCIDR who is inside, at most one range a family; in a family without one nobody is told
 *     from anybody
 * @param device in mode BridgeInterface the bridge's name, in mode InterfaceNamePrefix the prefix; else ""
 */
public record LocalDetection(String mode, List<Prefix> ranges, String device) {
    static final String CLUSTER_CIDR = "ClusterCIDR";
    static final String BRIDGE = "BridgeInterface";
    static final String PREFIX = "InterfaceNamePrefix";

    /** What holds unless something is said: nobody is told from anybody. */
    public static final LocalDetection NONE = new LocalDetection(CLUSTER_CIDR, List.of(), "");

    public LocalDetection {
        ranges = List.copyOf(ranges);
    }

    /** Whether some are told from others. */
    public boolean isOn() {
        return !mode.equals(CLUSTER_CIDR) || !ranges.isEmpty();
    }

    /** Whether the devices to pods are the ports of {@link #device}. */
    public boolean byBridge() {
        return mode.equals(BRIDGE);
    }

    /** Whether the devices to pods are those whose names begin with {@link #device}. */
    public boolean byPrefix() {
        return mode.equals(PREFIX);
    }
}
