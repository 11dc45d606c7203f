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
    /** How far apart the elements of `slots` stand: the kernel rounds an array's elements up to 8 bytes. */
    private static final long SLOT_STRIDE = 8;

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
    private final MemorySegment sets;
    private final MemorySegment slots;
    private final MemorySegment backends;
    private final MemorySegment frontendKey = arena.allocate(Layouts.FRONTEND_KEY);
    private final MemorySegment frontendValue = arena.allocate(Layouts.FRONTEND);
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
        sets = maps.apply("sets").mmap(arena);
        slots = maps.apply("slots").mmap(arena);
        backends = maps.apply("backends").mmap(arena);
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
        return (int) (sets.byteSize() / Layouts.SET.byteSize());
    }

    @Override
    public int maxSlots() {
        return (int) (slots.byteSize() / SLOT_STRIDE);
    }

    @Override
    public int maxBackends() {
        return (int) (backends.byteSize() / Layouts.BACKEND.byteSize());
    }

    @Override
    public void putFrontend(Frontend frontend, int serviceId) {
        writeKey(frontend);
        frontendValue.set(JAVA_INT, 0, serviceId);
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
                            value.get(JAVA_INT, 0)));
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
        SET_WORD.setRelease(sets, serviceId * Layouts.SET.byteSize(), high << 32 | low);
    }

    @Override
    public int setBase(int serviceId) {
        return sets.get(JAVA_INT, serviceId * Layouts.SET.byteSize());
    }

    @Override
    public int setCount(int serviceId) {
        return sets.get(JAVA_INT, serviceId * Layouts.SET.byteSize() + Integer.BYTES);
    }

    @Override
    public void putSlot(int index, int backendId) {
        slotStores.count();
        slots.set(JAVA_INT, index * SLOT_STRIDE, backendId);
    }

    @Override
    public int slot(int index) {
        return slots.get(JAVA_INT, index * SLOT_STRIDE);
    }

    @Override
    public void putBackend(int id, Address address, int port, Backend.State state, int generation, int serviceId) {
        long at = id * Layouts.BACKEND.byteSize();
        Layouts.putAddress(backends, at + BACKEND_ADDRESS, address);
        Layouts.putPort(backends, at + BACKEND_PORT, port);
        backends.set(JAVA_INT, at + BACKEND_GENERATION, generation);
        backends.set(JAVA_INT, at + BACKEND_SERVICE_ID, serviceId);
        VarHandle.releaseFence();
        putBackendState(id, state);
    }

    @Override
    public void putBackendState(int id, Backend.State state) {
        storeState(id, state == Backend.State.ACTIVE ? ACTIVE : DRAINING);
    }

    @Override
    public void markBackendGone(int id) {
        storeState(id, GONE);
    }

    private void storeState(int id, byte state) {
        backendStores.count();
        backends.set(JAVA_BYTE, id * Layouts.BACKEND.byteSize() + BACKEND_STATE, state);
    }

    @Override
    public boolean isBackendGone(int id) {
        return backends.get(JAVA_BYTE, id * Layouts.BACKEND.byteSize() + BACKEND_STATE) == GONE;
    }

    @Override
    public Backend backend(int id) {
        long at = id * Layouts.BACKEND.byteSize();
        boolean draining = backends.get(JAVA_BYTE, at + BACKEND_STATE) == DRAINING;
        return new Backend(
                Layouts.address(backends, at + BACKEND_ADDRESS),
                Layouts.port(backends, at + BACKEND_PORT),
                draining ? Backend.State.DRAINING : Backend.State.ACTIVE);
    }

    @Override
    public int backendGeneration(int id) {
        return backends.get(JAVA_INT, id * Layouts.BACKEND.byteSize() + BACKEND_GENERATION);
    }

    @Override
    public int backendServiceId(int id) {
        return backends.get(JAVA_INT, id * Layouts.BACKEND.byteSize() + BACKEND_SERVICE_ID);
    }
}
