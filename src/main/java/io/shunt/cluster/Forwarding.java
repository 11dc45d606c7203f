package io.shunt.cluster;

import io.shunt.net.Protocol;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** How a client from elsewhere is forwarded to a backend on another node. */
public enum Forwarding {
    /** In this node's name, and the backend's replies come back by here. */
    SNAT,
    /** In its own name, within a packet to the backend, whose node answers it straight: direct server return. */
    DSR,
    /** TCP by direct server return, all else in this node's name. */
    HYBRID;

    /** How people write them. */
    public static final String CHOICE = "snat, dsr or hybrid";

    /** Empty if the text is none of {@link #CHOICE}. */
    public static Optional<Forwarding> parse(String text) {
        return Stream.of(values()).filter(each -> each.toString().equals(text)).findFirst();
    }

    /** Whether conversations of that protocol are answered straight. */
    public boolean isDirect(Protocol protocol) {
        return this == DSR || this == HYBRID && protocol == Protocol.TCP;
    }

    /** As people write it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
