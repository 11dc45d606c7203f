package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
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
    private static final Reach[] REACHES = Reach.values();
    private static final Address LOOPBACK6 = Address.of("::1");
    private static final String BACKENDS_FLAG = "--max-backends";
    private static final String SERVICES_FLAG = "--max-services";

    private final TableMaps maps;
    private final GracePeriod grace;
    private final IdPool serviceIds;
    private final IdPool backendIds;
    private final RunPool runs;
    private final Map<String, Entry> entries = new HashMap<>();
    private final Map<Frontend, Entry> owners = new HashMap<>();
    /** By service id, as long as that is given out: also those that have no name, not yet or no more. */
    private final @Nullable Entry[] byId;
    /** What an earlier process left and nobody has claimed yet. */
    private final Set<Entry> adopted = new HashSet<>();

    /** Frontends found in the kernel that name no service there can be: the maps were damaged. */
    private final Set<Frontend> strays = new HashSet<>();

    private final ServiceAddresses serviceAddresses;
    private final Set<Address> nodeAddresses = new HashSet<>();
    private int sourceRanges;
    private int localBackends;
    /** Something found a map full since room last came. */
    private boolean wantsRoom;

    private boolean roomCame;

    private Runnable whenBackendsAreGone = () -> {};

    /** Entries in use by map name, for readers on other threads. */
    private volatile Map<String, Integer> use = Map.of();

    Datapath(TableMaps maps, GracePeriod grace) {
        this.maps = maps;
        this.grace = grace;
        serviceAddresses = new ServiceAddresses(maps);
        serviceIds = new IdPool("sets", maps.maxServices(), SERVICES_FLAG);
        byId = new Entry[maps.maxServices()];
        backendIds = new IdPool("backends", maps.maxBackends(), BACKENDS_FLAG);
        // Backend 0 is none.
        runs = new RunPool("slots", maps.maxSlots(), MapSizes.tablesFrom(maps.maxBackends() - 1), BACKENDS_FLAG);
        adopt();
    }

    /** Sets who is told when backends are gone or do not serve, and no program can choose them any more. */
    public void whenBackendsAreGone(Runnable listener) {
        whenBackendsAreGone = listener;
    }

    /** What the kernel has of one virtual service; always true of the maps, also after a failed write. */
    static final class Entry {
        final int serviceId;
        String name;
        /** By reach; the same run stands for both where they have the same backends. */
        Run[] runs = {Run.EMPTY, Run.EMPTY};

        /** By reach, of what its table is made; null if it has none, or an earlier process has made it. */
        @Nullable
        Members[] tables = {null, null};

        /** The size of table that was asked for when the runs were written; -1: an earlier process has written them. */
        int tableSize = -1;

        List<Backend> backends = List.of();
        int[] backendIds = {};
        /** Which of them the kernel knows by their address alone; few services have any. */
        Map<Address, Integer> localBackends = Map.of();

        final Map<Frontend, Route> frontends = new HashMap<>(2);
        Set<Prefix> ranges = Set.of();
        /** Which of these are to stay. */
        Set<Prefix> wantedRanges = Set.of();

        Entry(int serviceId, String name) {
            this.serviceId = serviceId;
            this.name = name;
        }

        Run run(Reach reach) {
            return runs[reach.ordinal()];
        }

        /** What stands in the slots of a run; nothing if only an earlier process could tell. */
        int[] slots(Reach reach) {
            int count = run(reach).count();
            if (tableSize < 0 || count == 0) {
                return new int[0];
            }
            Members table = tables[reach.ordinal()];
            return table == null
                    ? Members.of(backends, tableSize > 0, backendIds, reach).run()
                    : table.table(count);
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
     * between: if who is to have it fails, who has it keeps it. One that fails does not keep the others back.
     *
     * @param obsolete names of virtual services to take out; those that do not exist are ignored. While one of the group
     *     fails they have to be named again, as they may still serve in its place
     * @return what became of each of {@code group}, in its order
     */
    public List<Outcome> put(List<VirtualService> group, Set<String> obsolete) {
        Family family = new Family(group, obsolete);
        List<Outcome> outcomes = new ArrayList<>(group.size());
        Set<Frontend> awaited = new HashSet<>(0);
        for (VirtualService wanted : group) {
            Outcome outcome = attempt(wanted, () -> add(wanted, family));
            outcomes.add(outcome);
            if (outcome.failure() != null) {
                awaited.addAll(wanted.frontends().keySet());
            }
        }
        for (int i = 0; i < group.size(); i++) {
            RuntimeException failure = outcomes.get(i).failure();
            if (failure == null || failure instanceof FrontendTakenException || lacksTableOnly(failure)) {
                VirtualService wanted = group.get(i);
                Outcome removed = attempt(wanted, () -> removeUnwanted(wanted, awaited));
                if (removed.failure() != null) {
                    outcomes.set(i, removed);
                }
            }
        }
        for (String name : obsolete) {
            remove(name, awaited);
        }
        publishUse();
        return outcomes;
    }

    /** Virtual services that change together: their frontends go from one to the other. */
    private record Family(List<VirtualService> group, Set<String> obsolete) {
        boolean has(String name) {
            return obsolete.contains(name)
                    || group.stream().anyMatch(service -> service.name().equals(name));
        }

        /** Whether an obsolete one's frontends are wanted by this one and by no other. */
        boolean goesOver(Entry entry, VirtualService to) {
            return obsolete.contains(entry.name)
                    && group.stream()
                            .filter(service -> service != to)
                            .allMatch(service ->
                                    Collections.disjoint(service.frontends().keySet(), entry.frontends.keySet()));
        }
    }

    private Outcome attempt(VirtualService wanted, Runnable writes) {
        RuntimeException failure = null;
        try {
            writes.run();
        } catch (RuntimeException e) {
            failure = e;
            wantsRoom |= e instanceof TableFullException;
        }
        Entry entry = entries.get(wanted.name());
        return new Outcome(entry == null ? -1 : entry.serviceId, failure);
    }

    private static boolean lacksTableOnly(RuntimeException failure) {
        return failure instanceof TableFullException full && full.isServed();
    }

    /** Adds all that nobody else has. */
    private void add(VirtualService wanted, Family family) {
        Map<Frontend, String> taken = taken(wanted, family);
        Entry entry = entries.get(wanted.name());
        if (entry == null) {
            entry = claim(wanted, family);
        }
        if (entry == null) {
            if (!taken.isEmpty() && taken.size() == wanted.frontends().size()) {
                throw new FrontendTakenException(taken);
            }
            entry = create(wanted.name());
        }
        TableFullException lack = putBackends(entry, wanted, taken.keySet());
        putSourceRanges(entry, wanted.sourceRanges());
        addFrontends(entry, wanted, taken.keySet());
        wantsRoom |= lack != null;
        putLocalBackends(entry, wanted);
        if (!taken.isEmpty()) {
            throw new FrontendTakenException(taken);
        }
        if (lack != null) {
            throw lack;
        }
    }

    private Entry create(String name) {
        Entry entry = new Entry(serviceIds.take(), name);
        try {
            for (Reach reach : REACHES) {
                maps.putSet(entry.serviceId, reach, Run.EMPTY);
            }
            maps.putStats(entry.serviceId);
        } catch (RuntimeException e) {
            serviceIds.release(entry.serviceId);
            throw e;
        }
        entries.put(name, entry);
        byId[entry.serviceId] = entry;
        return entry;
    }

    /** The frontends that others have and keep, and who has each. */
    private Map<Frontend, String> taken(VirtualService wanted, Family family) {
        Map<Frontend, String> taken = new HashMap<>(0);
        for (Frontend frontend : wanted.frontends().keySet()) {
            Entry owner = owners.get(frontend);
            if (owner != null
                    && !owner.name.equals(wanted.name())
                    && !family.has(owner.name)
                    && !adopted.contains(owner)) {
                taken.put(frontend, owner.name);
            }
        }
        return taken;
    }

    /** @return why there is no table, if there should be one: the backends are in a plain run then */
    private @Nullable TableFullException putBackends(Entry entry, VirtualService service, Set<Frontend> taken) {
        List<Backend> wanted = service.backends();
        Map<Peer, Integer> before = new HashMap<>();
        List<Integer> gone = new ArrayList<>();
        for (int i = 0; i < entry.backendIds.length; i++) {
            Integer twin = before.put(Peer.of(entry.backends.get(i)), i);
            if (twin != null) {
                gone.add(entry.backendIds[twin]);
            }
        }
        int[] ids = new int[wanted.size()];
        List<Integer> fresh = new ArrayList<>();
        List<Integer> changedState = new ArrayList<>();
        List<Integer> unready = new ArrayList<>();
        Choices after;
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
                        (backend.state().serves() ? changedState : unready).add(i);
                    }
                }
            }
            touchSets(entry);
            after = writeRuns(entry, service, ids);
        } catch (RuntimeException e) {
            fresh.forEach(id -> freeUnseen(id, e));
            throw e;
        }
        for (int i : changedState) {
            maps.putBackendState(ids[i], wanted.get(i).state());
        }
        Run[] runsBefore = entry.runs;
        Run[] runsAfter = after.runs();
        for (Reach reach : inStoringOrder(entry, service)) {
            Run run = runsAfter[reach.ordinal()];
            if (!run.equals(entry.run(reach))) {
                maps.putSet(entry.serviceId, reach, run);
            }
            redirect(entry, service, taken, reach);
        }
        before.values().forEach(place -> gone.add(entry.backendIds[place]));
        entry.runs = runsAfter;
        entry.tables = after.tables();
        entry.tableSize = service.tableSize();
        entry.backends = wanted;
        entry.backendIds = ids;
        unready.forEach(i -> maps.putBackendState(ids[i], wanted.get(i).state()));
        gone.forEach(maps::markBackendGone);
        free(without(runsBefore, runsAfter), gone, !unready.isEmpty());
        publishUse();
        return after.lack();
    }

    /** The first touch of those that an earlier process left may fail; after it a store cannot. */
    private void touchSets(Entry entry) {
        for (Reach reach : REACHES) {
            maps.set(entry.serviceId, reach);
        }
    }

    /**
     * A frontend that changes its reach together with the backends must never lead to new backends of its old reach, nor
     * to old ones of its new: so it goes over after the set of its new reach is stored and before that of its old one.
     * Where frontends go both ways at once, those to the whole cluster may do the one for a moment.
     */
    private static List<Reach> inStoringOrder(Entry entry, VirtualService wanted) {
        boolean anyToLocal = entry.frontends.entrySet().stream()
                .anyMatch(
                        each -> reachChanges(each.getValue(), wanted.frontends().get(each.getKey()), Reach.LOCAL));
        return anyToLocal ? List.of(Reach.LOCAL, Reach.CLUSTER) : List.of(Reach.CLUSTER, Reach.LOCAL);
    }

    private static boolean reachChanges(Route before, @Nullable Access wanted, Reach to) {
        return wanted != null && wanted.inside() == to && before.access().inside() != to;
    }

    private void redirect(Entry entry, VirtualService wanted, Set<Frontend> taken, Reach to) {
        for (Map.Entry<Frontend, Route> each : entry.frontends.entrySet()) {
            Access access = wanted.frontends().get(each.getKey());
            if (access == null
                    || !reachChanges(each.getValue(), access, to)
                    || access.restricted() && !each.getValue().access().restricted()
                    || taken.contains(each.getKey())) {
                continue;
            }
            Route route = route(entry, access, wanted);
            try {
                maps.putFrontend(each.getKey(), route);
                each.setValue(route);
            } catch (RuntimeException leftToAddFrontends) {
                // It tries again, and says what failed; the sets have to become whole first.
                return;
            }
        }
    }

    /**
     * What each reach chooses from.
     *
     * @param tables of what each run that is a table is made
     * @param lack why one is none that should be
     */
    private record Choices(
            Run[] runs,
            @Nullable Members[] tables,
            @Nullable TableFullException lack) {}

    /** Of the runs those are new that no set points at yet. */
    private Choices writeRuns(Entry entry, VirtualService service, int[] ids) {
        Run[] runsAfter = {Run.EMPTY, Run.EMPTY};
        @Nullable Members[] tables = {null, null};
        TableFullException lack = null;
        try {
            for (Reach reach : REACHES) {
                int at = reach.ordinal();
                Members members = Members.of(service.backends(), service.tableSize() > 0, ids, reach);
                int size = members.tableSize(service, reach);
                if (size > 0) {
                    Members first = tables[0];
                    try {
                        runsAfter[at] = first != null && members.fillLike(first)
                                ? runsAfter[0]
                                : table(entry, reach, members, size);
                        tables[at] = members;
                        continue;
                    } catch (TableFullException e) {
                        lack = e;
                    }
                }
                int[] plain = members.run();
                runsAfter[at] = Stream.of(runsAfter[0], entry.run(reach))
                        .filter(run -> holds(run, plain))
                        .findFirst()
                        .orElseGet(() -> writeRun(runs.take(plain.length), plain));
            }
        } catch (RuntimeException e) {
            without(runsAfter, entry.runs).forEach(run -> runs.release(run.base(), run.count()));
            throw e;
        }
        return new Choices(runsAfter, tables, lack);
    }

    /** To fill a table is some work: of what the one is made that stands there tells whether it is the one. */
    private Run table(Entry entry, Reach reach, Members members, int size) {
        Run before = entry.run(reach);
        Members made = entry.tables[reach.ordinal()];
        boolean stands =
                before.count() == size && (made == null ? holds(before, members.table(size)) : members.fillLike(made));
        return stands ? before : writeRun(runs.takeForTable(size), members.table(size));
    }

    private boolean holds(Run run, int[] members) {
        if (run.count() != members.length) {
            return false;
        }
        for (int i = 0; i < members.length; i++) {
            if (maps.slot(run.base() + i) != members[i]) {
                return false;
            }
        }
        return true;
    }

    private Run writeRun(int base, int[] members) {
        Run run = new Run(base, members.length);
        try {
            for (int i = 0; i < members.length; i++) {
                maps.putSlot(run.base() + i, members[i]);
            }
        } catch (RuntimeException e) {
            runs.release(run.base(), run.count());
            throw e;
        }
        return run;
    }

    private static Set<Run> without(Run[] some, Run[] others) {
        Set<Run> left = new HashSet<>(Arrays.asList(some));
        Arrays.asList(others).forEach(left::remove);
        left.remove(Run.EMPTY);
        return left;
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

    /**
     * To these other nodes send clients. They may not have heard yet of one that takes nobody new: so it stays as long as
     * it serves.
     */
    private void putLocalBackends(Entry entry, VirtualService service) {
        Map<Address, Integer> wanted = new HashMap<>(0);
        if (service.frontends().values().stream().anyMatch(Access::direct)) {
            for (int i = 0; i < entry.backendIds.length; i++) {
                Backend backend = entry.backends.get(i);
                Integer known = entry.localBackends.get(backend.address());
                if (backend.state().takes(Reach.LOCAL)) {
                    wanted.put(backend.address(), entry.backendIds[i]);
                } else if (backend.state().serves() && known != null && known == entry.backendIds[i]) {
                    wanted.putIfAbsent(backend.address(), known);
                }
            }
        }
        removeLocalBackends(entry, wanted.keySet());
        wanted.forEach((address, id) -> {
            if (!id.equals(entry.localBackends.get(address))) {
                maps.putLocalBackend(entry.serviceId, address, id);
                remember(entry, address, id);
            }
        });
    }

    private void remember(Entry entry, Address address, int localBackend) {
        if (entry.localBackends.isEmpty()) {
            entry.localBackends = new HashMap<>(2);
        }
        if (entry.localBackends.put(address, localBackend) == null) {
            localBackends++;
        }
    }

    private void removeLocalBackends(Entry entry, Set<Address> kept) {
        for (Iterator<Address> each = entry.localBackends.keySet().iterator(); each.hasNext(); ) {
            Address address = each.next();
            if (!kept.contains(address)) {
                maps.removeLocalBackend(entry.serviceId, address);
                each.remove();
                localBackends--;
            }
        }
    }

    private void putSourceRanges(Entry entry, List<Prefix> wanted) {
        if (!wanted.isEmpty()) {
            // Until the frontends are as wanted too, they may need the old ones.
            entry.wantedRanges = new HashSet<>(entry.wantedRanges);
            entry.wantedRanges.addAll(wanted);
        }
        for (Prefix range : wanted) {
            if (!entry.ranges.contains(range)) {
                maps.putSourceRange(entry.serviceId, range);
                remember(entry, range);
            }
        }
    }

    /** Few services have any, so most share the empty set. */
    private void remember(Entry entry, Prefix range) {
        if (entry.ranges.isEmpty()) {
            entry.ranges = new HashSet<>();
        }
        entry.ranges.add(range);
        sourceRanges++;
    }

    private void addFrontends(Entry entry, VirtualService wanted, Set<Frontend> taken) {
        wanted.frontends().forEach((frontend, access) -> {
            Route route = route(entry, access, wanted);
            if (taken.contains(frontend) || route.equals(entry.frontends.get(frontend))) {
                return;
            }
            serviceAddresses.put(frontend, access);
            maps.putFrontend(frontend, route);
            strays.remove(frontend);
            Entry loser = own(frontend, entry);
            if (loser != null && loser != entry) {
                loser.frontends.remove(frontend);
            }
            entry.frontends.put(frontend, route);
        });
    }

    private static Route route(Entry entry, Access access, VirtualService wanted) {
        return new Route(entry.serviceId, access, wanted.affinitySeconds(), wanted.tableSize() > 0);
    }

    private @Nullable Entry own(Frontend frontend, Entry entry) {
        Entry loser = owners.put(frontend, entry);
        if (loser == null) {
            serviceAddresses.count(frontend);
        }
        return loser;
    }

    private void disown(Frontend frontend) {
        owners.remove(frontend);
        serviceAddresses.uncount(frontend);
    }

    private void removeUnwanted(VirtualService wanted, Set<Frontend> awaited) {
        Entry entry = entries.get(wanted.name());
        if (entry == null) {
            return;
        }
        Set<Frontend> kept = new HashSet<>(awaited);
        kept.addAll(wanted.frontends().keySet());
        removeFrontends(entry, kept);
        if (!wanted.frontends().keySet().containsAll(entry.frontends.keySet())) {
            // One that another is to have may need the old ranges.
            return;
        }
        entry.wantedRanges = Set.copyOf(wanted.sourceRanges());
        if (entry.ranges.size() == entry.wantedRanges.size()) {
            return;
        }
        if (entry.wantedRanges.isEmpty()) {
            // Everyone may come in now, also whom a program asks for that has just found the frontend restricted.
            grace.after(() -> {
                removeUnwantedRanges(entry);
                freed();
            });
        } else {
            removeUnwantedRanges(entry);
        }
    }

    private void removeUnwantedRanges(Entry entry) {
        for (Iterator<Prefix> each = entry.ranges.iterator(); each.hasNext(); ) {
            Prefix range = each.next();
            if (!entry.wantedRanges.contains(range)) {
                maps.removeSourceRange(entry.serviceId, range);
                each.remove();
                sourceRanges--;
            }
        }
    }

    private void removeFrontends(Entry entry, Set<Frontend> kept) {
        for (Iterator<Frontend> each = entry.frontends.keySet().iterator(); each.hasNext(); ) {
            Frontend frontend = each.next();
            if (!kept.contains(frontend)) {
                maps.removeFrontend(frontend);
                each.remove();
                disown(frontend);
            }
        }
    }

    /** Takes it out, but for what another is to have and does not yet. */
    private void remove(String name, Set<Frontend> awaited) {
        Entry entry = entries.get(name);
        if (entry == null) {
            return;
        }
        removeFrontends(entry, awaited);
        if (entry.frontends.isEmpty()) {
            remove(entry);
            entries.remove(name);
        }
    }

    /** A program that has just found one of the frontends still gets a backend. */
    private void remove(Entry entry) {
        touchSets(entry);
        removeFrontends(entry, Set.of());
        grace.after(() -> {
            for (Reach reach : REACHES) {
                maps.putSet(entry.serviceId, reach, Run.EMPTY);
            }
            Set<Run> oldRuns = without(entry.runs, new Run[0]);
            int[] oldBackends = entry.backendIds;
            entry.runs = new Run[] {Run.EMPTY, Run.EMPTY};
            entry.backends = List.of();
            entry.backendIds = new int[0];
            oldRuns.forEach(run -> runs.release(run.base(), run.count()));
            for (int id : oldBackends) {
                maps.markBackendGone(id);
                backendIds.release(id);
            }
            if (oldBackends.length > 0) {
                whenBackendsAreGone.run();
            }
            releaseServiceId(entry);
        });
    }

    /** Who gets the id next must not let in whom this service did, nor count on: so it is kept until all of that is gone. */
    private void releaseServiceId(Entry entry) {
        entry.wantedRanges = Set.of();
        try {
            removeUnwantedRanges(entry);
            removeLocalBackends(entry, Set.of());
            maps.removeStats(entry.serviceId);
        } catch (RuntimeException e) {
            grace.after(() -> releaseServiceId(entry));
            throw e;
        }
        byId[entry.serviceId] = null;
        serviceIds.release(entry.serviceId);
        freed();
    }

    private void free(Set<Run> old, List<Integer> backends, boolean someAreUnready) {
        if (old.isEmpty() && backends.isEmpty() && !someAreUnready) {
            return;
        }
        grace.after(() -> {
            old.forEach(run -> runs.release(run.base(), run.count()));
            backends.forEach(backendIds::release);
            freed();
            if (!backends.isEmpty() || someAreUnready) {
                whenBackendsAreGone.run();
            }
        });
    }

    private void freed() {
        roomCame |= wantsRoom;
        wantsRoom = false;
        publishUse();
    }

    /**
     * Whether something has been freed since a {@link TableFullException}, so that it is worth to try again; then false
     * until the next one.
     */
    public boolean roomCame() {
        boolean came = roomCame;
        roomCame = false;
        return came;
    }

    /**
     * Says which of the node's addresses take node ports, in place of what was said before, also by an earlier process.
     *
     * @param wanted with 127.0.0.1 if loopback does, in this process's own network namespace alone; IPv6 loopback never
     *     does, and is passed over
     * @throws TableFullException if there are too many; the kernel then has some of them
     */
    public void putNodeAddresses(Set<Address> wanted) {
        try {
            for (Address address : wanted) {
                if (!address.equals(LOOPBACK6) && !nodeAddresses.contains(address)) {
                    maps.putNodeAddress(address);
                    nodeAddresses.add(address);
                }
            }
        } finally {
            // Also if there was no room: this makes some.
            for (Iterator<Address> each = nodeAddresses.iterator(); each.hasNext(); ) {
                Address address = each.next();
                if (!wanted.contains(address)) {
                    maps.removeNodeAddress(address);
                    each.remove();
                }
            }
            publishUse();
        }
    }

    /** Ids and contents of the maps become entries without a name; their frontends will tell whose they are. */
    private void adopt() {
        maps.forEachFrontend((frontend, route) -> {
            Entry entry = adopt(route.serviceId());
            if (entry == null) {
                strays.add(frontend);
            } else {
                entry.frontends.put(frontend, route);
                own(frontend, entry);
            }
        });
        List<Integer> strayStats = new ArrayList<>();
        maps.forEachStats(id -> {
            if (adopt(id) == null) {
                strayStats.add(id);
            }
        });
        strayStats.forEach(maps::removeStats);
        adoptSourceRanges();
        adoptLocalBackends();
        maps.forEachSetInUse((id, reach, run) -> {
            Entry entry = adopt(id);
            if (entry == null || !adopt(entry, reach, run)) {
                maps.putSet(id, reach, Run.EMPTY);
            }
        });
        adoptBackends();
        maps.forEachNodeAddress(nodeAddresses::add);
        publishUse();
    }

    private void adoptSourceRanges() {
        Map<Integer, List<Prefix>> strayRanges = new HashMap<>();
        maps.forEachSourceRange((id, range) -> {
            Entry entry = adopt(id);
            if (entry == null) {
                strayRanges.computeIfAbsent(id, i -> new ArrayList<>()).add(range);
            } else {
                remember(entry, range);
            }
        });
        strayRanges.forEach((id, ranges) -> ranges.forEach(range -> maps.removeSourceRange(id, range)));
    }

    private void adoptLocalBackends() {
        Map<Integer, List<Address>> stray = new HashMap<>();
        maps.forEachLocalBackend((id, address, backendId) -> {
            Entry entry = adopt(id);
            if (entry == null) {
                stray.computeIfAbsent(id, i -> new ArrayList<>()).add(address);
            } else {
                remember(entry, address, backendId);
            }
        });
        stray.forEach((id, addresses) -> addresses.forEach(address -> maps.removeLocalBackend(id, address)));
    }

    private void adoptBackends() {
        Map<Entry, List<Integer>> ids = new HashMap<>();
        maps.forEachBackend(id -> {
            Entry entry = adopt(maps.backendServiceId(id));
            if (entry == null) {
                maps.markBackendGone(id);
            } else if (backendIds.reserve(id)) {
                ids.computeIfAbsent(entry, e -> new ArrayList<>()).add(id);
            }
        });
        ids.forEach((entry, own) -> {
            entry.backends = own.stream().map(maps::backend).toList();
            entry.backendIds = own.stream().mapToInt(Integer::intValue).toArray();
        });
    }

    /** The entry of a service id, null if there can be no such id. */
    private @Nullable Entry adopt(int serviceId) {
        if (serviceIds.reserve(serviceId)) {
            Entry entry = new Entry(serviceId, "left by an earlier process");
            byId[serviceId] = entry;
            adopted.add(entry);
        }
        return entry(serviceId);
    }

    /** False if the run is another service's, or none there can be. */
    private boolean adopt(Entry entry, Reach reach, Run run) {
        if (Arrays.asList(entry.runs).contains(run) || runs.reserve(run.base(), run.count())) {
            entry.runs[reach.ordinal()] = run;
            return true;
        }
        return false;
    }

    /**
     * Takes over what this virtual service was under another name, or what an earlier process left of it: of those of
     * which no other may want a frontend, what has the most. An earlier process's may be another's if it has any that this
     * does not want, and those must go on leading to its own backends until it is put.
     */
    private @Nullable Entry claim(VirtualService wanted, Family family) {
        Set<Frontend> frontends = wanted.frontends().keySet();
        Entry best = frontends.stream()
                .map(owners::get)
                .filter(entry -> entry != null
                        && (adopted.contains(entry)
                                ? frontends.containsAll(entry.frontends.keySet())
                                : family.goesOver(entry, wanted)))
                .max(Comparator.comparingInt(entry -> entry.frontends.size()))
                .orElse(null);
        if (best != null) {
            adopted.remove(best);
            entries.remove(best.name, best);
            best.name = wanted.name();
            entries.put(wanted.name(), best);
        }
        return best;
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
        serviceAddresses.removeUnused();
        return removed;
    }

    /** What the kernel has by a service id, null if it should have nothing. */
    @Nullable
    Entry entry(int serviceId) {
        return serviceId >= 0 && serviceId < byId.length ? byId[serviceId] : null;
    }

    /** No service id from this one on is given out. */
    int serviceIdsEnd() {
        return serviceIds.end();
    }

    /** Whether the kernel has a frontend that it should have, or one that is to go soon. */
    boolean knows(Frontend frontend) {
        return owners.containsKey(frontend) || strays.contains(frontend);
    }

    /** The addresses that the kernel should know as services'. */
    ServiceAddresses serviceAddresses() {
        return serviceAddresses;
    }

    /** The node's addresses that the kernel should have take node ports. */
    Set<Address> nodeAddresses() {
        return nodeAddresses;
    }

    /** The ids of backends that are given out, those included that rest until a grace period ends. */
    IdPool backendIds() {
        return backendIds;
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
                "frontends",
                owners.size() + serviceAddresses.size(),
                "node_addresses",
                nodeAddresses.size(),
                "source_ranges",
                sourceRanges,
                "service_stats",
                serviceIds.inUse(),
                "sets",
                serviceIds.inUse() * REACHES.length,
                "backends",
                backendIds.inUse(),
                "slots",
                runs.inUse(),
                "local_backends",
                localBackends);
    }

    /**
     * Entries of a map in use, those that rest until a grace period ends included; -1 if this does not manage that map.
     * Safe from any thread.
     */
    public int entries(String map) {
        return use.getOrDefault(map, -1);
    }
}
