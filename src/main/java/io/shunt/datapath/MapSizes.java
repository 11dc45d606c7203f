package io.shunt.datapath;

import io.shunt.table.Reach;
import java.util.Map;

/**
 * How many entries the maps get that the daemon sizes; the others keep the size in maps.h.
 *
 * @param services virtual services
 * @param backends backends of all services together
 */
public record MapSizes(int services, int backends) {
    /** Most services have one address a family; node ports, external and load-balancer addresses need room too. */
    private static final int FRONTENDS_A_SERVICE = 4;

    /** A change writes its new run beside the old one. */
    private static final int SLOTS_A_BACKEND = 2;

    /** Most services let everyone in. */
    private static final int SOURCE_RANGES_A_SERVICE = 4;

    /** Entries by map name. Index 0 of an array names nothing. */
    Map<String, Integer> entries() {
        return Map.of(
                "frontends",
                services * FRONTENDS_A_SERVICE,
                "source_ranges",
                services * SOURCE_RANGES_A_SERVICE,
                "service_stats",
                services,
                "sets",
                (services + 1) * Reach.values().length,
                "backends",
                backends + 1,
                "slots",
                backends * SLOTS_A_BACKEND);
    }
}
