package io.shunt.datapath;

import io.shunt.table.Access;

/**
 * Where a frontend leads, and how.
 *
 * @param affinitySeconds how long a client stays with its backend after its last connection; 0: not at all
 * @param hashed whether a client's address and port choose the backend; else it is chosen at random
 */
record Route(int serviceId, Access access, int affinitySeconds, boolean hashed) {
    Route(int serviceId, Access access, int affinitySeconds) {
        this(serviceId, access, affinitySeconds, false);
    }
}
