package io.shunt.daemon;

import io.shunt.host.EphemeralPorts;
import java.util.BitSet;

/**
 * The ports that this node speaks from in the name of others. They must be nobody else's: not the kernel's for clients on
 * this node, nor node ports.
 *
 * @param first 1024 to 65535
 * @param count at least 1
 */
record MasqueradePorts(int first, int count) {
    private static final int FIRST = 1024;
    private static final int END = 65536;

    /** --service-node-port-range of the API server, which does not tell it. */
    private static final int FIRST_NODE_PORT = 30_000;

    private static final int NODE_PORTS_END = 32_768;

    /** All below the node ports. */
    static final MasqueradePorts USUAL = new MasqueradePorts(FIRST, FIRST_NODE_PORT - FIRST);

    int last() {
        return first + count - 1;
    }

    /**
     * The usual ones if they are free, else the longest run of those that are.
     *
     * @param ephemeral what the kernel gives to clients
     * @throws StartupException if there is none
     */
    static MasqueradePorts beside(EphemeralPorts ephemeral) {
        BitSet free = new BitSet();
        free.set(FIRST, END);
        free.clear(FIRST_NODE_PORT, NODE_PORTS_END);
        for (int port = FIRST; port < END; port++) {
            if (ephemeral.contain(port)) {
                free.clear(port);
            }
        }
        MasqueradePorts longest = null;
        for (int first = free.nextSetBit(0); first >= 0; ) {
            int end = free.nextClearBit(first);
            if (longest == null || end - first > longest.count) {
                longest = new MasqueradePorts(first, end - first);
            }
            if (first == FIRST && end >= FIRST_NODE_PORT) {
                return USUAL;
            }
            first = free.nextSetBit(end);
        }
        if (longest == null) {
            throw new StartupException(
                    "no port is left to speak from in the name of outside clients: the kernel may give"
                            + " all outside the node ports (30000-32767) to clients on this node; narrow"
                            + " net.ipv4.ip_local_port_range, as to 32768-60999, or keep some back by"
                            + " net.ipv4.ip_local_reserved_ports");
        }
        return longest;
    }
}
