package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Compares what the kernel has with what the {@link Datapath} has written, and writes anew what others have changed. Used
 * by the control thread alone, between two of its writes: then the datapath knows what the kernel has, also of what waits
 * for a grace period or has failed. A round goes piece by piece, so that changes come in between.
 *
 * <p>It does not look at generations, which the kernel alone knows, nor at counters, nor at what nothing in use leads to.
 */
public final class Audit {
    private static final Reach[] REACHES = Reach.values();
    private static final int EXAMPLES = 5;

    private final TableMaps maps;
    private final Datapath datapath;
    /** What comes before the services: strangers go first, and make room. */
    private final List<Runnable> pieces;

    private int next;
    /** The way through all of them, until its end. */
    private @Nullable BooleanSupplier frontends;

    private Repairs repairs = new Repairs();

    /** @param links attaches what has been detached */
    Audit(TableMaps maps, Datapath datapath, Consumer<Repairs> links) {
        this.maps = maps;
        this.datapath = datapath;
        pieces = List.of(
                () -> links.accept(repairs),
                this::nodeAddresses,
                this::strangeFrontends,
                this::strangeLocalBackends,
                this::strangeBackends,
                this::sourceRanges);
    }

    /** What a round has repaired, and what it could not. */
    public static final class Repairs {
        private final Map<String, Integer> made = new TreeMap<>();
        private final List<String> examples = new ArrayList<>();
        private String failure = "";

        /** @param what was wrong, for people to read */
        void make(String map, String what, Runnable write) {
            try {
                write.run();
                made.merge(map, 1, Integer::sum);
                if (examples.size() < EXAMPLES) {
                    examples.add(map + ": " + what);
                }
            } catch (RuntimeException e) {
                failed(e);
            }
        }

        private void failed(RuntimeException e) {
            if (failure.isEmpty()) {
                failure = String.valueOf(e.getMessage());
            }
        }

        /** How many by map; "links" are programs that were attached again. */
        public Map<String, Integer> made() {
            return made;
        }

        /** What was wrong with the first of them. */
        public List<String> examples() {
            return examples;
        }

        /** What failed first; "" if nothing did. */
        public String failure() {
            return failure;
        }
    }

    /** What {@link Repairs#made} may name. */
    public static List<String> maps() {
        return List.of(
                "backends", "frontends", "links", "local_backends", "node_addresses", "sets", "slots", "source_ranges");
    }

    /**
     * Goes on with a round, or begins the next.
     *
     * @param nanos when so much time has passed it does no further piece
     * @return what was found once the round has ended
     */
    public Optional<Repairs> goOn(long nanos) {
        long start = System.nanoTime();
        do {
            try {
                doNext();
            } catch (RuntimeException e) {
                repairs.failed(e);
            }
            next++;
            if (next >= pieces.size() + datapath.serviceIdsEnd()) {
                Repairs all = repairs;
                repairs = new Repairs();
                next = 0;
                return Optional.of(all);
            }
        } while (System.nanoTime() - start < nanos);
        return Optional.empty();
    }

    private void doNext() {
        if (next < pieces.size()) {
            pieces.get(next).run();
        } else {
            service(next - pieces.size());
        }
    }

    private void nodeAddresses() {
        removeStrange(
                "node_addresses",
                maps::forEachNodeAddress,
                datapath.nodeAddresses()::contains,
                maps::removeNodeAddress);
        for (Address address : datapath.nodeAddresses()) {
            if (!maps.hasNodeAddress(address)) {
                repairs.make("node_addresses", address + " was lost", () -> maps.putNodeAddress(address));
            }
        }
    }

    /** There may be many, so each batch is a piece. */
    private void strangeFrontends() {
        if (frontends == null) {
            frontends = maps.walk(
                    frontend -> strange("frontends", frontend, datapath.knows(frontend), maps::removeFrontend),
                    address -> strange(
                            "frontends",
                            address,
                            datapath.serviceAddresses().contains(address),
                            maps::removeServiceAddress));
        }
        BooleanSupplier walk = frontends;
        frontends = null;
        if (!walk.getAsBoolean()) {
            frontends = walk;
            next--;
        }
    }

    private record Local(int serviceId, Address address) {}

    private void strangeLocalBackends() {
        removeStrange(
                "local_backends",
                visitor -> maps.forEachLocalBackend((id, address, backend) -> visitor.accept(new Local(id, address))),
                local -> {
                    Datapath.Entry entry = datapath.entry(local.serviceId);
                    return entry != null && entry.localBackends.containsKey(local.address);
                },
                (Local local) -> maps.removeLocalBackend(local.serviceId, local.address));
    }

    private void strangeBackends() {
        IdPool ids = datapath.backendIds();
        for (int id = 0; id < ids.end(); id++) {
            if (!maps.isBackendGone(id) && (id == 0 || !ids.isTaken(id))) {
                int strange = id;
                repairs.make("backends", id + " is nobody's", () -> maps.markBackendGone(strange));
            }
        }
    }

