package io.shunt.datapath;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A row of the packet table: what the node has and has seen, a packet, and what is to become of it. Nothing in it tells
 * which kind of program looks at the packet.
 */
final class PacketCase {
    /** Masquerading by this port alone, so that there is nothing to guess. */
    static final int PORT = 61_000;

    /** By where does a packet come? */
    enum Hook {
        /** The network. */
        OUTSIDE,
        /** The pods of this node. */
        POD,
        /** The node itself. */
        HOST,
        /** It came in somewhere else, and leaves by the network. */
        FORWARDED,
    }

    enum Verdict {
        /** It goes up the stack untouched. */
        PASS,
        /** It leaves by the device that leads to where it goes now. */
        FORWARD,
        /** It was changed, and the kernel goes on with it: it is for the node itself, or has to be cut to pieces. */
        CONTINUE,
        /** It comes in once more, to the node itself, by the device that that has spoken on. */
        DELIVER,
        /** Its sender gets an answer. */
        REPLY,
        DROP,
    }

    /** enum drop_reason of types.h. */
    enum Reason {
        NONE,
        NO_LOCAL_BACKEND,
        SOURCE_RANGE,
        FLOWS_FULL,
        NO_PORT,
        NO_SOURCE,
        FRAGMENT,
        NOT_WRITTEN,
        REFUSED,
        NO_SERVICE,
        TOO_BIG,
        TTL,
    }

    /** enum direction of types.h. */
    enum Direction {
        TO_BACKEND,
        TO_CLIENT,
    }

    /** enum flow_state of types.h. */
    enum State {
        OPENING,
        ANSWERED,
        CONFIRMED,
        HALF_CLOSED,
        CLOSED,
        RESET,
    }

    /** One kind of drop. */
    record Drop(Reason reason, Direction direction) {}

    /** What is known of a conversation; it is expected in both directions, or in one only. */
    record Known(Tuple from, Tuple to, State state, boolean bothWays) {}

    /** What happens before the packet comes. */
    sealed interface Event {}

    /** A packet, of which only the effects count. */
    record Sent(Hook hook, Packet packet) implements Event {}

    /** The table changes. */
    record Put(VirtualService service) implements Event {}

    /** The kernel forgets one direction of a conversation that is not confirmed yet, to make room. */
    record Forgotten(Tuple from) implements Event {}

    /** Nobody speaks for so many seconds. */
    record Silence(int seconds) implements Event {}

    private final String description;
    private final List<Event> before = new ArrayList<>();
    private final List<Drop> drops = new ArrayList<>();
    private final List<Known> flows = new ArrayList<>();
    private final List<Tuple> unknown = new ArrayList<>();
    private PacketSettings settings = settings(false, false, List.of());
    private Hook hook = Hook.OUTSIDE;
    private @Nullable Packet in;
    private @Nullable Packet out;
    private Verdict verdict = Verdict.PASS;
    private byte[] linkAddress = PacketLab.DEVICE;
    private int connections = -1;
    private int refused = -1;

    PacketCase(String description) {
        this.description = description;
    }

    static PacketSettings settings(boolean masqueradeAll, boolean detectsLocal, List<io.shunt.net.Prefix> localRanges) {
        return new PacketSettings(PORT, 1, masqueradeAll, detectsLocal, localRanges, true);
    }

    PacketCase with(PacketSettings rules) {
        settings = rules;
        return this;
    }

    PacketCase given(VirtualService... services) {
        for (VirtualService service : services) {
            before.add(new Put(service));
        }
        return this;
    }

    PacketCase after(Hook from, Draft packet) {
        return after(from, packet.packet());
    }

    PacketCase after(Hook from, Packet packet) {
        before.add(new Sent(from, packet));
        return this;
    }

    PacketCase forgotten(Tuple from) {
        before.add(new Forgotten(from));
        return this;
    }

    PacketCase silent(int seconds) {
        before.add(new Silence(seconds));
        return this;
    }

    PacketCase in(Hook from, Draft packet) {
        return in(from, packet.packet());
    }

    PacketCase in(Hook from, Packet packet) {
        hook = from;
        in = packet;
        return this;
    }

    /** The frame is addressed to somebody else. */
    PacketCase addressed(byte[] to) {
        linkAddress = to;
        return this;
    }

    PacketCase passes() {
        verdict = Verdict.PASS;
        out = in;
        return this;
    }

    PacketCase dropped(Reason reason, Direction direction) {
        verdict = Verdict.DROP;
        return counts(reason, direction);
    }

    PacketCase becomes(Verdict what, Draft packet) {
        return becomes(what, packet.packet());
    }

    PacketCase becomes(Verdict what, Packet packet) {
        verdict = what;
        out = packet;
        return this;
    }

    /** Packets before this one count too. */
    PacketCase counts(Reason reason, Direction direction) {
        drops.add(new Drop(reason, direction));
        return this;
    }

    /** @param first of these, the first service has so many connections in the end, and has refused so many */
    PacketCase counts(int first, int ofThemRefused) {
        connections = first;
        refused = ofThemRefused;
        return this;
    }

    PacketCase knows(Tuple from, Tuple to, State state) {
        flows.add(new Known(from, to, state, true));
        return this;
    }

    /** Replies are not expected here. */
    PacketCase knowsOneWay(Tuple from, Tuple to, State state) {
        flows.add(new Known(from, to, state, false));
        return this;
    }

    PacketCase knowsNothingOf(Tuple from) {
        unknown.add(from);
        return this;
    }

    PacketSettings settings() {
        return settings;
    }

    List<Event> before() {
        return before;
    }

    Hook hook() {
        return hook;
    }

    Packet in() {
        return java.util.Objects.requireNonNull(in);
    }

    /** Null if it is dropped. */
    @Nullable
    Packet out() {
        return out;
    }

    Verdict verdict() {
        return verdict;
    }

    /** To whom the frame is addressed. */
    byte[] linkAddress() {
        return linkAddress;
    }

    List<Drop> drops() {
        return drops;
    }

    List<Known> flows() {
        return flows;
    }

    List<Tuple> unknown() {
        return unknown;
    }

    /** -1: no matter. */
    int connections() {
        return connections;
    }

    int refused() {
        return refused;
    }

    @Override
    public String toString() {
        return description;
    }
}
