package io.shunt.datapath;

import java.util.BitSet;

/**
 * Gives out the indexes of one array map, the lowest first, so that what is in use lies close together. Index 0 is never given out: a zeroed kernel entry must not name anything.
 */
final class IdPool {
    private final String map;
    private final String flag;
    private final int size;
    private final BitSet taken;
    /** No id below it is free. */
    private int cursor = 1;

    private int inUse;

    /**
     * @param size entries of the array map, index 0 included
     * @param flag the flag that enlarges the map, for the message when it is full
     */
    IdPool(String map, int size, String flag) {
        this.map = map;
        this.flag = flag;
        this.size = size;
        this.taken = new BitSet(size);
        taken.set(0);
    }

    /** @throws TableFullException if every id is in use */
    int take() {
        int id = taken.nextClearBit(cursor);
        if (id >= size) {
            throw new TableFullException(map, size - 1, "raise " + flag);
        }
        taken.set(id);
        cursor = id + 1;
        inUse++;
        return id;
    }

    /** Takes {@code id}, which an earlier process gave out; false if it is out of range or taken already. */
    boolean reserve(int id) {
        if (id <= 0 || id >= size || taken.get(id)) {
            return false;
        }
        taken.set(id);
        inUse++;
        return true;
    }

    void release(int id) {
        if (id <= 0 || !taken.get(id)) {
            throw new IllegalStateException("id " + id + " of map " + map + " is not in use");
        }
        taken.clear(id);
        cursor = Math.min(cursor, id);
        inUse--;
    }

    boolean isTaken(int id) {
        return taken.get(id);
    }

    /** No id from this one on is taken. */
    int end() {
        return taken.length();
    }

    int inUse() {
        return inUse;
    }
}
