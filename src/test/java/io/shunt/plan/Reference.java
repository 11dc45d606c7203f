package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What kube-proxy 1.36 makes of a Service, slowly and to the letter, for each address of it: written from its rules
 * (endpointslicecache.go, topology.go, serviceport.go, iptables/proxier.go), not from the planner.
 */
public final class Reference {
    private final Service service;
    private final List<EndpointSlice> slices;
    private final String nodeName;
    private final String zone;

    /** @param slices the Service's, in the order of their names */
    public Reference(Service service, List<EndpointSlice> slices, Locality here) {
        this.service = service;
        this.slices = slices;
        nodeName = here.node();
        zone = here.zone();
    }

    /**
     * What one address of the Service leads to.
     *
     * @param inside {@code address port} of the endpoints for connections from this node
     * @param outside the same for those from elsewhere
     * @param conversations those that keep the conversations they have: all that serve, and all that take new ones
     * @param listed those that keep their TCP connections: all that any slice still names
     * @param allowed the source ranges it is guarded by; empty: open
     * @param fromFar whether it is there for those outside the cluster
     */
    public record Way(
            Set<String> inside,
            Set<String> outside,
            Set<String> conversations,
            Set<String> listed,
            Set<String> allowed,
            boolean fromFar,
            int affinity) {}

    /** By {@code address port protocol}; the address is {@code node IPv4} or {@code node IPv6} for node ports. */
    public Map<String, Way> ways() {
        Map<String, Way> ways = new TreeMap<>();
        for (IpFamily family : IpFamily.values()) {
            for (Address clusterIp : service.clusterIps()) {
                if (clusterIp.family() == family) {
                    service.ports().forEach(port -> ways(ways, family, clusterIp, port));
                }
            }
        }
        return ways;
    }

    private void ways(Map<String, Way> ways, IpFamily family, Address clusterIp, Service.Port port) {
        Map<String, Endpoint> endpoints = endpoints(family, port.name(), port.protocol());
        Set<String> cluster = clusterEndpoints(endpoints);
        Set<String> local = localEndpoints(endpoints);
        Set<String> conversations = new TreeSet<>(cluster);
        conversations.addAll(local);
        for (Map.Entry<String, Endpoint> each : endpoints.entrySet()) {
            if (each.getValue().serving()) {
                conversations.add(each.getKey());
            }
        }
        Set<String> listed = new TreeSet<>(endpoints.keySet());
        Set<String> external = service.external().policy() == TrafficPolicy.LOCAL ? local : cluster;
        Set<String> internal = service.internalPolicy() == TrafficPolicy.LOCAL ? local : cluster;
        int seconds = service.affinitySeconds();

        Set<String> allowed = new TreeSet<>();
        for (Prefix range : service.external().sourceRanges()) {
            if (range.family() == family) {
                allowed.add(range.toString());
            }
        }
        if (allowed.contains("0.0.0.0/0") || allowed.contains("::/0")) {
            allowed.clear();
        } else if (allowed.isEmpty() && service.external().restricted().contains(family)) {
            allowed.add("nobody");
        }
        String portAndProtocol = " " + port.port() + " " + port.protocol();
        for (Address ip : service.external().loadBalancerIps()) {
            if (ip.family() == family && !ip.isLoopback()) {
                ways.put(
                        ip + portAndProtocol,
                        new Way(cluster, external, conversations, listed, allowed, true, seconds));
            }
        }
        for (Address ip : service.external().ips()) {
            if (ip.family() == family) {
                ways.put(
                        ip + portAndProtocol,
                        new Way(cluster, external, conversations, listed, Set.of(), true, seconds));
            }
        }
        if (port.nodePort() != 0) {
            ways.put(
                    "node " + family.label() + " " + port.nodePort() + " " + port.protocol(),
                    new Way(cluster, external, conversations, listed, Set.of(), true, seconds));
        }
        ways.put(
                clusterIp + portAndProtocol,
                new Way(internal, internal, conversations, listed, Set.of(), false, seconds));
    }

