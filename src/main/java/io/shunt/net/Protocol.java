package io.shunt.net;

import java.util.Optional;

/** The transport protocols that a Service port may have, with their IANA numbers. */
public enum Protocol {
    TCP(6),
    UDP(17),
    SCTP(132);

    private final int number;

    Protocol(int number) {
        this.number = number;
    }

    /** The IANA protocol number, as the kernel maps hold it. */
    public int number() {
        return number;
    }

    public static Optional<Protocol> ofNumber(int number) {
        for (Protocol protocol : values()) {
            if (protocol.number == number) {
                return Optional.of(protocol);
            }
        }
        return Optional.empty();
    }

    /** The protocol of that Kubernetes name, upper case. */
    public static Optional<Protocol> ofName(String name) {
        for (Protocol protocol : values()) {
            if (protocol.name().equals(name)) {
                return Optional.of(protocol);
            }
        }
        return Optional.empty();
    }
}
