package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.datapath.DropEvents.Ends;
import io.shunt.libbpf.BpfMap;
import java.lang.foreign.MemorySegment;
import java.util.function.Predicate;

/** The conversations that the packet programs know, as they stand in the kernel. Safe from any thread. */
public final class FlowTable {
    private static final long FROM = Layouts.offset(Layouts.FLOW, "from");
    private static final long TO = Layouts.offset(Layouts.FLOW, "to");
    private static final long SERVICE_ID = Layouts.offset(Layouts.FLOW, "service_id");
    private static final long SEEN = Layouts.offset(Layouts.FLOW, "seen");
    private static final long STATE = Layouts.offset(Layouts.FLOW, "state");
    private static final long FLAGS = Layouts.offset(Layouts.FLOW, "flags");
    private static final long TUNNEL = Layouts.offset(Layouts.FLOW, "tunnel");
    /** In enum tunnel of types.h: it goes on as it is, within packets from one end of the tunnel to the other. */
    private static final int INTO = 1;

    private static final int NANOS_PER_SECOND = 1_000_000_000;

    private final BpfMap confirmed;
    private final BpfMap rows;

    FlowTable(BpfMap confirmed, BpfMap rows) {
        this.confirmed = confirmed;
        this.rows = rows;
    }

    /**
     * A conversation.
     *
     * @param asked the client, and the address that it asks for
     * @param sent whom the backend sees, and the backend
     * @param serviceId 0: it asks for no service, and only its port was changed, to keep it apart from others
     * @param silentSeconds since the client spoke last
     */
    public record Flow(Ends asked, Ends sent, int serviceId, String state, int silentSeconds) {}

    /**
     * Shows the conversations in no order, confirmed ones first. One that is confirmed meanwhile may be shown twice.
     *
     * @param search says when it has seen enough
     */
    public void forEachUntil(Predicate<Flow> search) {
        int now = (int) (System.nanoTime() / NANOS_PER_SECOND);
        Predicate<MemorySegment> forward =
                flow -> (flow.get(JAVA_BYTE, FLAGS) & Layouts.FLOW_IS_REPLY) == 0 && search.test(decode(flow, now));
        boolean[] enough = new boolean[1];
        confirmed.forEachUntil((key, flow) -> enough[0] = forward.test(flow));
        if (!enough[0]) {
            rows.forEachUntil((key, row) -> FlowRows.anyMatch(row, forward));
        }
    }

    private static Flow decode(MemorySegment flow, int now) {
        Ends asked = Ends.of(flow, FROM);
        Ends to = Ends.of(flow, TO);
        return new Flow(
                asked,
                flow.get(JAVA_BYTE, TUNNEL) == INTO ? to.from(asked) : to,
                flow.get(JAVA_INT, SERVICE_ID),
                PinnedMaps.flowState(flow.get(JAVA_BYTE, STATE)),
                Math.max(0, now - flow.get(JAVA_INT, SEEN)));
    }
}
