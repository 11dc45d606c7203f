package io.shunt.datapath;

/** A kernel map has no room left for one service; its neighbours are untouched. The message names the map and the flag. */
public final class TableFullException extends RuntimeException {
    private final String map;

    /** @param cure what to do with which flag */
    TableFullException(String map, int size, String cure) {
        super("map " + map + " is full (" + size + " entries): " + cure);
        this.map = map;
    }

    /** The map that is full. */
    public String map() {
        return map;
    }
}
