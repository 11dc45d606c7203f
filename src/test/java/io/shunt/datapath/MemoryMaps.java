package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * The table's maps on the heap, so that a test can stop the world before every single write. The real ones are tested
 * against the kernel.
 */
final class MemoryMaps implements TableMaps {
    private record BackendEntry(boolean gone, Backend backend, int generation, int serviceId) {}

    private static final BackendEntry EMPTY =
            new BackendEntry(true, new Backend(new Address(0, 0), 0, Backend.State.CLUSTER), 0, 0);

    private final Run[][] sets;
    private final int[] slots;
    private final BackendEntry[] backends;
    private final int maxFrontends;
    final Map<Frontend, Route> frontends = new LinkedHashMap<>();
    final Map<Address, Boolean> serviceAddresses = new LinkedHashMap<>();
    final Map<Integer, Set<Prefix>> ranges = new HashMap<>();
    final Set<Address> nodeAddresses = new HashSet<>();
    final Map<Integer, Map<Address, Integer>> localBackends = new HashMap<>();
    final Set<Integer> stats = new HashSet<>();

    /** Runs before every write. */
    Runnable beforeWrite = () -> {};

    /** Runs before every write that is a system call, and may throw as one. */
    Runnable beforeCall = () -> {};

    /** Runs before a set is touched, and may throw as the first touch of its window. */
    Runnable beforeSet = () -> {};

    MemoryMaps(int services, int slots, int backends, int maxFrontends) {
        this.sets = new Run[services][];
        java.util.Arrays.setAll(sets, i -> new Run[] {Run.EMPTY, Run.EMPTY});
        this.slots = new int[slots];
        this.backends = new BackendEntry[backends];
        this.maxFrontends = maxFrontends;
        java.util.Arrays.fill(this.backends, EMPTY);
    }

    /** What a program may choose from for this frontend right now, if it goes that far. */
    List<Backend> choices(Frontend frontend, Reach reach) {
        Route route = frontends.get(frontend);
        return route == null ? List.of() : run(set(route.serviceId(), reach));
    }

    List<Backend> choices(Frontend frontend) {
        return choices(frontend, Reach.CLUSTER);
    }

    List<Backend> run(Run run) {
        return IntStream.range(run.base(), run.base() + run.count())
                .mapToObj(i -> backends[slots[i]].backend())
                .toList();
    }

    Set<Integer> setsInUse() {
        Set<Integer> used = new HashSet<>();
        forEachSetInUse((id, reach, run) -> used.add(id));
        return used;
    }

    long liveBackends() {
        return java.util.Arrays.stream(backends).filter(b -> !b.gone()).count();
    }

    @Override
    public int maxServices() {
        return sets.length;
    }

    @Override
    public int maxSlots() {
        return slots.length;
    }

    @Override
    public int maxBackends() {
        return backends.length;
    }

    @Override
    public void putFrontend(Frontend frontend, Route route) {
        beforeWrite.run();
        beforeCall.run();
        if (!frontends.containsKey(frontend) && frontends.size() == maxFrontends) {
            throw new TableFullException("frontends", maxFrontends, "--max-services");
        }
        frontends.put(frontend, route);
    }

    @Override
    public void removeFrontend(Frontend frontend) {
        beforeWrite.run();
        beforeCall.run();
        frontends.remove(frontend);
    }

    @Override
    public boolean hasFrontend(Frontend frontend, Route route) {
        return route.equals(frontends.get(frontend));
    }

    @Override
    public void forEachFrontend(FrontendVisitor visitor) {
        frontends.forEach(visitor::visit);
    }

    @Override
    public void putServiceAddress(Address address, boolean external) {
        beforeWrite.run();
        beforeCall.run();
        serviceAddresses.put(address, external);
    }

    @Override
    public void removeServiceAddress(Address address) {
        beforeWrite.run();
        beforeCall.run();
        serviceAddresses.remove(address);
    }

    @Override
    public boolean hasServiceAddress(Address address, boolean external) {
        return Boolean.valueOf(external).equals(serviceAddresses.get(address));
    }

    @Override
    public void forEachServiceAddress(ServiceAddressVisitor visitor) {
        serviceAddresses.forEach(visitor::visit);
    }

    @Override
    public BooleanSupplier walk(Consumer<Frontend> visitor, Consumer<Address> addresses) {
        return () -> {
            frontends.keySet().forEach(visitor);
            serviceAddresses.keySet().forEach(addresses);
            return true;
        };
    }

    @Override
    public void putSourceRange(int serviceId, Prefix range) {
        beforeWrite.run();
        beforeCall.run();
        ranges.computeIfAbsent(serviceId, id -> new HashSet<>()).add(range);
    }

