package io.shunt.datapath;

import io.shunt.table.Access;

/**
 * Where a frontend leads, and how.
 *
 * @param affinitySeconds how long a client stays with its backend after its last connection; 0: not at all
 */
record Route(int serviceId, Access access, int affinitySeconds) {}
