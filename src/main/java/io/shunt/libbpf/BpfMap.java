package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A map in the kernel. One of a {@link BpfObject} is closed with it; one from {@link #create} or {@link #openPinned} is
 * the caller's to close. Closing frees the map only if nothing else (a pin, a loaded program) refers to it.
 *
 * <p>Keys and values are native segments of at least {@link #keySize} and {@link #valueBytes} bytes, in the program's
 * own layout and byte order. {@link #lookup}, {@link #update}, {@link #delete} and {@link #nextKey} allocate nothing and
 * may be called by any thread.
 */
public final class BpfMap extends KernelObject {
    /** Flag of {@link #update}: create or overwrite. */
    public static final long ANY = 0;

    /** Flag of {@link #update}: only create. */
    public static final long NOEXIST = 1;

    /** Flag of {@link #update}: only overwrite. */
    public static final long EXIST = 2;

    /** Flag of a map: take memory with each element, not for all at the start. */
    public static final int NO_PREALLOC = 1;

    /** Flag of an array: user space may map it. */
    public static final int MMAPABLE = 1 << 10;

    private static final int ENOENT = -Errno.ENOENT.number();
    private static final int ENOSPC = -Errno.ENOSPC.number();
    /** No errno. */
    private static final int ENOUGH = 1;

    private static final int BATCH_BYTES = 64 * 1024;

    private final String name;
    private int type;
    private int keySize;
    private int valueSize;
    private int maxEntries;
    private int flags;
    private int valueBytes;
    private @Nullable Arena initialValue;

    private BpfMap(String name, int fd) {
        super("map", fd);
        this.name = name;
    }

    private BpfMap(MemorySegment definition) {
        super("map", definition);
        this.name = Definition.name(definition);
        readDefinition(definition);
    }

    /**
     * Makes a map that no program knows yet, without BTF.
     *
     * @param name letters, digits, "_" and "."; the kernel keeps 15 characters
     * @param type see {@link MapType}
     * @param keySize in bytes
     * @param valueSize in bytes; of one CPU for a per-CPU map
     */
    public static BpfMap create(String name, int type, int keySize, int valueSize, int maxEntries, int flags) {
        return create(name, type, keySize, valueSize, maxEntries, flags, 0);
    }

    /** Makes an array whose values are, when written, the descriptors of maps of the same make as {@code inner}. */
    static BpfMap createArrayOf(BpfMap inner, String name, int maxEntries) {
        return create(name, MapType.ARRAY_OF_MAPS, Integer.BYTES, Integer.BYTES, maxEntries, 0, inner.fd());
    }

    private static BpfMap create(
            String name, int type, int keySize, int valueSize, int maxEntries, int flags, int innerFd) {
        int fd;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment options = arena.allocate(Create.OPTIONS);
            options.set(JAVA_LONG, 0, Create.OPTIONS.byteSize());
            options.set(JAVA_INT, Create.INNER_FD, innerFd);
            options.set(JAVA_INT, Create.FLAGS, flags);
            fd = (int) Create.CALL.invokeExact(type, arena.allocateFrom(name), keySize, valueSize, maxEntries, options);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        BpfException.check(fd, "bpf_map_create", "map " + name);
        BpfMap map = new BpfMap(name, fd);
        map.shape(type, keySize, valueSize, maxEntries, flags);
        return map;
    }

    /**
     * Opens a map pinned in bpffs.
     *
     * @throws BpfException ENOENT if there is no such file, EINVAL if it is no map
     */
    public static BpfMap openPinned(Path path) {
        int fd = openPinned(path, "map", "bpf-map");
        try {
            MapInfo info;
            try (Arena arena = Arena.ofConfined()) {
                info = MapInfo.from(info(fd, MapInfo.LAYOUT, arena, "map at " + path));
            }
            BpfMap map = new BpfMap(info.name(), fd);
            map.shape(info.type(), info.keySize(), info.valueSize(), info.maxEntries(), info.flags());
            return map;
        } catch (RuntimeException e) {
            Fd.close(fd);
            throw e;
        }
    }

    /** The map an object file defines, before it is loaded. */
    static BpfMap of(MemorySegment definition) {
        return new BpfMap(definition);
    }

    void loaded() {
        MemorySegment definition = definition();
        readDefinition(definition);
        loaded(Definition.read(Definition.FD, definition));
        endInitialValue();
    }

    @Override
    void objectClosed() {
        super.objectClosed();
        endInitialValue();
    }

    /** A map of an object file bears its full name, not the 15 characters that the kernel keeps. */
    @Override
    public String name() {
        return name;
    }

    /** See {@link MapType}. */
    public int type() {
        return type;
    }

    public int keySize() {
        return keySize;
    }

    /** In bytes, as defined; of one CPU for a per-CPU map. See {@link #valueBytes}. */
    public int valueSize() {
        return valueSize;
    }

    /**
     * How many bytes a value has when it is read or written from here: the value size, or for a per-CPU map the value
     * size rounded up to 8 bytes, times {@link Cpus#possible}: CPU 0's value comes first.
     */
    public int valueBytes() {
        return valueBytes;
    }

    public int maxEntries() {
        return maxEntries;
    }

    public int flags() {
        return flags;
    }

    /**
     * Sets the size of a map whose object is not loaded yet. The size of a ring buffer is in bytes and is rounded up to
     * a power of two of pages.
     */
    public void setMaxEntries(int entries) {
        try {
            int result = (int) Definition.SET_MAX_ENTRIES.invokeExact(definition(), entries);
            BpfException.check(result, "bpf_map__set_max_entries", this);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        readDefinition(definition());
    }

    /**
     * The contents of a global data section (".rodata", ".data", ".bss") to start with, of a map whose object is not
     * loaded yet. Cannot be used any more once that is loaded or closed.
     */
    @SuppressWarnings("MustBeClosedChecker") // closed by endInitialValue
    public MemorySegment initialValue() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(JAVA_LONG);
            MemorySegment value = (MemorySegment) Definition.INITIAL_VALUE.invokeExact(definition(), size);
            if (Native.isNull(value)) {
                throw new BpfException("bpf_map__initial_value", toString(), Errno.EINVAL.number(), "it has none");
            }
            if (initialValue == null) {
                initialValue = Arena.ofShared();
            }
            return value.reinterpret(size.get(JAVA_LONG, 0), initialValue, null);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * Makes the object, not loaded yet, use an existing map in place of a new one. Its fd is duplicated, so that
     * {@code pinned} stays the caller's. The number of entries becomes that of {@code pinned}.
     *
     * @throws LayoutMismatchException if type, key size, value size or flags differ from what the program expects
     */
    public void reuse(BpfMap pinned) {
        List<String> differences = new ArrayList<>();
        difference(differences, "type", pinned.type, type);
        difference(differences, "key size", pinned.keySize, keySize);
        difference(differences, "value size", pinned.valueSize, valueSize);
        difference(differences, "flags", pinned.flags, flags);
        if (!differences.isEmpty()) {
            throw new LayoutMismatchException(this + " cannot take over the existing " + pinned + ": ", differences);
        }
        try {
            int result = (int) Definition.REUSE_FD.invokeExact(definition(), pinned.fd());
            BpfException.check(result, "bpf_map__reuse_fd", this);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        readDefinition(definition());
    }

    private static void difference(List<String> differences, String what, int existing, int expected) {
        if (existing != expected) {
            differences.add("it has " + what + " " + existing + ", the program needs " + expected);
        }
    }

    /**
     * Reads the value of a key into {@code value}.
     *
     * @return false if the map has no such key; {@code value} is then untouched
     */
    public boolean lookup(MemorySegment key, MemorySegment value) {
        sized(key, keySize, "key");
        sized(value, valueBytes, "value");
        int result;
        try {
            result = (int) Elements.LOOKUP.invokeExact(fd(), key, value);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return foundOr(result, "bpf_map_lookup_elem");
    }

    /**
     * Writes one element.
     *
     * @param flags {@link #ANY}, {@link #NOEXIST} or {@link #EXIST}
     * @throws BpfException E2BIG if the map is full (for an array: the index is too high), EEXIST, ENOENT
     */
    public void update(MemorySegment key, MemorySegment value, long flags) {
        sized(key, keySize, "key");
        sized(value, valueBytes, "value");
        int result;
        try {
            result = (int) Elements.UPDATE.invokeExact(fd(), key, value, flags);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        BpfException.check(result, "bpf_map_update_elem", this);
    }

    /** Removes an element; false if there was none. */
    public boolean delete(MemorySegment key) {
        sized(key, keySize, "key");
        int result;
        try {
            result = (int) Elements.DELETE.invokeExact(fd(), key);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return foundOr(result, "bpf_map_delete_elem");
    }

    /**
     * Reads into {@code next} the key that follows {@code key}, or the first one if that is null. A hash map starts
     * again from its first key if {@code key} is not in it any more.
     *
     * @return false at the end
     */
    public boolean nextKey(@Nullable MemorySegment key, MemorySegment next) {
        if (key != null) {
            sized(key, keySize, "key");
        }
        sized(next, keySize, "next key");
        int result;
        try {
            result = (int) Elements.NEXT_KEY.invokeExact(fd(), Native.orNull(key), next);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return foundOr(result, "bpf_map_get_next_key");
    }

    /**
     * Writes the first {@code count} of keys and values that lie one after the other, overwriting what is there.
     *
     * @throws BatchException at the first that fails; it tells how many were written before
     */
    public void updateBatch(MemorySegment keys, MemorySegment values, int count) {
        sized(keys, (long) keySize * count, "keys");
        sized(values, (long) valueBytes * count, "values");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment done = arena.allocateFrom(JAVA_INT, count);
            int result = (int) UpdateBatch.CALL.invokeExact(fd(), keys, values, done, MemorySegment.NULL);
            if (result < 0) {
                throw new BatchException("bpf_map_update_batch", toString(), -result, done.get(JAVA_INT, 0), count);
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Removes the first {@code count} keys, passing over those that are not there. Returns how many there were. */
    public int deleteBatch(MemorySegment keys, int count) {
        sized(keys, (long) keySize * count, "keys");
        int deleted = 0;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment done = arena.allocate(JAVA_INT);
            for (int from = 0; from < count; ) {
                done.set(JAVA_INT, 0, count - from);
                MemorySegment rest = keys.asSlice((long) keySize * from);
                int result = (int) DeleteBatch.CALL.invokeExact(fd(), rest, done, MemorySegment.NULL);
                int now = done.get(JAVA_INT, 0);
                if (result < 0 && result != ENOENT) {
                    throw new BatchException("bpf_map_delete_batch", toString(), -result, from + now, count);
                }
                deleted += now;
                from += result == ENOENT ? now + 1 : now;
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return deleted;
    }

    /** What {@link #forEach} calls for each element. Both segments are only good until it returns. */
    @FunctionalInterface
    public interface Visitor {
        void visit(MemorySegment key, MemorySegment value);
    }

    /** What {@link #forEachUntil} calls for each element. Both segments are only good until it returns. */
    @FunctionalInterface
    public interface Search {
        /** @return whether it has seen enough */
        boolean visit(MemorySegment key, MemorySegment value);
    }

    /**
     * Shows every element, read in batches. An array shows all its indexes. Of elements that are inserted or deleted
     * meanwhile, some are shown and some not; in a hash map every element that stays is shown exactly once.
     *
     * @throws BpfException ENOTSUPP for a map type without batches
     */
    public void forEach(Visitor visitor) {
        forEachUntil((key, value) -> {
            visitor.visit(key, value);
            return false;
        });
    }

    /**
     * The same as {@link #forEach}, until the search has seen enough.
     *
     * @throws BpfException ENOTSUPP for a map type without batches
     */
    public void forEachUntil(Search search) {
        try (Arena tokens = Arena.ofConfined()) {
            Walk walk = new Walk(tokens);
            boolean more = true;
            while (more) {
                more = walk.goOn(search);
            }
        }
    }

    /** Shows every element as {@link #forEach} does, with time for other things between two batches. */
    public Walk walk() {
        return new Walk(Arena.ofAuto());
    }

    /** On its way from a map's first element to its last. For one thread at a time. */
    public final class Walk {
        private final MemorySegment position;
        private final MemorySegment next;
        private MemorySegment in = MemorySegment.NULL;
        private int capacity = Math.clamp(BATCH_BYTES / Math.max(1, keySize + valueBytes), 1, Math.max(1, maxEntries));

        private Walk(Arena tokens) {
            // A hash map's token is a bucket number, that of other maps is a key.
            long tokenBytes = Math.max(Integer.BYTES, keySize);
            position = tokens.allocate(tokenBytes, Long.BYTES);
            next = tokens.allocate(tokenBytes, Long.BYTES);
        }

        /**
         * Shows one batch.
         *
         * @return whether there is more to see, and the search has not seen enough
         */
        public boolean goOn(Search search) {
            int result = readBatch(in, next, capacity, search);
            if (result == ENOSPC) {
                // One bucket alone has more elements than fit. Nothing was read: the same again with more room.
                capacity *= 2;
            } else {
                position.copyFrom(next);
                in = position;
            }
            return result != ENOENT && result != ENOUGH;
        }
    }

    /** Returns 0, ENOENT when this was the last batch, ENOSPC when not even one bucket fits, or ENOUGH. */
    private int readBatch(MemorySegment in, MemorySegment next, int capacity, Search search) {
        int result;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment keys = arena.allocate((long) keySize * capacity, Long.BYTES);
            MemorySegment values = arena.allocate((long) valueBytes * capacity, Long.BYTES);
            MemorySegment count = arena.allocateFrom(JAVA_INT, capacity);
            result = (int) LookupBatch.CALL.invokeExact(fd(), in, next, keys, values, count, MemorySegment.NULL);
            if (result < 0 && result != ENOENT && result != ENOSPC) {
                throw new BpfException("bpf_map_lookup_batch", toString(), -result, null);
            }
            for (int i = 0; result != ENOSPC && i < count.get(JAVA_INT, 0); i++) {
                if (search.visit(
                        keys.asSlice((long) keySize * i, keySize), values.asSlice((long) valueBytes * i, valueBytes))) {
                    return ENOUGH;
                }
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return result;
    }

    /**
     * Maps the values of an array made with {@link #MMAPABLE} into memory, readable and writable: the value of index i
     * is at i times the value size rounded up to 8 bytes. Unmapped when the arena is closed; the kernel keeps the map
     * alive until then. A store is seen by programs as any store between CPUs is; one aligned word is never torn.
     */
    public MemorySegment mmap(Arena arena) {
        return mmap(arena, 0, (valueSize + 7L) / 8 * 8 * maxEntries);
    }

    /**
     * As {@link #mmap(Arena)}, but only a part.
     *
     * @param offset where in the array it begins, in bytes, a multiple of the page size
     * @param bytes how long it is
     */
    public MemorySegment mmap(Arena arena, long offset, long bytes) {
        return Mapping.map(fd(), offset, bytes, arena, this);
    }

    public MapInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            return MapInfo.from(info(MapInfo.LAYOUT, arena));
        }
    }

    /** The kernel memory that the map takes, in bytes, as the kernel counts it (an estimate before Linux 6.4). */
    public long memoryBytes() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/fdinfo/" + fd()))) {
                if (line.startsWith("memlock:")) {
                    return Long.parseLong(line.substring("memlock:".length()).strip());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read how much memory " + this + " takes", e);
        }
        throw new IllegalStateException("/proc/self/fdinfo does not say how much memory " + this + " takes");
    }

    private void shape(int newType, int newKeySize, int newValueSize, int newMaxEntries, int newFlags) {
        type = newType;
        keySize = newKeySize;
        valueSize = newValueSize;
        maxEntries = newMaxEntries;
        flags = newFlags;
        valueBytes = MapType.isPerCpu(newType) ? (newValueSize + 7) / 8 * 8 * Cpus.possible() : newValueSize;
    }

    private void readDefinition(MemorySegment definition) {
        shape(
                Definition.read(Definition.TYPE, definition),
                Definition.read(Definition.KEY_SIZE, definition),
                Definition.read(Definition.VALUE_SIZE, definition),
                Definition.read(Definition.MAX_ENTRIES, definition),
                Definition.read(Definition.FLAGS, definition));
    }

    private void endInitialValue() {
        if (initialValue != null) {
            initialValue.close();
            initialValue = null;
        }
    }

    private boolean foundOr(int result, String call) {
        if (result == ENOENT) {
            return false;
        }
        BpfException.check(result, call, this);
        return true;
    }

    /** The kernel would read or write beyond a segment that is too short. */
    private void sized(MemorySegment segment, long bytes, String what) {
        if (segment.byteSize() < bytes) {
            throw new IllegalArgumentException(
                    this + ": " + what + " has " + segment.byteSize() + " bytes, needs " + bytes);
        }
    }

    private static final class Elements {
        static final MethodHandle LOOKUP = Native.libbpf("bpf_map_lookup_elem", Native.INT_FROM_INT_POINTER_POINTER);
        static final MethodHandle NEXT_KEY = Native.libbpf("bpf_map_get_next_key", Native.INT_FROM_INT_POINTER_POINTER);
        static final MethodHandle DELETE = Native.libbpf("bpf_map_delete_elem", Native.INT_FROM_INT_POINTER);
        static final MethodHandle UPDATE = Native.libbpf(
                "bpf_map_update_elem", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG));
    }

    private static final class UpdateBatch {
        static final MethodHandle CALL = Native.libbpf(
                "bpf_map_update_batch", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    }

    private static final class DeleteBatch {
        static final MethodHandle CALL = Native.libbpf(
                "bpf_map_delete_batch", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS));
    }

    private static final class LookupBatch {
        static final MethodHandle CALL = Native.libbpf(
                "bpf_map_lookup_batch",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    }

    static final class Create {
        /** The beginning of struct bpf_map_create_opts, which may end anywhere. */
        static final StructLayout OPTIONS = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"),
                        MemoryLayout.paddingLayout(4 * 4),
                        JAVA_INT.withName("inner_map_fd"),
                        JAVA_INT.withName("map_flags"))
                .withName("bpf_map_create_opts");

        static final long INNER_FD = OPTIONS.byteOffset(PathElement.groupElement("inner_map_fd"));
        static final long FLAGS = OPTIONS.byteOffset(PathElement.groupElement("map_flags"));
        static final MethodHandle CALL = Native.libbpf(
                "bpf_map_create",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
    }

    /** What an object file says of a map. */
    private static final class Definition {
        static final MethodHandle FD = Native.libbpf("bpf_map__fd", Native.INT_FROM_POINTER);
        static final MethodHandle TYPE = Native.libbpf("bpf_map__type", Native.INT_FROM_POINTER);
        static final MethodHandle KEY_SIZE = Native.libbpf("bpf_map__key_size", Native.INT_FROM_POINTER);
        static final MethodHandle VALUE_SIZE = Native.libbpf("bpf_map__value_size", Native.INT_FROM_POINTER);
        static final MethodHandle MAX_ENTRIES = Native.libbpf("bpf_map__max_entries", Native.INT_FROM_POINTER);
        static final MethodHandle FLAGS = Native.libbpf("bpf_map__map_flags", Native.INT_FROM_POINTER);
        static final MethodHandle NAME = Native.libbpf("bpf_map__name", Native.POINTER_FROM_POINTER);
        static final MethodHandle SET_MAX_ENTRIES =
                Native.libbpf("bpf_map__set_max_entries", Native.INT_FROM_POINTER_INT);
        static final MethodHandle REUSE_FD = Native.libbpf("bpf_map__reuse_fd", Native.INT_FROM_POINTER_INT);
        static final MethodHandle INITIAL_VALUE =
                Native.libbpf("bpf_map__initial_value", Native.POINTER_FROM_POINTER_POINTER);

        static int read(MethodHandle getter, MemorySegment map) {
            try {
                return (int) getter.invokeExact(map);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }

        static String name(MemorySegment map) {
            try {
                return Native.string((MemorySegment) NAME.invokeExact(map));
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }
    }
}
