package io.shunt.flow;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Whose is an address? {@code service shop/web}, {@code node n1}, {@code pod shop/web-7d4b9}, or
 * {@code endpoint of shop/web} where nobody says which pod; "" if nobody here knows. Safe from any thread.
 *
 * <p>There is no index by address, which would take memory while nobody asks: one pass over the cluster names all that
 * is asked for at a time, and what it finds is remembered for a while.
 */
public final class Names {
    private static final int MOST_REMEMBERED = 10_000;
    private static final Duration REMEMBERED_FOR = Duration.ofSeconds(30);
    private static final String UNKNOWN = "";

    private final String node;
    private final Supplier<Set<Address>> nodeAddresses;
    private final Supplier<Collection<Service>> services;
    private final Supplier<Collection<EndpointSlice>> slices;
    private final Cache<Address, String> remembered;

    /**
     * @param node this node's name
     * @param nodeAddresses this node's addresses; called, as the others, on the thread that asks for names
     */
    public Names(
            String node,
            Supplier<Set<Address>> nodeAddresses,
            Supplier<Collection<Service>> services,
            Supplier<Collection<EndpointSlice>> slices) {
        this.node = node;
        this.nodeAddresses = nodeAddresses;
        this.services = services;
        this.slices = slices;
        // On the caller's thread: what else would have to be done is little.
        remembered = Caffeine.newBuilder()
                .maximumSize(MOST_REMEMBERED)
                .expireAfterWrite(REMEMBERED_FOR)
                .executor(Runnable::run)
                .build();
    }

    /** A name for each of the addresses. */
    Map<Address, String> of(Collection<Address> addresses) {
        return remembered.getAll(addresses, this::find);
    }

    private Map<Address, String> find(Set<? extends Address> wanted) {
        Map<Address, String> names = new HashMap<>();
        wanted.forEach(address -> names.put(address, UNKNOWN));
        for (EndpointSlice slice : slices.get()) {
            for (EndpointSlice.Endpoint endpoint : slice.endpoints()) {
                if (names.containsKey(endpoint.address())) {
                    names.put(endpoint.address(), name(slice, endpoint));
                }
            }
        }
        // A pod that has the host's network has its addresses, too.
        nodeAddresses.get().forEach(address -> names.replace(address, "node " + node));
        for (Service service : services.get()) {
            String name = "service " + service.name();
            service.clusterIps().forEach(address -> names.replace(address, name));
            service.external().ips().forEach(address -> names.replace(address, name));
            service.external().loadBalancerIps().forEach(address -> names.replace(address, name));
        }
        return names;
    }

    private static String name(EndpointSlice slice, EndpointSlice.Endpoint endpoint) {
        return endpoint.pod() == null
                ? "endpoint of " + slice.service()
                : "pod " + slice.name().namespace() + "/" + endpoint.pod();
    }
}
