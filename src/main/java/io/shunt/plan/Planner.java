package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The Kubernetes rules: which addresses a Service has, and which of its endpoints stand behind them. */
public final class Planner {
    private Planner() {}

    /**
     * The virtual services of {@code service}, one for each of its ports in each of its families.
     *
     * @param slices the Service's slices of both families; where two of them name the same address and port, the later
     *     one wins unless it is terminating (kube-proxy endpointslicecache.go)
     */
    public static List<PlannedService> plan(Service service, Collection<EndpointSlice> slices) {
        List<PlannedService> planned =
                new ArrayList<>(service.ports().size() * service.clusterIps().size());
        for (Address clusterIp : service.clusterIps()) {
            for (Service.Port port : service.ports()) {
                planned.add(plan(service, clusterIp, port, slices));
            }
        }
        return planned;
    }

    private static PlannedService plan(
            Service service, Address clusterIp, Service.Port port, Collection<EndpointSlice> slices) {
        var name = new ServicePortName(service.name(), port.name(), port.protocol(), clusterIp.family());
        var frontend = new Frontend(clusterIp, port.port(), port.protocol());
        List<Backend> backends = usable(candidates(port, clusterIp.family(), slices));
        return new PlannedService(name, new VirtualService(name.toString(), List.of(frontend), backends));
    }

    private record Peer(Address address, int port) {}

    private static Map<Peer, EndpointSlice.Endpoint> candidates(
            Service.Port port, IpFamily family, Collection<EndpointSlice> slices) {
        Map<Peer, EndpointSlice.Endpoint> candidates = new LinkedHashMap<>();
        for (EndpointSlice slice : slices) {
            if (slice.family() != family) {
                continue;
            }
            for (EndpointSlice.Port target : slice.ports()) {
                if (!target.name().equals(port.name()) || target.protocol() != port.protocol()) {
                    continue;
                }
                for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
                    candidates.merge(
                            new Peer(endpoint.address(), target.port()),
                            endpoint,
                            (first, later) -> later.terminating() ? first : later);
                }
            }
        }
        return candidates;
    }

    /**
     * Ready endpoints take new connections; where there is none, those that still serve while they terminate do
     * (KEP-1669). Whoever serves without taking new connections keeps the conversations it has.
     */
    private static List<Backend> usable(Map<Peer, EndpointSlice.Endpoint> candidates) {
        boolean anyReady = candidates.values().stream().anyMatch(EndpointSlice.Endpoint::ready);
        List<Backend> backends = new ArrayList<>(candidates.size());
        candidates.forEach((peer, endpoint) -> {
            boolean active = anyReady ? endpoint.ready() : endpoint.serving() && endpoint.terminating();
            if (active) {
                backends.add(new Backend(peer.address(), peer.port(), Backend.State.ACTIVE));
            } else if (endpoint.serving()) {
                backends.add(new Backend(peer.address(), peer.port(), Backend.State.DRAINING));
            }
        });
        return backends;
    }
}
