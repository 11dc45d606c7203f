package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.util.function.Predicate;

/** What stands in `flows_new`: rows of flows that are not confirmed, or over (src/main/bpf/new.h). */
final class FlowRows {
    static final long TAGS = Layouts.offset(Layouts.FLOW_ROW, "tags");
    static final long FLOWS = Layouts.offset(Layouts.FLOW_ROW, "flows");

    private FlowRows() {}

    /**
     * Shows the flows of a row until the search has seen enough.
     *
     * @return whether it has
     */
    static boolean anyMatch(MemorySegment row, Predicate<MemorySegment> search) {
        for (int i = 0; i < Layouts.ROW_FLOWS; i++) {
            if (row.get(JAVA_INT, TAGS + (long) i * Integer.BYTES) != 0
                    && search.test(row.asSlice(FLOWS + i * Layouts.FLOW.byteSize(), Layouts.FLOW))) {
                return true;
            }
        }
        return false;
    }
}
