package io.shunt.datapath;

/** A kernel map has no room left for one service; its neighbours are untouched. The message names the map and the flag. */
public final class TableFullException extends RuntimeException {
    private final String map;

    TableFullException(String map, int size, String flag) {
        super("map " + map + " is full (" + size + " entries): raise " + flag);
        this.map = map;
    }

    /** The map that is full. */
    public String map() {
        return map;
    }
}
