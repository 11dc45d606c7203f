package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.Cpus;
import io.shunt.libbpf.Errno;
import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;

/** The table's maps in the kernel. Written by the control thread alone; the maps themselves belong to whoever opened them. */
final class KernelMaps implements TableMaps, AutoCloseable {
    private static final long BACKEND_ADDRESS = Layouts.offset(Layouts.BACKEND, "address");
    private static final long BACKEND_PORT = Layouts.offset(Layouts.BACKEND, "port");
    private static final long BACKEND_STATE = Layouts.offset(Layouts.BACKEND, "state");
    private static final long BACKEND_GENERATION = Layouts.offset(Layouts.BACKEND, "generation");
    private static final long BACKEND_SERVICE_ID = Layouts.offset(Layouts.BACKEND, "service_id");
    private static final long KEY_ADDRESS = Layouts.offset(Layouts.FRONTEND_KEY, "address");
    private static final long KEY_PORT = Layouts.offset(Layouts.FRONTEND_KEY, "port");
    private static final long KEY_PROTOCOL = Layouts.offset(Layouts.FRONTEND_KEY, "protocol");
    private static final long FRONTEND_ACCESS = Layouts.offset(Layouts.FRONTEND, "access");
    private static final long FRONTEND_AFFINITY = Layouts.offset(Layouts.FRONTEND, "affinity_seconds");
    private static final long FRONTEND_SERVICE_ID = Layouts.offset(Layouts.FRONTEND, "service_id");
    private static final long LOCAL_SERVICE_ID = Layouts.offset(Layouts.LOCAL_BACKEND, "service_id");
    private static final long LOCAL_ADDRESS = Layouts.offset(Layouts.LOCAL_BACKEND, "address");
    private static final long RANGE_LENGTH = Layouts.offset(Layouts.SOURCE_RANGE, "prefix_length");
    private static final long RANGE_SERVICE_ID = Layouts.offset(Layouts.SOURCE_RANGE, "service_id");
    private static final long RANGE_ADDRESS = Layouts.offset(Layouts.SOURCE_RANGE, "address");
    private static final VarHandle SET_WORD = JAVA_LONG.varHandle();
    private static final boolean LITTLE_ENDIAN = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;

    private static final Reach[] REACHES = Reach.values();

    /** enum backend_state of types.h, and what is left when none of it is set. */
    private static final byte GONE = 0;

    private static final byte SERVES = 1;
    private static final byte IN_CLUSTER = 2;
    private static final byte IN_LOCAL = 4;
    private static final byte UNREADY = 8;

    /** enum frontend_access of types.h. */
    private static final byte INSIDE_LOCAL = 1;

    private static final byte OUTSIDE_LOCAL = 2;
    private static final byte RESTRICTED = 4;
    private static final byte OF_NODE = 8;
    private static final byte EXTERNAL = 16;
    private static final byte HASHED = 32;
    private static final byte DIRECT = 64;

    /** Port and protocol of the entry that stands for an address itself, and SERVICE_OF_ADDRESS of types.h. */
    private static final int NO_PORT = 0;

    private static final byte NO_PROTOCOL = 0;
    private static final int SERVICE_OF_ADDRESS = -1;

    /** enum node_address of types.h. */
    private static final int TAKES = 1;

    private static final int LOOPBACK = 2;

    private static final Address LOOPBACK4 = Address.of("127.0.0.1");

    private static final String MORE_BACKENDS = "raise --max-backends";
    private static final String MORE_SERVICES = "raise --max-services";
    private static final String FEWER_ADDRESSES = "choose fewer by --nodeport-addresses";

    /**
     * A hash map without preallocation takes its elements from a small per-CPU cache that the kernel refills a moment
     * later, and a bucket may be locked by an interrupted program: both pass.
     */
    private static final Set<Errno> PASSING = Set.of(Errno.ENOMEM, Errno.EBUSY, Errno.EAGAIN);

    private static final int TRIES = 200;
    private static final long PAUSE_NANOS = 100_000;

