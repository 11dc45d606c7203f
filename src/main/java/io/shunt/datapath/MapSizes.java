package io.shunt.datapath;

import static java.util.Map.entry;

import io.shunt.table.Reach;
import java.util.Map;

/**
 * How many entries the maps get that the daemon sizes; the others keep the size in maps.h.
 *
 * @param services virtual services
 * @param backends backends of all services together
 * @param flows confirmed conversations that the packet programs remember
 * @param tableSlots room for so many slots of Maglev's tables; as many as there is room for anyway if that is more
 */
public record MapSizes(int services, int backends, int flows, int tableSlots) {
    /**
     * Most services have one address a family, which is a frontend too; node ports, external and load-balancer addresses
     * need room as well.
     */
    private static final int FRONTENDS_A_SERVICE = 4;

    /** Where there are many services, most have no more than an address and a port. */
    private static final int FRONTENDS_A_SERVICE_OF_MANY = 2;

    /** So many frontends are many. */
    private static final int MANY_FRONTENDS = 131_072;

    /**
     * A backend that takes new connections has a slot in its service's run for the whole cluster and, if it is on this
     * node, one in that for this node, unless the two are the same and are one. So even where half of all backends are on
     * this node, 1.5 for each are in use. A change writes its new runs beside the old ones, which rest until a grace period
     * has passed: twice as many if all services change within one, as when this node gets another zone. That makes 3,
     * and leaves gaps between runs for anything less.
     *
     * <p>More, 4 at the very most, would be needed if nearly all backends were on this node and yet hints kept some in each
     * service from the whole cluster's run. What finds no room then is tried again when the grace period has passed.
     *
     * <p>Maglev's tables may have what is there for changes, and more if they are given more: so they never keep a service
     * that has none from having its backends. 262,144 backends leave room for 24 tables of 16,381 slots.
     *
     * <p>That takes 12 bytes a backend, 3 MiB for 262,144 of them, where 2 slots would take 2.
     */
    private static final int SLOTS_A_BACKEND = 3;

    /** One for each direction. */
    static final int ENTRIES_A_FLOW = 2;

    /** Of these, tables have to leave alone what is in use where none has one: half. */
    private static final int PARTS = 2;

    /**
     * Only those on this node are in `local_backends`, of services whose backends answer clients themselves: 16,384 where
     * there is room for 262,144 backends.
     */
    private static final int BACKENDS_FOR_ONE_LOCAL = 16;

    /** Most services let everyone in. */
    private static final int SOURCE_RANGES_A_SERVICE = 4;

    /** Sizes that leave tables what there is room for anyway. */
    public MapSizes(int services, int backends, int flows) {
        this(services, backends, flows, 0);
    }

    /** Before which slot there is no part of a table. */
    static int tablesFrom(int backends) {
        return backends * SLOTS_A_BACKEND / PARTS;
    }

    private int slots() {
        int plain = tablesFrom(backends);
        return plain + Math.max(backends * SLOTS_A_BACKEND - plain, tableSlots);
    }

    private int frontends() {
        return Math.max(
                Math.min(services * FRONTENDS_A_SERVICE, MANY_FRONTENDS), services * FRONTENDS_A_SERVICE_OF_MANY);
    }

    /**
     * What the kernel sets aside from the start, or what it may forget, follows how many flows there may be, as those follow
     * the machine: a small one, with room for 131,072, has the least of each.
     */
    private int share(int divisor, int least, int most) {
        return Math.clamp(flows / divisor, least, most);
    }

    private int rows() {
        return share(4, 32_768, 131_072) / Layouts.ROW_FLOWS;
    }

    /** Entries by map name. Index 0 of an array names nothing. */
    Map<String, Integer> entries() {
        return Map.ofEntries(
                entry("flows", flows * ENTRIES_A_FLOW),
                // 16,384 conversations that begin or have just ended. At 80,000 SYNs a second nobody means, one of a
                // thousand clients that answer after 0.05 s is pushed out before.
                entry("flows_new", rows()),
                entry("flow_row_locks", rows()),
                // In order, the last fragment follows the first within milliseconds.
                entry("fragments", share(64, 2_048, 8_192)),
                entry("affinity", share(16, 8_192, 65_536)),
                // A socket of this node's has an entry as long as it is open; without, its peer has the backend's name.
                entry("tcp_origins", share(2, 65_536, 262_144)),
                // Of unconnected sockets with more than four peers, those beyond.
                entry("udp_by_service", share(64, 2_048, 8_192)),
                entry("udp_by_backend", share(64, 2_048, 8_192)),
                entry("frontends", frontends()),
                entry("source_ranges", services * SOURCE_RANGES_A_SERVICE),
                entry("service_stats", services),
                entry("sets", (services + 1) * Reach.values().length),
                entry("backends", backends + 1),
                entry("slots", (slots() + Layouts.SLOTS_A_PAIR - 1) / Layouts.SLOTS_A_PAIR),
                entry("local_backends", Math.max(1, backends / BACKENDS_FOR_ONE_LOCAL)));
    }
}
