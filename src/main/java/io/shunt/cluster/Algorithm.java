package io.shunt.cluster;

/** How a backend is chosen for a new connection. */
public enum Algorithm {
    /** At random. */
    RANDOM,
    /** By the client's address and port, on every node the same: Maglev's consistent hashing. */
    MAGLEV
}
