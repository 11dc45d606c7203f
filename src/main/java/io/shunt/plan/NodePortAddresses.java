package io.shunt.plan;

import io.shunt.cluster.Node;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Which of the host's addresses take connections to node ports ({@code --nodeport-addresses}; kube-proxy
 * util/nodeport_addresses.go, iptables/proxier.go).
 *
 * @param ranges a family of which none is here takes them on all its addresses
 * @param primary whether the node's own addresses count as ranges too
 * @param nodeIps the node's own addresses, in place of those of its families that the Node object has
 * @param localhost whether 127.0.0.1 takes them, if the ranges let it; no other loopback address ever does
 */
public record NodePortAddresses(List<Prefix> ranges, boolean primary, List<Address> nodeIps, boolean localhost) {
    private static final Address LOCALHOST = Address.of("127.0.0.1");

    public NodePortAddresses {
        ranges = List.copyOf(ranges);
        nodeIps = List.copyOf(nodeIps);
    }

    /**
     * Reads the option's words.
     *
     * @param words CIDRs, or {@code primary} alone; none stand for all addresses
     * @throws IllegalArgumentException if one is neither
     */
    public static NodePortAddresses of(List<String> words, List<Address> nodeIps, boolean localhost) {
        boolean primary = words.equals(List.of("primary"));
        List<Prefix> ranges = (primary ? List.<String>of() : words)
                .stream()
                        .map(word -> Prefix.parse(word)
                                .orElseThrow(() -> new IllegalArgumentException("no range of addresses: " + word)))
                        .toList();
        return new NodePortAddresses(ranges, primary, nodeIps, localhost);
    }

    /**
     * Whether they can be chosen: the Node's own cannot before the Node is known, and to take all meanwhile would open
     * node ports to whom they are closed.
     */
    public boolean areKnown(@Nullable Node node) {
        return !primary || node != null || !nodeIps.isEmpty();
    }

    /**
     * Those among {@code host} that take them.
     *
     * @param node null if nothing is known of it
     */
    public Set<Address> select(Collection<Address> host, @Nullable Node node) {
        Set<Address> selected = new HashSet<>();
        rangesByFamily(node).forEach((family, own) -> {
            host.stream()
                    .filter(address -> address.family() == family && !address.isLoopback())
                    .filter(address -> own.isEmpty() || own.stream().anyMatch(range -> range.contains(address)))
                    .forEach(selected::add);
            if (localhost
                    && family == IpFamily.IPV4
                    && (own.isEmpty() || own.stream().anyMatch(range -> range.contains(LOCALHOST)))) {
                selected.add(LOCALHOST);
            }
        });
        return Set.copyOf(selected);
    }

    /**
     * Where a server listens that is to be reached at them: of a family that takes them on all its addresses, at the
     * unspecified one (kube-proxy healthcheck/service_health.go).
     *
     * @param node null if nothing is known of it
     */
    public Set<Address> listened(Collection<Address> host, @Nullable Node node) {
        Set<Address> listened = new HashSet<>();
        rangesByFamily(node).forEach((family, own) -> {
            if (own.isEmpty() || own.stream().anyMatch(range -> range.length() == 0)) {
                listened.add(Address.unspecified(family));
            } else {
                host.stream()
                        .filter(address -> own.stream().anyMatch(range -> range.contains(address)))
                        .forEach(listened::add);
            }
        });
        return Set.copyOf(listened);
    }

    /** Of each family those in force; none: it takes them on all its addresses. */
    private Map<IpFamily, List<Prefix>> rangesByFamily(@Nullable Node node) {
        List<Prefix> all = Stream.concat(ranges.stream(), primaryRanges(node)).toList();
        Map<IpFamily, List<Prefix>> byFamily = new EnumMap<>(IpFamily.class);
        for (IpFamily family : IpFamily.values()) {
            byFamily.put(
                    family,
                    all.stream().filter(range -> range.family() == family).toList());
        }
        return byFamily;
    }

    private Stream<Prefix> primaryRanges(@Nullable Node node) {
        if (!primary) {
            return Stream.empty();
        }
        Stream<Address> named = node == null
                ? Stream.empty()
                : node.addresses().stream()
                        .filter(address -> nodeIps.stream().noneMatch(ip -> ip.family() == address.family()));
        List<Address> own = Stream.concat(nodeIps.stream(), named)
                .filter(address -> !address.isLoopback())
                .toList();
        // One of each family, the first (kube-proxy server.go).
        return Arrays.stream(IpFamily.values())
                .flatMap(family -> own.stream()
                        .filter(address -> address.family() == family)
                        .limit(1))
                .map(Prefix::of);
    }
}
