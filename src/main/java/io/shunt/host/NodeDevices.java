package io.shunt.host;

import io.shunt.libbpf.Rtnetlink.Link;
import io.shunt.libbpf.Rtnetlink.LinkAddress;
import io.shunt.libbpf.Rtnetlink.Route;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.net.IpFamily;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Tells by which of its devices a node meets the network, and by which its pods. Either is found by what the kernel says
 * of them, or named by the operator. A name that no device has yet is no error: the device is found when it comes.
 *
 * @param nodes the names of the first ({@code *} stands for anything, {@code ?} for one character); empty: to be found
 * @param pods the names of the second; a bridge stands for its ports; empty: to be found
 */
public record NodeDevices(List<String> nodes, List<String> pods) {
    private static final String POD = "pod:";
    private static final String NONE = "none";

    /** A pattern that is no device's name. */
    private static final String NOBODY = "";

    /** Of an interface's name, IFNAMSIZ less the 0 at its end. */
    private static final int NAME_LENGTH = 15;

    /** They have no device below them that would be heard first, and may have no address. */
    private static final Set<String> TUNNELS = Set.of(
            "vxlan",
            "geneve",
            "ipip",
            "ip6tnl",
            "sit",
            "gre",
            "gretap",
            "erspan",
            "ip6gre",
            "ip6gretap",
            "ip6erspan",
            "vti",
            "vti6",
            "xfrm",
            "wireguard");

    /** One end of a wire to a pod or to a virtual machine. */
    private static final Set<String> POD_ENDS = Set.of("veth", "tun", "macvtap", "ipvtap", "netkit");

    /** What leads out of the node if a bridge has it as a port. */
    private static final Set<String> WAYS_OUT = Set.of("", "bond", "team", "vlan");

    /** Whom one meets by a device. */
    public enum Role {
        /** The network: other nodes, and clients from elsewhere. */
        NODE,
        /** Pods of this node. */
        PODS
    }

    /**
     * A device to attach to.
     *
     * @param mtu in bytes
     * @param isEthernet whether its frames begin with an Ethernet header; bare IP packets otherwise
     */
    public record Device(int index, String name, Role role, int mtu, boolean isEthernet) {}

    /**
     * What was found.
     *
     * @param devices by index
     * @param sources the addresses that the node speaks from by a device, by its index: the device's own first global ones,
     *     and where it has none the first that any device has, loopback too, as the kernel does (inet_select_addr). Also
     *     of devices that are none to attach to: packets to pods leave by their bridge
     * @param unmatched what was named, as it was written, and is the name of no device that is up
     */
    public record Found(List<Device> devices, Map<Integer, AddressPair> sources, List<String> unmatched) {
        public Found {
            devices = List.copyOf(devices);
            sources = Map.copyOf(sources);
            unmatched = List.copyOf(unmatched);
        }
    }

    public NodeDevices {
        nodes = List.copyOf(nodes);
        pods = List.copyOf(pods);
    }

    /** All are to be found. */
    public static NodeDevices found() {
        return new NodeDevices(List.of(), List.of());
    }

    /**
     * Reads the option {@code --devices}: {@code eth0,bond*} names the devices to the network, {@code pod:veth*} those to
     * pods. Of which kind none is named, all are found. {@code none} alone: there are none.
     *
     * @throws IllegalArgumentException if a word cannot name a device
     */
    public static NodeDevices of(List<String> words) {
        if (words.equals(List.of(NONE))) {
            return new NodeDevices(List.of(NOBODY), List.of(NOBODY));
        }
        List<String> nodes = new ArrayList<>();
        List<String> pods = new ArrayList<>();
        for (String word : words) {
            boolean pod = word.startsWith(POD);
            String name = pod ? word.substring(POD.length()) : word;
            check(word, name);
            (pod ? pods : nodes).add(name);
        }
        return new NodeDevices(nodes, pods);
    }