    private record Range(int serviceId, Prefix prefix) {}

    /** A look-up would find a shorter one too, so all are read. */
    private void sourceRanges() {
        Set<Range> there = new HashSet<>();
        maps.forEachSourceRange((id, prefix) -> there.add(new Range(id, prefix)));
        removeStrange(
                "source_ranges",
                there::forEach,
                range -> {
                    Datapath.Entry entry = datapath.entry(range.serviceId);
                    return entry != null && entry.ranges.contains(range.prefix);
                },
                (Range range) -> maps.removeSourceRange(range.serviceId, range.prefix));
        for (int id = 0; id < datapath.serviceIdsEnd(); id++) {
            Datapath.Entry entry = datapath.entry(id);
            if (entry != null) {
                for (Prefix prefix : entry.ranges) {
                    if (!there.contains(new Range(id, prefix))) {
                        repairs.make(
                                "source_ranges",
                                prefix + " of " + entry.name + " was lost",
                                () -> maps.putSourceRange(entry.serviceId, prefix));
                    }
                }
            }
        }
    }

    private <K> void removeStrange(
            String map, Consumer<Consumer<K>> kernel, Predicate<? super K> known, Consumer<K> remove) {
        List<K> strange = new ArrayList<>();
        kernel.accept(key -> {
            if (!known.test(key)) {
                strange.add(key);
            }
        });
        strange.forEach(key -> strange(map, key, false, remove));
    }

    private <K> void strange(String map, K key, boolean isKnown, Consumer<K> remove) {
        if (!isKnown) {
            repairs.make(map, key + " is nobody's", () -> remove.accept(key));
        }
    }

    /** In the order of a change: what leads somewhere comes after where it leads. */
    private void service(int id) {
        Datapath.Entry entry = datapath.entry(id);
        if (entry == null) {
            for (Reach reach : REACHES) {
                set(id, reach, Run.EMPTY, "nobody");
            }
            return;
        }
        backends(entry);
        slots(entry, Reach.CLUSTER);
        if (!entry.run(Reach.LOCAL).equals(entry.run(Reach.CLUSTER))) {
            slots(entry, Reach.LOCAL);
        }
        for (Reach reach : REACHES) {
            set(id, reach, entry.run(reach), entry.name);
        }
        entry.localBackends.forEach((address, backend) -> {
            if (!maps.hasLocalBackend(id, address, backend)) {
                repairs.make(
                        "local_backends",
                        address + " of " + entry.name + " was lost or changed",
                        () -> maps.putLocalBackend(id, address, backend));
            }
        });
        entry.frontends.forEach((frontend, route) -> frontend(entry, frontend, route));
    }

    private void backends(Datapath.Entry entry) {
        for (int i = 0; i < entry.backendIds.length; i++) {
            int id = entry.backendIds[i];
            Backend backend = entry.backends.get(i);
            if (!maps.hasBackend(id, backend, entry.serviceId)) {
                repairs.make(
                        "backends",
                        id + ", " + backend + " of " + entry.name + " was changed",
                        () -> putBackend(id, backend, entry.serviceId));
            }
        }
    }

    /** Who remembers what stood there for a while remembers another backend. */
    private void putBackend(int id, Backend backend, int serviceId) {
        Backend there = maps.backend(id);
        boolean isOther = !there.address().equals(backend.address()) || there.port() != backend.port();
        int generation = maps.backendGeneration(id) + (isOther ? 1 : 0);
        maps.putBackend(id, backend.address(), backend.port(), backend.state(), generation, serviceId);
    }

    private void slots(Datapath.Entry entry, Reach reach) {
        int[] wanted = entry.slots(reach);
        for (int i = 0; i < wanted.length; i++) {
            int slot = entry.run(reach).base() + i;
            int backend = wanted[i];
            if (maps.slot(slot) != backend) {
                repairs.make("slots", slot + " of " + entry.name + " was changed", () -> maps.putSlot(slot, backend));
            }
        }
    }

    private void set(int id, Reach reach, Run run, String name) {
        if (!maps.set(id, reach).equals(run)) {
            repairs.make("sets", id + " " + reach + " of " + name + " was changed", () -> maps.putSet(id, reach, run));
        }
    }

    private void frontend(Datapath.Entry entry, Frontend frontend, Route route) {
        ServiceAddresses addresses = datapath.serviceAddresses();
        Address address = frontend.address();
        if (addresses.contains(address) && !maps.hasServiceAddress(address, addresses.isExternal(address))) {
            repairs.make(
                    "frontends",
                    "the address " + address + " of " + entry.name + " was lost or changed",
                    () -> maps.putServiceAddress(address, addresses.isExternal(address)));
        }
        if (!maps.hasFrontend(frontend, route)) {
            repairs.make(
                    "frontends",
                    frontend + " of " + entry.name + " was lost or changed",
                    () -> maps.putFrontend(frontend, route));
        }
    }
}
