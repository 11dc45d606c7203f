package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.RingBuffer;
import io.shunt.net.Address;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/**
 * Drops one by one, as the programs tell of them. They tell nothing that was not {@link #grant}ed: so a reader that ends,
 * however it ends, leaves them silent soon. For one platform thread.
 */
public final class DropEvents implements AutoCloseable {
    private static final long TUPLE = Layouts.offset(Layouts.DROP_EVENT, "tuple");
    private static final long TIME = Layouts.offset(Layouts.DROP_EVENT, "time");
    private static final long SERVICE_ID = Layouts.offset(Layouts.DROP_EVENT, "service_id");
    private static final long DEVICE = Layouts.offset(Layouts.DROP_EVENT, "device");
    private static final long REASON = Layouts.offset(Layouts.DROP_EVENT, "reason");
    private static final long DIRECTION = Layouts.offset(Layouts.DROP_EVENT, "direction");
    private static final long IS_LAST = Layouts.offset(Layouts.DROP_EVENT, "is_last");

    private final BpfMap credit;
    private final RingBuffer buffer;
    private boolean opened;

    /**
     * A packet that was dropped or answered instead of sent on, or a socket's call that was refused.
     *
     * @param nanoTime when, on the clock of {@link System#nanoTime}
     * @param ends as the sender had them; of a socket that was not bound, the source is unspecified
     * @param serviceId 0: it was not known yet
     * @param device by index; 0: it was a socket's call
     * @param isLast of those granted: others may have followed that nobody tells of
     */
    public record Event(
            long nanoTime, Ends ends, String reason, String direction, int serviceId, int device, boolean isLast) {}

    /**
     * Who spoke to whom.
     *
     * @param sourcePort 0: not known
     * @param protocol the IANA protocol number
     */
    public record Ends(Address source, int sourcePort, Address destination, int destinationPort, int protocol) {
        static Ends of(MemorySegment segment, long at) {
            return new Ends(
                    Layouts.address(segment, at + Layouts.offset(Layouts.TUPLE, "source")),
                    Layouts.port(segment, at + Layouts.offset(Layouts.TUPLE, "source_port")),
                    Layouts.address(segment, at + Layouts.offset(Layouts.TUPLE, "destination")),
                    Layouts.port(segment, at + Layouts.offset(Layouts.TUPLE, "destination_port")),
                    Byte.toUnsignedInt(segment.get(JAVA_BYTE, at + Layouts.offset(Layouts.TUPLE, "protocol"))));
        }

        /** With the other's source. */
        Ends from(Ends other) {
            return new Ends(other.source, other.sourcePort, destination, destinationPort, protocol);
        }
    }

    /** What nobody read before is forgotten: who it was, and which service, may not be true any more. */
    DropEvents(BpfMap events, BpfMap credit, Consumer<Event> reader) {
        this.credit = credit;
        grant(0);
        buffer = new RingBuffer(events, event -> {
            if (opened) {
                reader.accept(decode(event));
            }
        });
        buffer.consume();
        opened = true;
    }

    private static Event decode(MemorySegment event) {
        return new Event(
                // The clock of the kernel's that System.nanoTime reads.
                event.get(JAVA_LONG, TIME),
                Ends.of(event, TUPLE),
                Drops.reason(event.get(JAVA_BYTE, REASON)),
                Drops.direction(event.get(JAVA_BYTE, DIRECTION)),
                event.get(JAVA_INT, SERVICE_ID),
                event.get(JAVA_INT, DEVICE),
                event.get(JAVA_BYTE, IS_LAST) != 0);
    }

    /** From now on so many may be told, whatever was granted before. */
    public void grant(int events) {
        try (Arena arena = Arena.ofConfined()) {
            credit.update(arena.allocateFrom(JAVA_INT, 0), arena.allocateFrom(JAVA_LONG, events), BpfMap.ANY);
        }
    }

    /**
     * Waits for events and hands over all there are.
     *
     * @param timeoutMillis to wait for the first
     * @throws BpfException if the kernel does not let them be read
     */
    public void poll(int timeoutMillis) {
        buffer.poll(timeoutMillis);
    }

    @Override
    public void close() {
        grant(0);
        buffer.close();
    }
}
