package io.shunt.datapath;

/** A kernel map has no room left for one service; its neighbours are untouched. The message names the map and the flag. */
public final class TableFullException extends RuntimeException {
    private final String map;
    private final boolean isServed;

    /** @param cure what to do with which flag */
    TableFullException(String map, int size, String cure) {
        this(map, size, cure, false);
    }

    /** @param isServed whether the service has all its backends nevertheless */
    TableFullException(String map, int size, String cure, boolean isServed) {
        super("map " + map + " is full (" + size + " entries): " + cure);
        this.map = map;
        this.isServed = isServed;
    }

    /** Whether the service has all its backends nevertheless, and does without something else. */
    boolean isServed() {
        return isServed;
    }

    /** The map that is full. */
    public String map() {
        return map;
    }
}
