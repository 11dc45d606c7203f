package io.shunt.table;

import io.shunt.net.Address;

/**
 * A place that connections are sent to.
 *
 * @param port 1 to 65535, in host byte order
 * @param state which new connections go there
 * @param weight how many of them, as against the others; 1 or more. Only a service with a table looks at it
 */
public record Backend(Address address, int port, State state, int weight) {
    /** One that counts as much as any other. */
    public Backend(Address address, int port, State state) {
        this(address, port, state, 1);
    }

    /** What a backend is good for. */
    public enum State {
        /** Nothing now, and it may come back: it loses who talks UDP to it, and keeps its TCP connections. */
        UNREADY,
        /** Keeps the conversations it has, and gets no new ones. */
        DRAINING,
        /** New connections that may go anywhere in the cluster. */
        CLUSTER,
        /** New connections that have to stay on this node. */
        LOCAL,
        /** Both of these. */
        BOTH;

        /** The state of a backend that serves and is in some of the reaches. */
        public static State of(boolean cluster, boolean local) {
            if (cluster) {
                return local ? BOTH : CLUSTER;
            }
            return local ? LOCAL : DRAINING;
        }

        /** Whether it keeps the conversations it has, whatever their protocol. */
        public boolean serves() {
            return this != UNREADY;
        }

        /** Whether new connections of that reach go there. */
        public boolean takes(Reach reach) {
            return this == BOTH || this == (reach == Reach.CLUSTER ? CLUSTER : LOCAL);
        }
    }

    /** {@code 10.0.0.1:8080} or {@code [fd00::1]:8080}. */
    @Override
    public String toString() {
        return (address.isV4() ? address : "[" + address + "]") + ":" + port;
    }
}
