package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
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

    private final long[] sets;
    private final int[] slots;
    private final BackendEntry[] backends;
    private final int maxFrontends;
    final Map<Frontend, Integer> frontends = new LinkedHashMap<>();
    final Set<Integer> stats = new HashSet<>();

    /** Runs before every write. */
    Runnable beforeWrite = () -> {};

    /** Runs before every write that is a system call, and may throw as one. */
    Runnable beforeCall = () -> {};

    MemoryMaps(int services, int slots, int backends, int maxFrontends) {
        this.sets = new long[services];
        this.slots = new int[slots];
        this.backends = new BackendEntry[backends];
        this.maxFrontends = maxFrontends;
        java.util.Arrays.fill(this.backends, EMPTY);
    }

    /** The addresses that a program may choose from for this frontend right now. */
    List<Backend> choices(Frontend frontend) {
        Integer id = frontends.get(frontend);
        return id == null ? List.of() : run(setBase(id), setCount(id));
    }

    List<Backend> run(int base, int count) {
        return IntStream.range(base, base + count)
                .mapToObj(i -> backends[slots[i]].backend())
                .toList();
    }

    Map<Integer, Integer> setsInUse() {
        Map<Integer, Integer> used = new HashMap<>();
        for (int id = 0; id < sets.length; id++) {
            if (sets[id] != 0) {
                used.put(id, setCount(id));
            }
        }
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
    public void putFrontend(Frontend frontend, int serviceId) {
        beforeWrite.run();
        beforeCall.run();
        if (!frontends.containsKey(frontend) && frontends.size() == maxFrontends) {
            throw new TableFullException("frontends", maxFrontends, "--max-services");
        }
        frontends.put(frontend, serviceId);
    }

    @Override
    public void removeFrontend(Frontend frontend) {
        beforeWrite.run();
        beforeCall.run();
        frontends.remove(frontend);
    }

    @Override
    public void forEachFrontend(FrontendVisitor visitor) {
        frontends.forEach(visitor::visit);
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
    public void putSet(int serviceId, int base, int count) {
        beforeWrite.run();
        sets[serviceId] = (long) count << 32 | base;
    }

    @Override
    public int setBase(int serviceId) {
        return (int) sets[serviceId];
    }

    @Override
    public int setCount(int serviceId) {
        return (int) (sets[serviceId] >>> 32);
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
    public void forEachBackend(IntConsumer id) {
        IntStream.range(0, backends.length).filter(i -> !isBackendGone(i)).forEach(id);
    }

    boolean isBackendGone(int id) {
        return backends[id].gone;
    }

    @Override
    public void forEachSetInUse(IntConsumer serviceId) {
        IntStream.range(0, sets.length).filter(i -> sets[i] != 0).forEach(serviceId);
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