    @Override
    public void removeSourceRange(int serviceId, Prefix range) {
        beforeWrite.run();
        beforeCall.run();
        ranges.getOrDefault(serviceId, Set.of()).remove(range);
        ranges.values().removeIf(Set::isEmpty);
    }

    @Override
    public void forEachSourceRange(SourceRangeVisitor visitor) {
        ranges.forEach((id, all) -> all.forEach(range -> visitor.visit(id, range)));
    }

    @Override
    public void putNodeAddress(Address address) {
        beforeWrite.run();
        beforeCall.run();
        nodeAddresses.add(address);
    }

    @Override
    public void removeNodeAddress(Address address) {
        beforeWrite.run();
        beforeCall.run();
        nodeAddresses.remove(address);
    }

    @Override
    public boolean hasNodeAddress(Address address) {
        return nodeAddresses.contains(address);
    }

    @Override
    public void forEachNodeAddress(Consumer<Address> visitor) {
        nodeAddresses.forEach(visitor);
    }

    @Override
    public void putStats(int serviceId) {
        beforeWrite.run();
        beforeCall.run();
        stats.add(serviceId);
    }

    @Override
    public void removeStats(int serviceId) {
        beforeWrite.run();
        beforeCall.run();
        stats.remove(serviceId);
    }

    @Override
    public void forEachStats(IntConsumer serviceId) {
        stats.forEach(serviceId::accept);
    }

    @Override
    public void putSet(int serviceId, Reach reach, Run run) {
        beforeSet.run();
        beforeWrite.run();
        sets[serviceId][reach.ordinal()] = run;
    }

    @Override
    public Run set(int serviceId, Reach reach) {
        beforeSet.run();
        return sets[serviceId][reach.ordinal()];
    }

    @Override
    public void putSlot(int index, int backendId) {
        beforeWrite.run();
        slots[index] = backendId;
    }

    @Override
    public int slot(int index) {
        return slots[index];
    }

    @Override
    public void putBackend(int id, Address address, int port, Backend.State state, int generation, int serviceId) {
        beforeWrite.run();
        backends[id] = new BackendEntry(false, new Backend(address, port, state), generation, serviceId);
    }

    @Override
    public void putBackendState(int id, Backend.State state) {
        beforeWrite.run();
        BackendEntry old = backends[id];
        Backend backend = new Backend(old.backend().address(), old.backend().port(), state);
        backends[id] = new BackendEntry(false, backend, old.generation(), old.serviceId());
    }

    @Override
    public void markBackendGone(int id) {
        beforeWrite.run();
        BackendEntry old = backends[id];
        backends[id] = new BackendEntry(true, old.backend(), old.generation(), old.serviceId());
    }

    @Override
    public void putLocalBackend(int serviceId, Address address, int backendId) {
        beforeWrite.run();
        beforeCall.run();
        localBackends.computeIfAbsent(serviceId, id -> new HashMap<>()).put(address, backendId);
    }

    @Override
    public void removeLocalBackend(int serviceId, Address address) {
        beforeWrite.run();
        beforeCall.run();
        Map<Address, Integer> left = localBackends.get(serviceId);
        if (left != null && left.remove(address) != null && left.isEmpty()) {
            localBackends.remove(serviceId);
        }
    }

    @Override
    public boolean hasLocalBackend(int serviceId, Address address, int backendId) {
        return Integer.valueOf(backendId)
                .equals(localBackends.getOrDefault(serviceId, Map.of()).get(address));
    }

    @Override
    public void forEachLocalBackend(LocalBackendVisitor visitor) {
        localBackends.forEach((id, local) -> local.forEach((address, backend) -> visitor.visit(id, address, backend)));
    }

    @Override
    public void forEachBackend(IntConsumer id) {
        IntStream.range(0, backends.length).filter(i -> !isBackendGone(i)).forEach(id);
    }

    @Override
    public boolean isBackendGone(int id) {
        return backends[id].gone;
    }

    @Override
    public boolean hasBackend(int id, Backend backend, int serviceId) {
        BackendEntry there = backends[id];
        return !there.gone
                && there.backend.address().equals(backend.address())
                && there.backend.port() == backend.port()
                && there.backend.state() == backend.state()
                && there.serviceId == serviceId;
    }

    @Override
    public void forEachSetInUse(SetVisitor visitor) {
        for (int id = 0; id < sets.length; id++) {
            for (Reach reach : Reach.values()) {
                if (!set(id, reach).equals(Run.EMPTY)) {
                    visitor.visit(id, reach, set(id, reach));
                }
            }
        }
    }

    @Override
    public Backend backend(int id) {
        return backends[id].backend;
    }

    @Override
    public int backendGeneration(int id) {
        return backends[id].generation;
    }

    @Override
    public int backendServiceId(int id) {
        return backends[id].serviceId;
    }
}