    private final Arena arena = Arena.ofShared();
    private final IntConsumer statsGo;
    private final BpfMap frontends;
    private final BpfMap ranges;
    private final BpfMap nodeAddresses;
    private final BpfMap stats;
    private final BpfMap localBackends;
    private final BpfMap setMap;
    private final BpfMap backendMap;
    private final MappedArray sets;
    private final MappedArray slots;
    private final MappedArray backends;
    private final MemorySegment frontendValue = arena.allocate(Layouts.FRONTEND);
    /** The value begins with the key. */
    private final MemorySegment frontendKey = frontendValue.asSlice(0, Layouts.FRONTEND_KEY);

    private final MemorySegment range = arena.allocate(Layouts.SOURCE_RANGE);
    private final MemorySegment admitted = arena.allocateFrom(JAVA_BYTE, (byte) 1);
    private final MemorySegment nodeAddress = arena.allocate(Layouts.ADDRESS);
    private final MemorySegment nodeFlags = arena.allocate(JAVA_INT);
    private final MemorySegment localBackend = arena.allocate(Layouts.LOCAL_BACKEND);
    private final MemorySegment localBackendId = arena.allocate(JAVA_INT);
    private final MemorySegment statsKey = arena.allocate(JAVA_INT);
    private final MemorySegment noStats =
            arena.allocate(Layouts.SERVICE_STATS.byteSize() * Cpus.possible(), Long.BYTES);

    /** What a map has, of the longest value. */
    private final MemorySegment found = arena.allocate(Layouts.FRONTEND);

    private final CallCount frontendUpdates = new CallCount("update", "frontends");
    private final CallCount frontendDeletes = new CallCount("delete", "frontends");
    private final CallCount rangeUpdates = new CallCount("update", "source_ranges");
    private final CallCount rangeDeletes = new CallCount("delete", "source_ranges");
    private final CallCount nodeUpdates = new CallCount("update", "node_addresses");
    private final CallCount nodeDeletes = new CallCount("delete", "node_addresses");
    private final CallCount statsUpdates = new CallCount("update", "service_stats");
    private final CallCount statsDeletes = new CallCount("delete", "service_stats");
    private final CallCount localUpdates = new CallCount("update", "local_backends");
    private final CallCount localDeletes = new CallCount("delete", "local_backends");
    private final CallCount setStores = new CallCount("store", "sets");
    private final CallCount slotStores = new CallCount("store", "slots");
    private final CallCount backendStores = new CallCount("store", "backends");

    /**
     * @param maps the loaded maps by name
     * @param statsGo hears of a service whose counters are about to go
     */
    KernelMaps(Function<String, BpfMap> maps, IntConsumer statsGo) {
        this.statsGo = statsGo;
        frontends = maps.apply("frontends");
        ranges = maps.apply("source_ranges");
        nodeAddresses = maps.apply("node_addresses");
        stats = maps.apply("service_stats");
        localBackends = maps.apply("local_backends");
        setMap = maps.apply("sets");
        backendMap = maps.apply("backends");
        sets = new MappedArray(setMap, arena);
        slots = new MappedArray(maps.apply("slots"), arena);
        backends = new MappedArray(backendMap, arena);
    }

    List<CallCount> calls() {
        return List.of(
                frontendUpdates,
                frontendDeletes,
                rangeUpdates,
                rangeDeletes,
                nodeUpdates,
                nodeDeletes,
                statsUpdates,
                statsDeletes,
                localUpdates,
                localDeletes,
                setStores,
                slotStores,
                backendStores);
    }

    /** Unmaps the arrays; the maps stay. */
    @Override
    public void close() {
        arena.close();
    }

    @Override
    public int maxServices() {
        return sets.size() / REACHES.length;
    }

    @Override
    public int maxSlots() {
        return slots.size() * Layouts.SLOTS_A_PAIR;
    }

    @Override
    public int maxBackends() {
        return backends.size();
    }

    @Override
    public void putFrontend(Frontend frontend, Route route) {
        write(frontend, route);
        update(frontendUpdates, frontends, frontendKey, frontendValue, MORE_SERVICES);
    }

