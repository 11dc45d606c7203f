package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.Installation.Drop;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.Cpus;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Counters as the packet programs write them: how they are read, and what becomes of them. */
@Tag("kernel")
class DropsTest {
    private static final int NO_PORT = 4;
    private static final int TTL = 11;

    private static VirtualService service() {
        return new VirtualService(
                "web",
                Map.of(
                        new Frontend(Address.of("10.96.0.1"), 80, Protocol.TCP),
                        new Access(Reach.CLUSTER, Reach.CLUSTER, false, false)),
                List.of(new Backend(Address.of("10.1.0.2"), 8080, Backend.State.of(true, false))),
                List.of(),
                0);
    }

    /** So often on each CPU. */
    private static void count(Installation installation, int serviceId, int reason, int direction, long count) {
        BpfMap map = installation.packets().map("drops");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(Layouts.DROP_KEY);
            key.set(JAVA_INT, Layouts.offset(Layouts.DROP_KEY, "service_id"), serviceId);
            key.set(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "reason"), (byte) reason);
            key.set(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "direction"), (byte) direction);
            MemorySegment value = arena.allocate(map.valueBytes(), Long.BYTES);
            for (int cpu = 0; cpu < Cpus.possible(); cpu++) {
                value.setAtIndex(JAVA_LONG, cpu, count);
            }
            map.update(key, value, BpfMap.ANY);
        }
    }

    @Test
    void countsOutliveTheDaemon_andThoseOfAServiceThatIsGoneAreKeptTogether() {
        long cpus = Cpus.possible();
        try (Ground ground = new Ground()) {
            try (Installation installation = ground.install()) {
                int id = ground.put(installation, service());
                count(installation, id, NO_PORT, 0, 5);
                count(installation, id, TTL, 1, 1);
                count(installation, 0, TTL, 1, 2);
                assertThat(installation.drops())
                        .containsExactlyInAnyOrder(
                                new Drop(id, "no_port", "to_backend", 5 * cpus),
                                new Drop(id, "ttl", "to_client", cpus),
                                new Drop(0, "ttl", "to_client", 2 * cpus));
            }
            try (Installation next = ground.install()) {
                assertThat(next.drops()).hasSize(3);
                for (int round = 1; round <= 2; round++) {
                    int id = ground.put(next, service());
                    count(next, id, NO_PORT, 0, 5);
                    ground.remove(next, "web");
                    long gone = 5 * cpus * round;
                    await().untilAsserted(() -> assertThat(next.drops())
                            .contains(new Drop(Drops.GONE, "no_port", "to_backend", gone))
                            .noneMatch(drop -> drop.serviceId() > 0));
                }
                assertThat(next.drops())
                        .containsExactlyInAnyOrder(
                                new Drop(Drops.GONE, "no_port", "to_backend", 10 * cpus),
                                new Drop(Drops.GONE, "ttl", "to_client", cpus),
                                new Drop(0, "ttl", "to_client", 2 * cpus));
            }
        }
    }
}
