package io.shunt.plan;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Service;

/**
 * How backends are chosen ({@code --algorithm}, {@code --maglev-table-size}).
 *
 * @param algorithm for Services that do not say
 * @param tableSize how many slots a Maglev table has, a prime number
 */
public record Balancing(Algorithm algorithm, int tableSize) {
    /** At random, and for Services that want a Maglev table one as large as Cilium's. */
    public static final Balancing DEFAULT = new Balancing(Algorithm.RANDOM, 16_381);

    /** The table size of the Service's virtual services; 0: they have none. */
    int tableSize(Service service) {
        Algorithm wanted = service.algorithm() == null ? algorithm : service.algorithm();
        return wanted == Algorithm.MAGLEV ? tableSize : 0;
    }
}
