package io.shunt.cluster;

import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/** All that the source has told and not taken back. Slices may come before their Service, or without one. */
public final class ClusterState {
    private static final TreeMap<ObjectName, EndpointSlice> NO_SLICES = new TreeMap<>();

    private final Map<ObjectName, Service> services = new ConcurrentHashMap<>();
    private final Map<ObjectName, EndpointSlice> slices = new ConcurrentHashMap<>();
    private final Map<ObjectName, TreeMap<ObjectName, EndpointSlice>> slicesOfService = new HashMap<>();

    /** Takes in a change of a Service; the Service is what has to be planned again. */
    public void apply(Change.ServiceChange change) {
        if (change.service() == null) {
            services.remove(change.name());
        } else {
            services.put(change.name(), change.service());
        }
    }

    /**
     * Takes in a change of a slice.
     *
     * @return the Services that have to be planned again: two if the slice has moved from one to another
     */
    public List<ObjectName> apply(Change.SliceChange change) {
        EndpointSlice now = change.slice();
        EndpointSlice before = now == null ? slices.remove(change.name()) : slices.put(change.name(), now);
        if (before != null && (now == null || !now.service().equals(before.service()))) {
            forget(before);
        }
        if (now != null) {
            slicesOfService
                    .computeIfAbsent(now.service(), service -> new TreeMap<>())
                    .put(now.name(), now);
        }
        if (before == null || now != null && now.service().equals(before.service())) {
            return now == null ? List.of() : List.of(now.service());
        }
        return now == null ? List.of(before.service()) : List.of(before.service(), now.service());
    }

    private void forget(EndpointSlice slice) {
        TreeMap<ObjectName, EndpointSlice> siblings = slicesOfService.get(slice.service());
        if (siblings != null) {
            siblings.remove(slice.name());
            if (siblings.isEmpty()) {
                slicesOfService.remove(slice.service());
            }
        }
    }

    public @Nullable Service service(ObjectName name) {
        return services.get(name);
    }

    /** The slices of a Service, by name. */
    public Collection<EndpointSlice> slices(ObjectName service) {
        return slicesOfService.getOrDefault(service, NO_SLICES).values();
    }

    /** The names of all Services. */
    public Set<ObjectName> services() {
        return Collections.unmodifiableSet(services.keySet());
    }

    /** All Services as they are now. Safe from any thread. */
    public Collection<Service> allServices() {
        return Collections.unmodifiableCollection(services.values());
    }

    /** All slices as they are now, of Services that exist or not. Safe from any thread. */
    public Collection<EndpointSlice> allSlices() {
        return Collections.unmodifiableCollection(slices.values());
    }
}
