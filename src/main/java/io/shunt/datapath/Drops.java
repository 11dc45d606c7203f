package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfMap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** What the packet programs have dropped or refused, counted since the map was pinned. */
final class Drops {
    /** Stands for services that are gone, so that no sum goes down. No service has it as its id. */
    static final int GONE = -2;

    /** enum drop_reason of types.h, which begins with 1. */
    private static final List<String> REASONS = List.of(
            "no_local_backend",
            "source_range",
            "flows_full",
            "no_port",
            "no_source",
            "fragment",
            "not_written",
            "refused",
            "no_service",
            "too_big",
            "ttl");

    /** enum direction of types.h. */
    private static final List<String> DIRECTIONS = List.of("to_backend", "to_client");

    private static final long SERVICE = Layouts.offset(Layouts.DROP_KEY, "service_id");
    private static final long REASON = Layouts.offset(Layouts.DROP_KEY, "reason");
    private static final long DIRECTION = Layouts.offset(Layouts.DROP_KEY, "direction");

    private final BpfMap map;

    Drops(BpfMap map) {
        this.map = map;
    }

    /** All there are, read now. Safe from any thread. */
    List<Installation.Drop> counted() {
        List<Installation.Drop> drops = new ArrayList<>();
        map.forEach((key, value) -> drops.add(drop(key, value)));
        return drops;
    }

    static Installation.Drop drop(MemorySegment key, MemorySegment value) {
        return new Installation.Drop(
                key.get(JAVA_INT, SERVICE),
                reason(key.get(JAVA_BYTE, REASON)),
                direction(key.get(JAVA_BYTE, DIRECTION)),
                Installation.sumWords(value));
    }

    static String reason(int reason) {
        return name(REASONS, reason - 1);
    }

    static String direction(int direction) {
        return name(DIRECTIONS, direction);
    }

    private static String name(List<String> names, int index) {
        return index >= 0 && index < names.size() ? names.get(index) : String.valueOf(index);
    }

    /** The service is gone: what was counted for it counts for {@link #GONE} from now on. For one thread. */
    void forget(int serviceId) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(Layouts.DROP_KEY);
            MemorySegment value = arena.allocate(map.valueBytes(), Long.BYTES);
            for (int reason = 1; reason <= REASONS.size(); reason++) {
                for (int direction = 0; direction < DIRECTIONS.size(); direction++) {
                    key.set(JAVA_BYTE, REASON, (byte) reason);
                    key.set(JAVA_BYTE, DIRECTION, (byte) direction);
                    key.set(JAVA_INT, SERVICE, serviceId);
                    if (map.lookup(key, value)) {
                        long count = Installation.sumWords(value);
                        // First, so that there is room for the other.
                        map.delete(key);
                        key.set(JAVA_INT, SERVICE, GONE);
                        value.fill((byte) 0);
                        map.lookup(key, value);
                        value.set(JAVA_LONG, 0, value.get(JAVA_LONG, 0) + count);
                        map.update(key, value, BpfMap.ANY);
                    }
                }
            }
        }
    }
}