    @Override
    public boolean hasFrontend(Frontend frontend, Route route) {
        write(frontend, route);
        return has(frontends, frontendKey, frontendValue);
    }

    private void write(Frontend frontend, Route route) {
        writeKey(frontend);
        byte access = accessBits(frontend, route.access());
        writeValue((byte) (access | (route.hashed() ? HASHED : 0)), route.affinitySeconds(), route.serviceId());
    }

    private void writeValue(byte access, int affinitySeconds, int serviceId) {
        frontendValue.set(JAVA_BYTE, FRONTEND_ACCESS, access);
        frontendValue.set(JAVA_INT, FRONTEND_AFFINITY, affinitySeconds);
        frontendValue.set(JAVA_INT, FRONTEND_SERVICE_ID, serviceId);
    }

    /** Whether a map has just this, to the last byte. */
    private boolean has(BpfMap map, MemorySegment key, MemorySegment value) {
        MemorySegment there = found.asSlice(0, value.byteSize());
        return map.lookup(key, there) && there.mismatch(value) == -1;
    }

    private static byte accessBits(Frontend frontend, Access access) {
        return (byte) ((access.inside() == Reach.LOCAL ? INSIDE_LOCAL : 0)
                | (access.outside() == Reach.LOCAL ? OUTSIDE_LOCAL : 0)
                | (access.restricted() ? RESTRICTED : 0)
                | (frontend.isOfNode() ? OF_NODE : 0)
                | (access.external() ? EXTERNAL : 0)
                | (access.direct() ? DIRECT : 0));
    }

    static Access access(byte bits) {
        return new Access(
                (bits & INSIDE_LOCAL) == 0 ? Reach.CLUSTER : Reach.LOCAL,
                (bits & OUTSIDE_LOCAL) == 0 ? Reach.CLUSTER : Reach.LOCAL,
                (bits & RESTRICTED) != 0,
                (bits & EXTERNAL) != 0,
                (bits & DIRECT) != 0);
    }

    static boolean isHashed(byte bits) {
        return (bits & HASHED) != 0;
    }

