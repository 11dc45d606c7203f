package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Predicate;

/**
 * The endpoints that slices name, each once: where two name one, the later wins unless it terminates (kube-proxy
 * endpointslicecache.go).
 */
final class Candidates {
    /** Where an endpoint listens. Under another name or protocol, a port is another. */
    record Peer(Address address, EndpointSlice.Port port) {}

    private Candidates() {}

    /** Those of one family, at the ports that are {@code wanted}, in the order of the slices. */
    static Map<Peer, EndpointSlice.Endpoint> of(
            Collection<EndpointSlice> slices, IpFamily family, Predicate<EndpointSlice.Port> wanted) {
        Map<Peer, EndpointSlice.Endpoint> candidates = new LinkedHashMap<>();
        for (EndpointSlice slice : slices) {
            if (slice.family() != family) {
                continue;
            }
            for (EndpointSlice.Port port : slice.ports()) {
                if (!wanted.test(port)) {
                    continue;
                }
                for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
                    candidates.merge(
                            new Peer(endpoint.address(), port),
                            endpoint,
                            (first, later) -> later.terminating() ? first : later);
                }
            }
        }
        return candidates;
    }
}
