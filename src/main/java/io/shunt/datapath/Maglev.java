package io.shunt.datapath;

import io.shunt.table.Backend;
import java.util.Arrays;
import java.util.List;

/**
 * A table in which each backend has slots all over it, as many as its weight says. Any node makes the same of the same
 * backends; and where one leaves, hardly another slot than its own gets another backend (Eisenbud et al., Maglev: A Fast
 * and Reliable Software Network Load Balancer, NSDI 2016, section 3.4).
 */
final class Maglev {
    private static final int OFFSET_SEED = 0x2545f491;
    private static final int SKIP_SEED = 0x6c8e9cf5;

    private Maglev() {}

    /**
     * For each slot, which of the backends has it.
     *
     * @param backends at most {@code size}, in an order that is the same on every node, as they take turns. Each gets at
     *     least one slot, and else as many as its weight says
     * @param size a prime number, so that each backend comes by every slot on its way through the table
     */
    static int[] table(List<Backend> backends, int size) {
        int count = backends.size();
        int[] at = new int[count];
        int[] step = new int[count];
        int[] weight = new int[count];
        for (int i = 0; i < count; i++) {
            Backend backend = backends.get(i);
            at[i] = PeerHash.place(PeerHash.hash(OFFSET_SEED, backend.address(), backend.port()), size);
            step[i] = 1 + PeerHash.place(PeerHash.hash(SKIP_SEED, backend.address(), backend.port()), size - 1);
            weight[i] = backend.weight();
        }
        long heaviest = Arrays.stream(weight).max().orElseThrow();
        int[] turns = new int[count];
        int[] table = new int[size];
        Arrays.fill(table, -1);
        int filled = 0;
        for (long round = 0; ; round++) {
            for (int i = 0; i < count; i++) {
                // The heaviest has a turn in each round, half as heavy a one in every other.
                if (round * weight[i] < turns[i] * heaviest) {
                    continue;
                }
                while (table[at[i]] >= 0) {
                    at[i] = (at[i] + step[i]) % size;
                }
                table[at[i]] = i;
                turns[i]++;
                if (++filled == size) {
                    return table;
                }
            }
        }
    }
}
