package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Makes the kernel maps equal to the table, one virtual service at a time. Used by the control thread alone.
 *
 * <p>At every instant each set word points at a complete run of backends whose entries are whole: a change writes its
 * new backends, then a new run of slots in free space, then the set word, then what leads to it; what it replaced is
 * used again only after a grace period. A crash between any two writes leaves nothing but garbage, which the next
 * process finds while it adopts.
 *
 * <p>If a write fails, the neighbours are untouched, and {@link #put} may be called again.
 */
public final class Datapath {
    private static final String BACKENDS_FLAG = "--max-backends";
    private static final String SERVICES_FLAG = "--max-services";

    private final TableMaps maps;
    private final GracePeriod grace;
    private final IdPool serviceIds;
    private final IdPool backendIds;
    private final RunPool runs;
    private final Map<String, Entry> entries = new HashMap<>();
    private final Map<Frontend, Entry> owners = new HashMap<>();
    /** What an earlier process left and nobody has claimed yet. */
    private final Set<Entry> adopted = new HashSet<>();

    /** Frontends found in the kernel that name no service there can be: the maps were damaged. */
    private final Set<Frontend> strays = new HashSet<>();

    private Runnable whenBackendsAreGone = () -> {};

    /** Entries in use by map name, for readers on other threads. */
    private volatile Map<String, Integer> use = Map.of();

    Datapath(TableMaps maps, GracePeriod grace) {
        this.maps = maps;
        this.grace = grace;
        serviceIds = new IdPool("sets", maps.maxServices(), SERVICES_FLAG);
        backendIds = new IdPool("backends", maps.maxBackends(), BACKENDS_FLAG);
        runs = new RunPool("slots", maps.maxSlots(), BACKENDS_FLAG);
        adopt();
    }

    /** Sets who is told when backends are gone and no program can choose them any more. */
    public void whenBackendsAreGone(Runnable listener) {
        whenBackendsAreGone = listener;
    }

    /** What the kernel has of one virtual service; always true of the maps, also after a failed write. */
    private static final class Entry {
        final int serviceId;
        String name;
        int base;
        int count;
        List<Backend> backends = List.of();
        int[] backendIds = {};
        final Set<Frontend> frontends = new HashSet<>(2);

        Entry(int serviceId, String name) {
            this.serviceId = serviceId;
            this.name = name;
        }

        void adopt(Backend backend, int id) {
            List<Backend> longer = new ArrayList<>(backends);
            longer.add(backend);
            backends = longer;
            backendIds = Arrays.copyOf(backendIds, backendIds.length + 1);
            backendIds[backendIds.length - 1] = id;
        }
    }

    private record Peer(Address address, int port) {
        static Peer of(Backend backend) {
            return new Peer(backend.address(), backend.port());
        }
    }

    /**
     * What became of one virtual service.
     *
     * @param serviceId its id, which it keeps until it is removed; -1 if it has none yet
     * @param failure null if the kernel has it as wanted; otherwise a {@link TableFullException}, a
     *     {@link FrontendTakenException} or what the kernel said, and the kernel has what it had before or part of both
     */
    public record Outcome(int serviceId, @Nullable RuntimeException failure) {}

    /**
     * Programs virtual services that change together, each in place of what was programmed under its name, and takes
     * out those that are not wanted any more. A frontend that goes over from one of them to another is never missing in
     * between. One that fails does not keep the others back.
     *
     * @param obsolete names of virtual services to take out; those that do not exist are ignored
     * @return what became of each of {@code group}, in its order
     */
    public List<Outcome> put(List<VirtualService> group, Set<String> obsolete) {
        Set<String> family = new HashSet<>(obsolete);
        group.forEach(service -> family.add(service.name()));
        List<Outcome> outcomes = new ArrayList<>(group.size());
        for (VirtualService wanted : group) {
            outcomes.add(attempt(wanted, () -> add(wanted, family)));
        }
        for (int i = 0; i < group.size(); i++) {
            VirtualService wanted = group.get(i);
            if (outcomes.get(i).failure() == null) {
                outcomes.set(i, attempt(wanted, () -> removeUnwantedFrontends(wanted)));
            }
        }
        for (String name : obsolete) {
            remove(name);
        }
        publishUse();
        return outcomes;
    }

    private Outcome attempt(VirtualService wanted, Runnable writes) {
        RuntimeException failure = null;
        try {
            writes.run();
        } catch (RuntimeException e) {
            failure = e;
        }
        Entry entry = entries.get(wanted.name());
        return new Outcome(entry == null ? -1 : entry.serviceId, failure);
    }

    private void add(VirtualService wanted, Set<String> family) {
        refuseTakenFrontends(wanted, family);
        Entry entry = entries.get(wanted.name());
        if (entry == null) {
            entry = claim(wanted);
        }
        if (entry == null) {
            entry = create(wanted.name());
        }
        putBackends(entry, wanted.backends());
        addFrontends(entry, wanted.frontends().keySet());
    }

    private Entry create(String name) {
        Entry entry = new Entry(serviceIds.take(), name);
        try {
            maps.putStats(entry.serviceId);
            maps.putSet(entry.serviceId, 0, 0);
        } catch (RuntimeException e) {
            serviceIds.release(entry.serviceId);
            throw e;
        }
        entries.put(name, entry);
        return entry;
    }

    private void refuseTakenFrontends(VirtualService wanted, Set<String> family) {
        for (Frontend frontend : wanted.frontends().keySet()) {
            Entry owner = owners.get(frontend);
            if (owner != null
                    && !owner.name.equals(wanted.name())
                    && !family.contains(owner.name)
                    && !adopted.contains(owner)) {
                throw new FrontendTakenException(frontend, owner.name);
            }
        }
    }

    private void putBackends(Entry entry, List<Backend> wanted) {
        Map<Peer, Integer> before = new HashMap<>();
        List<Integer> gone = new ArrayList<>();
        for (int i = 0; i < entry.backendIds.length; i++) {
            Integer twin = before.put(Peer.of(entry.backends.get(i)), i);
            if (twin != null) {
                gone.add(entry.backendIds[twin]);
            }
        }
        int[] ids = new int[wanted.size()];
        int[] active = new int[wanted.size()];
        int activeCount = 0;
        List<Integer> fresh = new ArrayList<>();
        List<Integer> changedState = new ArrayList<>();
        int base;
        boolean sameRun;
        try {
            for (int i = 0; i < ids.length; i++) {
                Backend backend = wanted.get(i);
                Integer place = before.remove(Peer.of(backend));
                if (place == null) {
                    ids[i] = backendIds.take();
                    fresh.add(ids[i]);
                    int generation = maps.backendGeneration(ids[i]) + 1;
                    maps.putBackend(
                            ids[i], backend.address(), backend.port(), backend.state(), generation, entry.serviceId);
                } else {
                    ids[i] = entry.backendIds[place];
                    if (entry.backends.get(place).state() != backend.state()) {
                        changedState.add(i);
                    }
                }
                if (backend.state().takes(Reach.CLUSTER)) {
                    active[activeCount++] = ids[i];
                }
            }
            sameRun = isRun(entry, active, activeCount);
            base = sameRun ? entry.base : writeRun(active, activeCount);
        } catch (RuntimeException e) {
            fresh.forEach(id -> freeUnseen(id, e));
            throw e;
        }
        for (int i : changedState) {
            maps.putBackendState(ids[i], wanted.get(i).state());
        }
        int oldBase = entry.base;
        int oldCount = entry.count;
        if (!sameRun) {
            maps.putSet(entry.serviceId, base, activeCount);
            entry.base = base;
            entry.count = activeCount;
        }
        before.values().forEach(place -> gone.add(entry.backendIds[place]));
        entry.backends = wanted;
        entry.backendIds = ids;
        gone.forEach(maps::markBackendGone);
        if (!sameRun || !gone.isEmpty()) {
            free(sameRun ? 0 : oldBase, sameRun ? 0 : oldCount, gone);
        }
        publishUse();
    }

    private boolean isRun(Entry entry, int[] active, int count) {
        if (entry.count != count) {
            return false;
        }
        for (int i = 0; i < count; i++) {
            if (maps.slot(entry.base + i) != active[i]) {
                return false;
            }
        }
        return true;
    }

    private int writeRun(int[] backends, int count) {
        int base = runs.take(count);
        try {
            for (int i = 0; i < count; i++) {
                maps.putSlot(base + i, backends[i]);
            }
        } catch (RuntimeException e) {
            runs.release(base, count);
            throw e;
        }
        return base;
    }

    /** Takes back a backend that no slot has named yet. */
    private void freeUnseen(int backendId, RuntimeException cause) {
        backendIds.release(backendId);
        try {
            maps.markBackendGone(backendId);
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        }
    }

    private void addFrontends(Entry entry, Set<Frontend> wanted) {
        for (Frontend frontend : wanted) {
            if (entry.frontends.contains(frontend)) {
                continue;
            }
            maps.putFrontend(frontend, entry.serviceId);
            strays.remove(frontend);
            Entry loser = owners.put(frontend, entry);
            if (loser != null) {
                loser.frontends.remove(frontend);
            }
            entry.frontends.add(frontend);
        }
    }

    private void removeUnwantedFrontends(VirtualService wanted) {
        Entry entry = entries.get(wanted.name());
        if (entry != null && entry.frontends.size() > wanted.frontends().size()) {
            removeFrontends(entry, wanted.frontends().keySet());
        }
    }

    private void removeFrontends(Entry entry, Set<Frontend> kept) {
        for (Iterator<Frontend> each = entry.frontends.iterator(); each.hasNext(); ) {
            Frontend frontend = each.next();
            if (!kept.contains(frontend)) {
                maps.removeFrontend(frontend);
                owners.remove(frontend);
                each.remove();
            }
        }
    }

    private void remove(String name) {
        Entry entry = entries.get(name);
        if (entry != null) {
            remove(entry);
            entries.remove(name);
        }
    }

    /** A program that has just found one of the frontends still gets a backend. */
    private void remove(Entry entry) {
        removeFrontends(entry, Set.of());
        grace.after(() -> {
            maps.putSet(entry.serviceId, 0, 0);
            runs.release(entry.base, entry.count);
            for (int id : entry.backendIds) {
                maps.markBackendGone(id);
                backendIds.release(id);
            }
            if (entry.backendIds.length > 0) {
                whenBackendsAreGone.run();
            }
            try {
                maps.removeStats(entry.serviceId);
            } finally {
                serviceIds.release(entry.serviceId);
                publishUse();
            }
        });
    }

    private void free(int base, int count, List<Integer> backends) {
        grace.after(() -> {
            runs.release(base, count);
            backends.forEach(backendIds::release);
            publishUse();
            if (!backends.isEmpty()) {
                whenBackendsAreGone.run();
            }
        });
    }

    /** Ids and contents of the maps become entries without a name; their frontends will tell whose they are. */
    private void adopt() {
        Map<Integer, Entry> byId = new HashMap<>();
        maps.forEachFrontend((frontend, id) -> {
            Entry entry = adopt(byId, id);
            if (entry == null) {
                strays.add(frontend);
            } else {
                entry.frontends.add(frontend);
                owners.put(frontend, entry);
            }
        });
        List<Integer> strayStats = new ArrayList<>();
        maps.forEachStats(id -> {
            if (adopt(byId, id) == null) {
                strayStats.add(id);
            }
        });
        strayStats.forEach(maps::removeStats);
        maps.forEachSetInUse(id -> {
            Entry entry = adopt(byId, id);
            if (entry == null) {
                maps.putSet(id, 0, 0);
            } else {
                adoptSet(entry);
            }
        });
        maps.forEachBackend(id -> {
            Entry entry = adopt(byId, maps.backendServiceId(id));
            if (entry == null) {
                maps.markBackendGone(id);
            } else if (backendIds.reserve(id)) {
                entry.adopt(maps.backend(id), id);
            }
        });
        adopted.addAll(byId.values());
        publishUse();
    }

    /** The entry of a service id, null if there can be no such id. */
    private @Nullable Entry adopt(Map<Integer, Entry> byId, int serviceId) {
        Entry entry = byId.get(serviceId);
        if (entry == null && serviceIds.reserve(serviceId)) {
            entry = new Entry(serviceId, "left by an earlier process");
            byId.put(serviceId, entry);
        }
        return entry;
    }

    private void adoptSet(Entry entry) {
        int base = maps.setBase(entry.serviceId);
        int count = maps.setCount(entry.serviceId);
        if (runs.reserve(base, count)) {
            entry.base = base;
            entry.count = count;
        } else {
            maps.putSet(entry.serviceId, 0, 0);
        }
    }

    private @Nullable Entry claim(VirtualService wanted) {
        for (Frontend frontend : wanted.frontends().keySet()) {
            Entry entry = owners.get(frontend);
            if (entry != null && adopted.remove(entry)) {
                entry.name = wanted.name();
                entries.put(wanted.name(), entry);
                return entry;
            }
        }
        return null;
    }

    /**
     * Takes out of the kernel what an earlier process left and no {@link #put} has claimed. To be called once the source
     * has listed everything and all of it is put.
     *
     * @return how many virtual services that were
     */
    public int removeUnclaimed() {
        int removed = 0;
        for (Iterator<Entry> each = adopted.iterator(); each.hasNext(); removed++) {
            remove(each.next());
            each.remove();
        }
        for (Iterator<Frontend> each = strays.iterator(); each.hasNext(); ) {
            maps.removeFrontend(each.next());
            each.remove();
        }
        return removed;
    }

    /** Virtual services that an earlier process left and nobody has claimed yet. */
    public int unclaimed() {
        return adopted.size();
    }

    /** Virtual services in the kernel, those left by an earlier process included. */
    public int services() {
        return entries.size() + adopted.size();
    }

    private void publishUse() {
        use = Map.of(
                "frontends", owners.size(),
                "service_stats", serviceIds.inUse(),
                "sets", serviceIds.inUse(),
                "backends", backendIds.inUse(),
                "slots", runs.inUse());
    }

    /**
     * Entries of a map in use, those that rest until a grace period ends included; -1 if this does not manage that map.
     * Safe from any thread.
     */
    public int entries(String map) {
        return use.getOrDefault(map, -1);
    }
}