    /** As the kernel's dev_valid_name. */
    private static void check(String word, String name) {
        String problem = null;
        if (name.isEmpty()) {
            problem = "has no name";
        } else if (name.length() > NAME_LENGTH) {
            problem = "is longer than the " + NAME_LENGTH + " characters that a device's name can have";
        } else if (name.equals(".") || name.equals("..") || name.matches(".*[/:\\s].*")) {
            problem = "cannot be the name of a device";
        } else if (name.equals("lo")) {
            problem = "is the loopback device, by which nobody comes";
        } else if (name.equals(NONE)) {
            problem = "stands for no device, and has to stand alone";
        }
        if (problem != null) {
            throw new IllegalArgumentException("--devices: \"" + word + "\" " + problem
                    + ": name devices by which the network is met, such as eth0 or bond*, or pods, such as pod:veth*");
        }
    }

    /** Whether the operator wants none. */
    public boolean areNone() {
        return nodes.contains(NOBODY);
    }

    /** With detectLocalMode BridgeInterface: pods are met by the ports of this bridge, unless some are named already. */
    public NodeDevices withPodsOfBridge(String bridge) {
        return pods.isEmpty() ? new NodeDevices(nodes, List.of(bridge)) : this;
    }

    /** With detectLocalMode InterfaceNamePrefix: by the devices so called, unless some are named already. */
    public NodeDevices withPodsOfPrefix(String prefix) {
        return withPodsOfBridge(prefix + "*");
    }

    /** Those among what the kernel has told. Whoever is to be attached to is up, and never loopback. */
    public Found among(Collection<Link> links, Collection<LinkAddress> addresses, Collection<Route> routes) {
        return new Search(links, addresses, routes).found();
    }

    /** Whether a route says anything of the devices that it leads out of; {@link #among} needs no others. */
    static boolean isTelling(Route route) {
        return route.type() == Route.UNICAST && (route.isDefault() || (route.isToHost() && !route.hasGateway()));
    }

    private static boolean isNamed(List<String> patterns, String name) {
        return patterns.stream()
                .anyMatch(pattern -> matcher(pattern).matcher(name).matches());
    }

    private static Pattern matcher(String glob) {
        StringBuilder regex = new StringBuilder();
        for (char c : glob.toCharArray()) {
            switch (c) {
                case '*' -> regex.append(".*");
                case '?' -> regex.append('.');
                default -> regex.append(Pattern.quote(String.valueOf(c)));
            }
        }
        return Pattern.compile(regex.toString());
    }

    private final class Search {
        private final Map<Integer, Link> links = new TreeMap<>();
        private final Map<Integer, List<LinkAddress>> addresses = new HashMap<>();
        /** That any device has, by the devices' indexes. */
        private final Map<IpFamily, Address> first = new EnumMap<>(IpFamily.class);

        private final Set<Integer> withDefaultRoute = new HashSet<>();
        private final Set<Integer> withHostRoute = new HashSet<>();
        private final Set<Integer> withWayOut = new HashSet<>();

        Search(Collection<Link> links, Collection<LinkAddress> addresses, Collection<Route> routes) {
            links.stream().filter(link -> link.isUp() && !link.isLoopback()).forEach(link -> {
                this.links.put(link.index(), link);
                if (WAYS_OUT.contains(link.kind())) {
                    withWayOut.add(link.master());
                }
            });
            Set<List<Object>> own = new HashSet<>();
            addresses.stream()
                    .filter(address -> address.scope() == LinkAddress.GLOBAL)
                    .forEach(address -> {
                        this.addresses
                                .computeIfAbsent(address.link(), link -> new ArrayList<>())
                                .add(address);
                        own.add(List.of(address.link(), address.address()));
                    });
            links.stream()
                    .filter(Link::isUp)
                    .sorted(Comparator.comparing(Link::index))
                    .forEach(link -> {
                        for (IpFamily family : IpFamily.values()) {
                            Address address = own(link.index(), family);
                            if (address != null) {
                                first.putIfAbsent(family, address);
                            }
                        }
                    });
            for (Route route : routes.stream().filter(NodeDevices::isTelling).toList()) {
                for (int link : route.links()) {
                    // The kernel has a host route of its own to an IPv6 address that is all of its range.
                    if (route.isDefault()) {
                        withDefaultRoute.add(link);
                    } else if (!own.contains(List.of(link, route.destination()))) {
                        withHostRoute.add(link);
                    }
                }
            }
        }

