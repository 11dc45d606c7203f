package io.shunt.table;

import io.shunt.net.Address;

/**
 * A place that connections are sent to.
 *
 * @param port 1 to 65535, in host byte order
 * @param state whether new connections go there
 */
public record Backend(Address address, int port, State state) {
    /** What a backend is good for. */
    public enum State {
        /** Takes new connections. */
        ACTIVE,
        /** Keeps the conversations it has, and gets no new ones. */
        DRAINING
    }

    /** {@code 10.0.0.1:8080} or {@code [fd00::1]:8080}. */
    @Override
    public String toString() {
        return (address.isV4() ? address : "[" + address + "]") + ":" + port;
    }
}
