package io.shunt.source;

import io.shunt.cluster.Change;
import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** A sink that remembers what it was told, and checks that it is told one thing at a time. */
final class Told implements ChangeSink {
    private final List<Change> changes = new ArrayList<>();
    private final Map<ObjectName, Service> services = new TreeMap<>();
    private final Map<ObjectName, EndpointSlice> slices = new TreeMap<>();
    private @Nullable Node node;
    private boolean busy;
    private boolean overlapped;

    @Override
    public void accept(Change change) {
        synchronized (this) {
            overlapped |= busy;
            busy = true;
        }
        Thread.yield();
        synchronized (this) {
            changes.add(change);
            switch (change) {
                case Change.ServiceChange service -> put(services, service.name(), service.service());
                case Change.SliceChange slice -> put(slices, slice.name(), slice.slice());
                case Change.NodeChange now -> node = now.node();
                case Change.HostAddressesChange host -> {}
                case Change.Listed listed -> {}
                case Change.Complete complete -> {}
            }
            busy = false;
        }
    }

    private static <T> void put(Map<ObjectName, T> objects, ObjectName name, @Nullable T object) {
        if (object == null) {
            objects.remove(name);
        } else {
            objects.put(name, object);
        }
    }

    /** The Services told and not taken back, as {@code namespace/name=address,…:port}. */
    synchronized List<String> services() {
        return services.values().stream()
                .map(service -> service.name() + "=" + service.clusterIps().getFirst() + ":"
                        + service.ports().getFirst().port())
                .toList();
    }

    /** The Service {@code namespace/name}. */
    synchronized Service service(String name) {
        return services.values().stream()
                .filter(service -> service.name().toString().equals(name))
                .findFirst()
                .orElseThrow();
    }

    /** The slice {@code namespace/name}. */
    synchronized EndpointSlice slice(String name) {
        return slices.values().stream()
                .filter(slice -> slice.name().toString().equals(name))
                .findFirst()
                .orElseThrow();
    }

    /** The slices told and not taken back, as {@code namespace/name=[addresses]}. */
    synchronized List<String> slices() {
        return slices.values().stream()
                .map(slice -> slice.name() + "="
                        + slice.endpoints().stream()
                                .map(endpoint -> endpoint.address().toString())
                                .toList())
                .toList();
    }

    synchronized @Nullable Node node() {
        return node;
    }

    synchronized List<Change> changes() {
        return List.copyOf(changes);
    }

    synchronized long listed() {
        return changes.stream().filter(Change.Listed.class::isInstance).count();
    }

    synchronized long complete() {
        return changes.stream().filter(Change.Complete.class::isInstance).count();
    }

    synchronized boolean overlapped() {
        return overlapped;
    }
}