    /** How many addresses of ready endpoints are on this node, at any port of the slices (endpointschangetracker.go). */
    public Map<IpFamily, Integer> localReady() {
        Map<IpFamily, Integer> counts = new TreeMap<>();
        for (Address clusterIp : service.clusterIps()) {
            Set<Address> addresses = new HashSet<>();
            for (EndpointSlice slice : slices) {
                for (EndpointSlice.Port port : slice.ports()) {
                    for (Endpoint endpoint : endpoints(clusterIp.family(), port.name(), port.protocol())
                            .values()) {
                        if (endpoint.ready() && nodeName.equals(endpoint.nodeName())) {
                            addresses.add(endpoint.address());
                        }
                    }
                }
            }
            counts.put(clusterIp.family(), addresses.size());
        }
        return counts;
    }

    private Map<String, Endpoint> endpoints(IpFamily family, String portName, Protocol protocol) {
        Map<String, Endpoint> byAddressAndPort = new HashMap<>();
        for (EndpointSlice slice : slices) {
            if (slice.family() != family) {
                continue;
            }
            for (EndpointSlice.Port port : slice.ports()) {
                if (!port.name().equals(portName) || port.protocol() != protocol) {
                    continue;
                }
                for (Endpoint endpoint : slice.endpoints()) {
                    String key = endpoint.address() + " " + port.port();
                    if (!byAddressAndPort.containsKey(key) || !endpoint.terminating()) {
                        byAddressAndPort.put(key, endpoint);
                    }
                }
            }
        }
        return byAddressAndPort;
    }

    private Set<String> clusterEndpoints(Map<String, Endpoint> endpoints) {
        Set<String> ready = new TreeSet<>();
        Set<String> hintedToNode = new HashSet<>();
        Set<String> hintedToZone = new HashSet<>();
        boolean allHaveNodeHints = true;
        boolean allHaveZoneHints = true;
        for (Map.Entry<String, Endpoint> each : endpoints.entrySet()) {
            Endpoint endpoint = each.getValue();
            if (!endpoint.ready()) {
                continue;
            }
            ready.add(each.getKey());
            if (endpoint.hints().nodes().isEmpty()) {
                allHaveNodeHints = false;
            } else if (endpoint.hints().nodes().contains(nodeName)) {
                hintedToNode.add(each.getKey());
            }
            if (endpoint.hints().zones().isEmpty()) {
                allHaveZoneHints = false;
            } else if (!zone.isEmpty() && endpoint.hints().zones().contains(zone)) {
                hintedToZone.add(each.getKey());
            }
        }
        if (ready.isEmpty()) {
            return servingAndTerminating(endpoints, false);
        }
        if (allHaveNodeHints && !hintedToNode.isEmpty()) {
            return new TreeSet<>(hintedToNode);
        }
        if (allHaveZoneHints && !hintedToZone.isEmpty()) {
            return new TreeSet<>(hintedToZone);
        }
        return ready;
    }

    private Set<String> localEndpoints(Map<String, Endpoint> endpoints) {
        Set<String> ready = new TreeSet<>();
        for (Map.Entry<String, Endpoint> each : endpoints.entrySet()) {
            if (each.getValue().ready() && isLocal(each.getValue())) {
                ready.add(each.getKey());
            }
        }
        return ready.isEmpty() ? servingAndTerminating(endpoints, true) : ready;
    }

    private Set<String> servingAndTerminating(Map<String, Endpoint> endpoints, boolean onlyLocal) {
        Set<String> found = new TreeSet<>();
        for (Map.Entry<String, Endpoint> each : endpoints.entrySet()) {
            Endpoint endpoint = each.getValue();
            if (endpoint.serving() && endpoint.terminating() && (!onlyLocal || isLocal(endpoint))) {
                found.add(each.getKey());
            }
        }
        return found;
    }

    private boolean isLocal(Endpoint endpoint) {
        return nodeName.equals(endpoint.nodeName());
    }
}
