package io.shunt.datapath;

import io.shunt.net.Address;

/** A number for each address and port that is the same on all nodes: what hash.h makes of a client's, for other seeds too. */
final class PeerHash {
    /** HASH_SEED of hash.h. */
    static final int CLIENT_SEED = 0x9e3779b9;

    private PeerHash() {}

    /** @param port 0 to 65535, in host byte order */
    static int hash(int seed, Address address, int port) {
        int hash = word(seed, (int) (address.high() >>> Integer.SIZE));
        hash = word(hash, (int) address.high());
        hash = word(hash, (int) (address.low() >>> Integer.SIZE));
        hash = word(hash, (int) address.low());
        return word(hash, port);
    }

    private static int word(int before, int word) {
        int hash = before ^ word;
        hash ^= hash >>> 16;
        hash *= 0x85ebca6b;
        hash ^= hash >>> 13;
        hash *= 0xc2b2ae35;
        return hash ^ hash >>> 16;
    }

    /** Which of so many places a hash stands for, as the programs reckon it. */
    static int place(int hash, int places) {
        return (int) (Integer.toUnsignedLong(hash) * places >>> Integer.SIZE);
    }
}