    private static void update(CallCount count, BpfMap map, MemorySegment key, MemorySegment value, String cure) {
        for (int tries = 1; ; tries++) {
            try {
                count.count(() -> {
                    map.update(key, value, BpfMap.ANY);
                    return true;
                });
                return;
            } catch (BpfException e) {
                // The second is a longest-prefix match's word for it.
                if (e.errno().equals(Errno.E2BIG) || e.errno().equals(Errno.ENOSPC)) {
                    throw new TableFullException(map.name(), map.maxEntries(), cure);
                }
                if (tries == TRIES || !PASSING.contains(e.errno())) {
                    throw e;
                }
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        }
    }

    @Override
    public void removeFrontend(Frontend frontend) {
        writeKey(frontend);
        delete(frontendDeletes, frontends, frontendKey);
    }

    private static void delete(CallCount count, BpfMap map, MemorySegment key) {
        for (int tries = 1; ; tries++) {
            try {
                count.count(() -> map.delete(key));
                return;
            } catch (BpfException e) {
                if (tries == TRIES || !PASSING.contains(e.errno())) {
                    throw e;
                }
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        }
    }

    private void writeKey(Frontend frontend) {
        writeKey(frontend.address(), frontend.port(), (byte) frontend.protocol().number());
    }

    private void writeKey(Address address, int port, byte protocol) {
        Layouts.putAddress(frontendKey, KEY_ADDRESS, address);
        Layouts.putPort(frontendKey, KEY_PORT, port);
        frontendKey.set(JAVA_BYTE, KEY_PROTOCOL, protocol);
    }

    @Override
    public void forEachFrontend(FrontendVisitor visitor) {
        forEachFrontend(frontends, visitor);
    }

    static void forEachFrontend(BpfMap frontends, FrontendVisitor visitor) {
        frontends.forEach((key, value) -> {
            int number = Byte.toUnsignedInt(key.get(JAVA_BYTE, KEY_PROTOCOL));
            Protocol.ofNumber(number)
                    .ifPresent(protocol -> visitor.visit(
                            new Frontend(Layouts.address(key, KEY_ADDRESS), Layouts.port(key, KEY_PORT), protocol),
                            new Route(
                                    value.get(JAVA_INT, FRONTEND_SERVICE_ID),
                                    access(value.get(JAVA_BYTE, FRONTEND_ACCESS)),
                                    value.get(JAVA_INT, FRONTEND_AFFINITY),
                                    isHashed(value.get(JAVA_BYTE, FRONTEND_ACCESS)))));
        });
    }

    @Override
    public void putServiceAddress(Address address, boolean external) {
        write(address, external);
        update(frontendUpdates, frontends, frontendKey, frontendValue, MORE_SERVICES);
    }

    @Override
    public boolean hasServiceAddress(Address address, boolean external) {
        write(address, external);
        return has(frontends, frontendKey, frontendValue);
    }

    private void write(Address address, boolean external) {
        writeKey(address, NO_PORT, NO_PROTOCOL);
        writeValue(external ? EXTERNAL : 0, 0, SERVICE_OF_ADDRESS);
    }

    @Override
    public void removeServiceAddress(Address address) {
        writeKey(address, NO_PORT, NO_PROTOCOL);
        delete(frontendDeletes, frontends, frontendKey);
    }

    @Override
    public void forEachServiceAddress(ServiceAddressVisitor visitor) {
        frontends.forEach((key, value) -> {
            if (key.get(JAVA_BYTE, KEY_PROTOCOL) == NO_PROTOCOL) {
                visitor.visit(
                        Layouts.address(key, KEY_ADDRESS), (value.get(JAVA_BYTE, FRONTEND_ACCESS) & EXTERNAL) != 0);
            }
        });
    }

    @Override
    public BooleanSupplier walk(Consumer<Frontend> visitor, Consumer<Address> serviceAddresses) {
        BpfMap.Walk walk = frontends.walk();
        return () -> !walk.goOn((key, value) -> {
            int number = Byte.toUnsignedInt(key.get(JAVA_BYTE, KEY_PROTOCOL));
            Address address = Layouts.address(key, KEY_ADDRESS);
            if (number == NO_PROTOCOL) {
                serviceAddresses.accept(address);
            } else {
                Protocol.ofNumber(number)
                        .ifPresent(protocol ->
                                visitor.accept(new Frontend(address, Layouts.port(key, KEY_PORT), protocol)));
            }
            return false;
        });
    }

    @Override
    public void putSourceRange(int serviceId, Prefix prefix) {
        writeRange(serviceId, prefix);
        update(rangeUpdates, ranges, range, admitted, MORE_SERVICES);
    }

    @Override
    public void removeSourceRange(int serviceId, Prefix prefix) {
        writeRange(serviceId, prefix);
        delete(rangeDeletes, ranges, range);
    }

    private void writeRange(int serviceId, Prefix prefix) {
        range.set(JAVA_INT, RANGE_LENGTH, Integer.SIZE + prefix.bits());
        range.set(JAVA_INT, RANGE_SERVICE_ID, serviceId);
        Layouts.putAddress(range, RANGE_ADDRESS, prefix.address());
    }

    @Override
    public void forEachSourceRange(SourceRangeVisitor visitor) {
        ranges.forEach((key, value) -> visitor.visit(key.get(JAVA_INT, RANGE_SERVICE_ID), prefix(key)));
    }

    static Prefix prefix(MemorySegment key) {
        return new Prefix(Layouts.address(key, RANGE_ADDRESS), key.get(JAVA_INT, RANGE_LENGTH) - Integer.SIZE);
    }

    @Override
    public void putNodeAddress(Address address) {
        writeNodeAddress(address);
        update(nodeUpdates, nodeAddresses, nodeAddress, nodeFlags, FEWER_ADDRESSES);
    }

    @Override
    public boolean hasNodeAddress(Address address) {
        writeNodeAddress(address);
        return has(nodeAddresses, nodeAddress, nodeFlags);
    }

    private void writeNodeAddress(Address address) {
        Layouts.putAddress(nodeAddress, 0, address);
        nodeFlags.set(JAVA_INT, 0, address.equals(LOOPBACK4) ? TAKES | LOOPBACK : TAKES);
    }

    @Override
    public void removeNodeAddress(Address address) {
        Layouts.putAddress(nodeAddress, 0, address);
        delete(nodeDeletes, nodeAddresses, nodeAddress);
    }

    @Override
    public void forEachNodeAddress(Consumer<Address> visitor) {
        nodeAddresses.forEach((key, value) -> visitor.accept(Layouts.address(key, 0)));
    }

    @Override
    public void putStats(int serviceId) {
        statsKey.set(JAVA_INT, 0, serviceId);
        update(statsUpdates, stats, statsKey, noStats, MORE_SERVICES);
    }

    @Override
    public void removeStats(int serviceId) {
        statsGo.accept(serviceId);
        statsKey.set(JAVA_INT, 0, serviceId);
        delete(statsDeletes, stats, statsKey);
    }

    @Override
    public void forEachStats(IntConsumer serviceId) {
        stats.forEach((key, value) -> serviceId.accept(key.get(JAVA_INT, 0)));
    }

    @Override
    public void putSet(int serviceId, Reach reach, Run run) {
        setStores.count();
        long low = Integer.toUnsignedLong(LITTLE_ENDIAN ? run.base() : run.count());
        long high = Integer.toUnsignedLong(LITTLE_ENDIAN ? run.count() : run.base());
        int id = setId(serviceId, reach);
        SET_WORD.setRelease(sets.window(id), sets.offset(id), high << 32 | low);
    }

    private static int setId(int serviceId, Reach reach) {
        return serviceId * REACHES.length + reach.ordinal();
    }

    static int serviceOfSet(int setId) {
        return setId / REACHES.length;
    }

    static Reach reachOfSet(int setId) {
        return REACHES[setId % REACHES.length];
    }

    @Override
    public Run set(int serviceId, Reach reach) {
        int id = setId(serviceId, reach);
        return run(sets.window(id), sets.offset(id));
    }

    private static Run run(MemorySegment segment, long offset) {
        return new Run(segment.get(JAVA_INT, offset), segment.get(JAVA_INT, offset + Integer.BYTES));
    }

    @Override
    public void forEachSetInUse(SetVisitor visitor) {
        setMap.forEach((key, value) -> {
            if (value.get(JAVA_LONG, 0) != 0) {
                int id = key.get(JAVA_INT, 0);
                visitor.visit(serviceOfSet(id), reachOfSet(id), run(value, 0));
            }
        });
    }

    @Override
    public void putSlot(int index, int backendId) {
        slotStores.count();
        slots.window(index / Layouts.SLOTS_A_PAIR).set(JAVA_INT, slotOffset(index), backendId);
    }

    @Override
    public int slot(int index) {
        return slots.window(index / Layouts.SLOTS_A_PAIR).get(JAVA_INT, slotOffset(index));
    }

    private long slotOffset(int index) {
        return slots.offset(index / Layouts.SLOTS_A_PAIR) + (long) (index % Layouts.SLOTS_A_PAIR) * Integer.BYTES;
    }

    /** Visits those slots of an element of their map that hold a backend's id. */
    static void forEachSlot(int pair, MemorySegment value, SlotVisitor visitor) {
        for (int i = 0; i < Layouts.SLOTS_A_PAIR; i++) {
            int backendId = value.get(JAVA_INT, (long) i * Integer.BYTES);
            if (backendId != 0) {
                visitor.visit(pair * Layouts.SLOTS_A_PAIR + i, backendId);
            }
        }
    }

    @FunctionalInterface
    interface SlotVisitor {
        void visit(int slot, int backendId);
    }

    @Override
    public void putBackend(int id, Address address, int port, Backend.State state, int generation, int serviceId) {
        MemorySegment window = backends.window(id);
        long at = backends.offset(id);
        Layouts.putAddress(window, at + BACKEND_ADDRESS, address);
        Layouts.putPort(window, at + BACKEND_PORT, port);
        window.set(JAVA_INT, at + BACKEND_GENERATION, generation);
        window.set(JAVA_INT, at + BACKEND_SERVICE_ID, serviceId);
        VarHandle.releaseFence();
        putBackendState(id, state);
    }

    @Override
    public void putBackendState(int id, Backend.State state) {
        storeState(id, bits(state));
    }

    private static byte bits(Backend.State state) {
        return state.serves()
                ? (byte) (SERVES
                        | (state.takes(Reach.CLUSTER) ? IN_CLUSTER : 0)
                        | (state.takes(Reach.LOCAL) ? IN_LOCAL : 0))
                : UNREADY;
    }

    @Override
    public void markBackendGone(int id) {
        storeState(id, GONE);
    }

    @Override
    public boolean isBackendGone(int id) {
        return storedState(id) == GONE;
    }

    @Override
    public boolean hasBackend(int id, Backend backend, int serviceId) {
        MemorySegment window = backends.window(id);
        long at = backends.offset(id);
        return storedState(id) == bits(backend.state())
                && Layouts.port(window, at + BACKEND_PORT) == backend.port()
                && Layouts.address(window, at + BACKEND_ADDRESS).equals(backend.address())
                && backendServiceId(id) == serviceId;
    }

    private byte storedState(int id) {
        return backends.window(id).get(JAVA_BYTE, backends.offset(id) + BACKEND_STATE);
    }

    private void storeState(int id, byte state) {
        backendStores.count();
        backends.window(id).set(JAVA_BYTE, backends.offset(id) + BACKEND_STATE, state);
    }

    @Override
    public void putLocalBackend(int serviceId, Address address, int backendId) {
        writeLocal(serviceId, address);
        localBackendId.set(JAVA_INT, 0, backendId);
        update(localUpdates, localBackends, localBackend, localBackendId, MORE_BACKENDS);
    }

    @Override
    public void removeLocalBackend(int serviceId, Address address) {
        writeLocal(serviceId, address);
        delete(localDeletes, localBackends, localBackend);
    }

    @Override
    public boolean hasLocalBackend(int serviceId, Address address, int backendId) {
        writeLocal(serviceId, address);
        localBackendId.set(JAVA_INT, 0, backendId);
        return has(localBackends, localBackend, localBackendId);
    }

    private void writeLocal(int serviceId, Address address) {
        localBackend.set(JAVA_INT, LOCAL_SERVICE_ID, serviceId);
        Layouts.putAddress(localBackend, LOCAL_ADDRESS, address);
    }

    @Override
    public void forEachLocalBackend(LocalBackendVisitor visitor) {
        localBackends.forEach((key, value) -> visitor.visit(
                key.get(JAVA_INT, LOCAL_SERVICE_ID), Layouts.address(key, LOCAL_ADDRESS), value.get(JAVA_INT, 0)));
    }

    @Override
    public void forEachBackend(IntConsumer id) {
        backendMap.forEach((key, value) -> {
            if (value.get(JAVA_BYTE, BACKEND_STATE) != GONE) {
                id.accept(key.get(JAVA_INT, 0));
            }
        });
    }

    @Override
    public Backend backend(int id) {
        MemorySegment window = backends.window(id);
        long at = backends.offset(id);
        return new Backend(
                Layouts.address(window, at + BACKEND_ADDRESS),
                Layouts.port(window, at + BACKEND_PORT),
                state(window.get(JAVA_BYTE, at + BACKEND_STATE)));
    }

    static Backend.State state(byte bits) {
        return (bits & SERVES) == 0
                ? Backend.State.UNREADY
                : Backend.State.of((bits & IN_CLUSTER) != 0, (bits & IN_LOCAL) != 0);
    }

    @Override
    public int backendGeneration(int id) {
        return backends.window(id).get(JAVA_INT, backends.offset(id) + BACKEND_GENERATION);
    }

    @Override
    public int backendServiceId(int id) {
        return backends.window(id).get(JAVA_INT, backends.offset(id) + BACKEND_SERVICE_ID);
    }
}
