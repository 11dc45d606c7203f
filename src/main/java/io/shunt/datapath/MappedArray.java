package io.shunt.datapath;

import io.shunt.libbpf.BpfMap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * An array map in memory, mapped window by window as it is used: a mapping counts as this process's memory in full, and
 * most nodes use a small part of what the maps can hold. Used by one thread.
 */
final class MappedArray {
    /** A multiple of every page size and of every element size. */
    private static final long WINDOW_BYTES = 1 << 18;

    private final BpfMap map;
    private final Arena arena;
    private final int stride;
    private final int elementsAWindow;
    private final @Nullable MemorySegment[] windows;

    /**
     * @param map an array made mmap-able, whose elements have a size that is a power of two
     * @param arena unmaps the windows when it is closed
     */
    MappedArray(BpfMap map, Arena arena) {
        this.map = map;
        this.arena = arena;
        // The kernel rounds the size of an array's elements up to 8 bytes.
        stride = (map.valueSize() + Long.BYTES - 1) / Long.BYTES * Long.BYTES;
        elementsAWindow = (int) (WINDOW_BYTES / stride);
        windows = new MemorySegment[(map.maxEntries() + elementsAWindow - 1) / elementsAWindow];
    }

    int size() {
        return map.maxEntries();
    }

    /**
     * The memory that an element lies in; {@link #offset} says where.
     *
     * @throws io.shunt.libbpf.BpfException if its window is mapped for the first time and cannot be
     */
    MemorySegment window(int index) {
        int number = index / elementsAWindow;
        MemorySegment window = windows[number];
        if (window == null) {
            long start = number * WINDOW_BYTES;
            long length = Math.min(WINDOW_BYTES, (long) map.maxEntries() * stride - start);
            window = map.mmap(arena, start, length);
            windows[number] = window;
        }
        return window;
    }

    /** Where in its window an element begins, in bytes. */
    long offset(int index) {
        return (long) (index % elementsAWindow) * stride;
    }
}
