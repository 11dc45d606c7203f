package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.Cpus;
import io.shunt.libbpf.Errno;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
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
    private static final long FRONTEND_SERVICE_ID = Layouts.offset(Layouts.FRONTEND, "service_id");
    private static final VarHandle SET_WORD = JAVA_LONG.varHandle();
    private static final boolean LITTLE_ENDIAN = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;

    /** enum backend_state of types.h. */
    private static final byte GONE = 0;

    private static final byte ACTIVE = 1;
    private static final byte DRAINING = 2;

    /**
     * A hash map without preallocation takes its elements from a small per-CPU cache that the kernel refills a moment
     * later, and a bucket may be locked by an interrupted program: both pass.
     */
    private static final Set<Errno> PASSING = Set.of(Errno.ENOMEM, Errno.EBUSY, Errno.EAGAIN);

    private static final int TRIES = 200;
    private static final long PAUSE_NANOS = 100_000;

    private final Arena arena = Arena.ofShared();
    private final BpfMap frontends;
    private final BpfMap stats;
    private final BpfMap setMap;
    private final BpfMap backendMap;
    private final MappedArray sets;
    private final MappedArray slots;
    private final MappedArray backends;
    private final MemorySegment frontendValue = arena.allocate(Layouts.FRONTEND);
    /** The value begins with the key. */
    private final MemorySegment frontendKey = frontendValue.asSlice(0, Layouts.FRONTEND_KEY);

    private final MemorySegment statsKey = arena.allocate(JAVA_INT);
    private final MemorySegment noStats =
            arena.allocate(Layouts.SERVICE_STATS.byteSize() * Cpus.possible(), Long.BYTES);

    private final CallCount frontendUpdates = new CallCount("update", "frontends");
    private final CallCount frontendDeletes = new CallCount("delete", "frontends");
    private final CallCount statsUpdates = new CallCount("update", "service_stats");
    private final CallCount statsDeletes = new CallCount("delete", "service_stats");
    private final CallCount setStores = new CallCount("store", "sets");
    private final CallCount slotStores = new CallCount("store", "slots");
    private final CallCount backendStores = new CallCount("store", "backends");

    /** @param maps the loaded maps by name */
    KernelMaps(Function<String, BpfMap> maps) {
        frontends = maps.apply("frontends");
        stats = maps.apply("service_stats");
        setMap = maps.apply("sets");
        backendMap = maps.apply("backends");
        sets = new MappedArray(setMap, arena);
        slots = new MappedArray(maps.apply("slots"), arena);
        backends = new MappedArray(backendMap, arena);
    }

    List<CallCount> calls() {
        return List.of(
                frontendUpdates, frontendDeletes, statsUpdates, statsDeletes, setStores, slotStores, backendStores);
    }

    /** Unmaps the arrays; the maps stay. */
    @Override
    public void close() {
        arena.close();
    }

    @Override
    public int maxServices() {
        return sets.size();
    }

    @Override
    public int maxSlots() {
        return slots.size();
    }

    @Override
    public int maxBackends() {
        return backends.size();
    }

    @Override
    public void putFrontend(Frontend frontend, int serviceId) {
        writeKey(frontend);
        frontendValue.set(JAVA_INT, FRONTEND_SERVICE_ID, serviceId);
        update(frontendUpdates, frontends, frontendKey, frontendValue);
    }

    private static void update(CallCount count, BpfMap map, MemorySegment key, MemorySegment value) {
        for (int tries = 1; ; tries++) {
            try {
                count.count(() -> {
                    map.update(key, value, BpfMap.ANY);
                    return true;
                });
                return;
            } catch (BpfException e) {
                if (e.errno().equals(Errno.E2BIG)) {
                    throw new TableFullException(map.name(), map.maxEntries(), "--max-services");
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
        Layouts.putAddress(frontendKey, KEY_ADDRESS, frontend.address());
        Layouts.putPort(frontendKey, KEY_PORT, frontend.port());
        frontendKey.set(JAVA_BYTE, KEY_PROTOCOL, (byte) frontend.protocol().number());
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
                            value.get(JAVA_INT, FRONTEND_SERVICE_ID)));
        });
    }

    @Override
    public void putStats(int serviceId) {
        statsKey.set(JAVA_INT, 0, serviceId);
        update(statsUpdates, stats, statsKey, noStats);
    }

    @Override
    public void removeStats(int serviceId) {
        statsKey.set(JAVA_INT, 0, serviceId);
        delete(statsDeletes, stats, statsKey);
    }

    @Override
    public void forEachStats(IntConsumer serviceId) {
        stats.forEach((key, value) -> serviceId.accept(key.get(JAVA_INT, 0)));
    }

    @Override
    public void putSet(int serviceId, int base, int count) {
        setStores.count();
        long low = Integer.toUnsignedLong(LITTLE_ENDIAN ? base : count);
        long high = Integer.toUnsignedLong(LITTLE_ENDIAN ? count : base);
        SET_WORD.setRelease(sets.window(serviceId), sets.offset(serviceId), high << 32 | low);
    }

    @Override
    public int setBase(int serviceId) {
        return sets.window(serviceId).get(JAVA_INT, sets.offset(serviceId));
    }

    @Override
    public int setCount(int serviceId) {
        return sets.window(serviceId).get(JAVA_INT, sets.offset(serviceId) + Integer.BYTES);
    }

    @Override
    public void forEachSetInUse(IntConsumer serviceId) {
        setMap.forEach((key, value) -> {
            if (value.get(JAVA_LONG, 0) != 0) {
                serviceId.accept(key.get(JAVA_INT, 0));
            }
        });
    }

    @Override
    public void putSlot(int index, int backendId) {
        slotStores.count();
        slots.window(index).set(JAVA_INT, slots.offset(index), backendId);
    }

    @Override
    public int slot(int index) {
        return slots.window(index).get(JAVA_INT, slots.offset(index));
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
        storeState(id, state.takes(Reach.CLUSTER) ? ACTIVE : DRAINING);
    }

    @Override
    public void markBackendGone(int id) {
        storeState(id, GONE);
    }

    private void storeState(int id, byte state) {
        backendStores.count();
        backends.window(id).set(JAVA_BYTE, backends.offset(id) + BACKEND_STATE, state);
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
        boolean draining = window.get(JAVA_BYTE, at + BACKEND_STATE) == DRAINING;
        return new Backend(
                Layouts.address(window, at + BACKEND_ADDRESS),
                Layouts.port(window, at + BACKEND_PORT),
                draining ? Backend.State.DRAINING : Backend.State.CLUSTER);
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
