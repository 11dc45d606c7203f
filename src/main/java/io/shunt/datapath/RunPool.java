package io.shunt.datapath;

import java.util.Map;
import java.util.TreeMap;

/**
 * Gives out runs of neighbouring slots, the first that is long enough; freed neighbours grow together again. Tables are
 * long and few: they stand at the end, where they neither cut up the room of the others nor take all of it.
 */
final class RunPool {
    private static final String TABLE_CURE = "raise --max-maglev-tables or lower --maglev-table-size; until then this"
            + " service goes without a Maglev table";

    private final String map;
    private final String flag;
    private final int size;
    private final int tablesFrom;
    /** start -> length of every free run; no two of them touch. */
    private final TreeMap<Integer, Integer> free = new TreeMap<>();

    private int inUse;

    /** @param tablesFrom slots before this one have no part of a table */
    RunPool(String map, int size, int tablesFrom, String flag) {
        this.map = map;
        this.flag = flag;
        this.size = size;
        this.tablesFrom = tablesFrom;
        free.put(0, size);
    }

    /**
     * The start of {@code length} neighbouring slots; 0 for length 0, which takes nothing.
     *
     * @throws TableFullException if there is no such run
     */
    int take(int length) {
        if (length == 0) {
            return 0;
        }
        for (Map.Entry<Integer, Integer> run : free.entrySet()) {
            if (run.getValue() >= length) {
                int start = run.getKey();
                cut(start, run.getValue(), start, length);
                return start;
            }
        }
        throw new TableFullException(map, size, "raise " + flag);
    }

    /**
     * The start of {@code length} neighbouring slots for a table, the last that are free.
     *
     * @throws TableFullException if there is no such run where tables may be
     */
    int takeForTable(int length) {
        for (Map.Entry<Integer, Integer> run : free.descendingMap().entrySet()) {
            int start = run.getKey() + run.getValue() - length;
            if (start >= tablesFrom && start >= run.getKey()) {
                cut(run.getKey(), run.getValue(), start, length);
                return start;
            }
        }
        throw new TableFullException(map, size, TABLE_CURE, true);
    }

    /** Takes a run that an earlier process gave out; false if it is out of range or not all free. */
    boolean reserve(int start, int length) {
        Map.Entry<Integer, Integer> run = free.floorEntry(start);
        if (length <= 0 || run == null || run.getKey() + run.getValue() < (long) start + length) {
            return false;
        }
        cut(run.getKey(), run.getValue(), start, length);
        return true;
    }

    private void cut(int freeStart, int freeLength, int start, int length) {
        free.remove(freeStart);
        if (start > freeStart) {
            free.put(freeStart, start - freeStart);
        }
        int rest = freeStart + freeLength - start - length;
        if (rest > 0) {
            free.put(start + length, rest);
        }
        inUse += length;
    }

    void release(int start, int length) {
        if (length == 0) {
            return;
        }
        int from = start;
        int to = start + length;
        Map.Entry<Integer, Integer> left = free.lowerEntry(to);
        if (left != null && left.getKey() + left.getValue() > start) {
            throw new IllegalStateException("slots " + start + "+" + length + " are free already");
        }
        if (left != null && left.getKey() + left.getValue() == start) {
            from = left.getKey();
        }
        Integer right = free.remove(to);
        if (right != null) {
            to += right;
        }
        free.put(from, to - from);
        inUse -= length;
    }

    int inUse() {
        return inUse;
    }
}
