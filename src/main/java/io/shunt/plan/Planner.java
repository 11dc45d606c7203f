package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** The Kubernetes rules: which addresses a Service has, and which of its endpoints stand behind them. */
public final class Planner {
    private Planner() {}

    /**
     * The virtual services of {@code service}, one for each of its ports in each of the families of its cluster IPs.
     *
     * @param slices the Service's slices of both families, in the order of their names
     * @param usual how those from elsewhere are forwarded where the Service does not say
     */
    public static List<PlannedService> plan(
            Service service, Collection<EndpointSlice> slices, Locality here, Balancing balancing, Forwarding usual) {
        Forwarding forwarding = service.forwarding() == null ? usual : service.forwarding();
        List<PlannedService> planned =
                new ArrayList<>(service.ports().size() * service.clusterIps().size());
        for (Address clusterIp : service.clusterIps()) {
            List<Prefix> ranges = sourceRanges(service, clusterIp.family());
            boolean restricted = service.external().restricted().contains(clusterIp.family())
                    && ranges.stream().noneMatch(range -> range.length() == 0);
            for (Service.Port port : service.ports()) {
                var name = new ServicePortName(service.name(), port.name(), port.protocol(), clusterIp.family());
                planned.add(new PlannedService(
                        name,
                        new VirtualService(
                                name.toString(),
                                frontends(service, clusterIp, port, restricted, forwarding.isDirect(port.protocol())),
                                backends(
                                        Candidates.of(slices, clusterIp.family(), target -> leadsTo(port, target)),
                                        here),
                                restricted ? ranges : List.of(),
                                service.affinitySeconds(),
                                balancing.tableSize(service))));
            }
        }
        return planned;
    }

    private static List<Prefix> sourceRanges(Service service, IpFamily family) {
        return service.external().sourceRanges().stream()
                .filter(range -> range.family() == family)
                .distinct()
                .toList();
    }

    /**
     * The internal policy says how far connections to the cluster IP may go; the external one says it of those that come
     * from outside by the other ways, while those from this node always have the whole cluster there (kube-proxy's
     * short-circuit, iptables/proxier.go). Source ranges guard only what the load balancer delivers to. A
     * loopback address, as tunnels of development clusters publish it, would be every pod's own: it is none of these.
     */
    private static Map<Frontend, Access> frontends(
            Service service, Address clusterIp, Service.Port port, boolean restricted, boolean direct) {
        IpFamily family = clusterIp.family();
        Service.External external = service.external();
        Reach internal = reach(service.internalPolicy());
        Reach outside = reach(external.policy());
        // With policy Local nobody is forwarded to another node.
        boolean answersStraight = direct && outside == Reach.CLUSTER;
        var fromOutside = new Access(Reach.CLUSTER, outside, false, true, answersStraight);
        var byLoadBalancer = new Access(Reach.CLUSTER, outside, restricted, true, answersStraight);
        Map<Frontend, Access> frontends = new HashMap<>();
        for (Address ip : external.loadBalancerIps()) {
            if (ip.family() == family && !ip.isLoopback()) {
                frontends.put(new Frontend(ip, port.port(), port.protocol()), byLoadBalancer);
            }
        }
        for (Address ip : external.ips()) {
            if (ip.family() == family && !ip.isLoopback()) {
                frontends.put(new Frontend(ip, port.port(), port.protocol()), fromOutside);
            }
        }
        if (port.nodePort() != 0) {
            frontends.put(Frontend.ofNode(family, port.nodePort(), port.protocol()), fromOutside);
        }
        frontends.put(
                new Frontend(clusterIp, port.port(), port.protocol()), new Access(internal, internal, false, false));
        return frontends;
    }

    private static Reach reach(TrafficPolicy policy) {
        return policy == TrafficPolicy.LOCAL ? Reach.LOCAL : Reach.CLUSTER;
    }

    private static boolean leadsTo(Service.Port port, EndpointSlice.Port target) {
        return target.name().equals(port.name()) && target.protocol() == port.protocol();
    }

    /**
     * Who takes new connections, for each reach on its own: its ready endpoints; where there is none, those that still
     * serve while they terminate (KEP-1669). Hints choose among the ready ones of the whole cluster only. Whoever serves
     * without taking new connections keeps the conversations it has; and who does not serve, but is listed, is still there.
     */
    private static List<Backend> backends(Map<Candidates.Peer, EndpointSlice.Endpoint> candidates, Locality here) {
        Collection<EndpointSlice.Endpoint> endpoints = candidates.values();
        boolean anyReady = endpoints.stream().anyMatch(EndpointSlice.Endpoint::ready);
        boolean anyLocalReady = endpoints.stream().anyMatch(each -> each.ready() && isLocal(each, here));
        Hint hint = Hint.of(endpoints, here);
        List<Backend> backends = new ArrayList<>(candidates.size());
        candidates.forEach((peer, endpoint) -> {
            boolean lastResort = endpoint.serving() && endpoint.terminating();
            boolean cluster = anyReady ? endpoint.ready() && hint.names(endpoint, here) : lastResort;
            boolean local = isLocal(endpoint, here) && (anyLocalReady ? endpoint.ready() : lastResort);
            boolean serves = cluster || local || endpoint.serving();
            backends.add(new Backend(
                    peer.address(),
                    peer.port().port(),
                    serves ? Backend.State.of(cluster, local) : Backend.State.UNREADY,
                    endpoint.weight()));
        });
        return backends;
    }

    private static boolean isLocal(EndpointSlice.Endpoint endpoint, Locality here) {
        return here.node().equals(endpoint.nodeName());
    }

    /** Which hints are followed. */
    private enum Hint {
        NODE,
        ZONE,
        NONE;

        /**
         * The first kind that every ready endpoint has, and of which at least one names this place (kube-proxy
         * topology.go). What the Service itself says of its traffic's distribution is for those who write the hints.
         */
        static Hint of(Collection<EndpointSlice.Endpoint> endpoints, Locality here) {
            List<EndpointSlice.Endpoint> ready =
                    endpoints.stream().filter(EndpointSlice.Endpoint::ready).toList();
            return Stream.of(NODE, ZONE)
                    .filter(hint ->
                            ready.stream().noneMatch(each -> hint.of(each).isEmpty()))
                    .filter(hint -> ready.stream().anyMatch(each -> hint.names(each, here)))
                    .findFirst()
                    .orElse(NONE);
        }

        private Set<String> of(EndpointSlice.Endpoint endpoint) {
            return this == NODE ? endpoint.hints().nodes() : endpoint.hints().zones();
        }

        boolean names(EndpointSlice.Endpoint endpoint, Locality here) {
            return this == NONE || of(endpoint).contains(this == NODE ? here.node() : here.zone());
        }
    }
}