        Found found() {
            List<Device> devices = new ArrayList<>();
            Map<Integer, AddressPair> sources = new HashMap<>();
            for (Link link : links.values()) {
                Role role = role(link);
                if (role != null) {
                    devices.add(new Device(link.index(), link.name(), role, link.mtu(), link.isEthernet()));
                }
                AddressPair source = new AddressPair(source(link, IpFamily.IPV4), source(link, IpFamily.IPV6));
                if (source.v4() != null || source.v6() != null) {
                    sources.put(link.index(), source);
                }
            }
            return new Found(devices, sources, unmatched());
        }

        private List<String> unmatched() {
            return Stream.concat(
                            nodes.stream().filter(this::isNobodys),
                            pods.stream().filter(this::isNobodys).map(name -> POD + name))
                    .toList();
        }

        private boolean isNobodys(String name) {
            return !name.equals(NOBODY)
                    && links.values().stream().noneMatch(link -> isNamed(List.of(name), link.name()));
        }

        private @Nullable Role role(Link link) {
            if (isNamed(nodes, link.name())) {
                return Role.NODE;
            }
            if (pods.isEmpty() ? meetsPods(link) : isOfNamedPods(link)) {
                return Role.PODS;
            }
            return nodes.isEmpty() && meetsNetwork(link) ? Role.NODE : null;
        }

        private boolean isOfNamedPods(Link link) {
            if (isBridge(link)) {
                return false;
            }
            Link master = master(link);
            return isNamed(pods, link.name())
                    || (master != null
                            && isBridge(master)
                            && isNamed(pods, master.name())
                            && !WAYS_OUT.contains(link.kind()));
        }

        /**
         * What one pod says to another of its bridge never reaches the bridge's own device, which is the host's port of
         * it: so the ports it has to be, and then all that comes in by the bridge has been seen there.
         */
        private boolean meetsPods(Link link) {
            Link master = master(link);
            if (master != null) {
                // A tunnel that is a port leads to pods as well: those at the other end of their common wire.
                return isBridge(master)
                        && !meetsNetwork(master)
                        && (POD_ENDS.contains(link.kind()) || TUNNELS.contains(link.kind()));
            }
            if (withDefaultRoute.contains(link.index()) || !withHostRoute.contains(link.index())) {
                return false;
            }
            // A tun device with an address is a way to peers. The end of a pod's veth may have the pod's gateway's.
            return link.kind().equals("veth")
                    || (POD_ENDS.contains(link.kind()) && !addresses.containsKey(link.index()));
        }

        private boolean meetsNetwork(Link link) {
            if (withDefaultRoute.contains(link.index())) {
                return true;
            }
            // Of a bond or a team what its ports hear is heard by itself.
            if (master(link) != null) {
                return false;
            }
            if (TUNNELS.contains(link.kind())) {
                return true;
            }
            // The address of a bridge between pods is their gateway's.
            return addresses.containsKey(link.index())
                    && !meetsPods(link)
                    && (!isBridge(link) || withWayOut.contains(link.index()));
        }

        /** Whose port it is. The parts of a VRF speak for themselves. */
        private @Nullable Link master(Link link) {
            Link master = links.get(link.master());
            return master == null || master.kind().equals("vrf") ? null : master;
        }

        private @Nullable Address source(Link link, IpFamily family) {
            Address own = own(link.index(), family);
            return own == null && master(link) == null ? first.get(family) : own;
        }

        private @Nullable Address own(int link, IpFamily family) {
            return addresses.getOrDefault(link, List.of()).stream()
                    .filter(address ->
                            (address.flags() & (LinkAddress.DUPLICATE | LinkAddress.DEPRECATED | LinkAddress.TENTATIVE))
                                    == 0)
                    // The sort is stable: else it is the kernel's order.
                    .sorted(Comparator.comparing(address -> address.flags() & LinkAddress.TEMPORARY))
                    .map(address -> Address.of(address.address().getAddress()))
                    .filter(address -> address.family() == family)
                    .findFirst()
                    .orElse(null);
        }

        private static boolean isBridge(Link link) {
            return link.kind().equals("bridge");
        }
    }
}
