package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Each write of the table against what the kernel then gives for the same key, and what programs would read. */
@Tag("kernel")
class KernelMapsTest {
    private static final int SERVICES = 20_000;
    /** More than one window of mapped memory, and not a multiple of it. */
    private static final int SLOTS = 2 * 70_001;

    private static final int BACKENDS = 20_003;
    private static final int FRONTENDS = 8;
    private static final int RANGES = 6;

    private LoadedMaps kernel;
    private KernelMaps maps;

    @BeforeEach
    void load() {
        kernel = new LoadedMaps(Map.of(
                "sets",
                2 * SERVICES,
                "slots",
                SLOTS / 2,
                "backends",
                BACKENDS,
                "frontends",
                FRONTENDS,
                "source_ranges",
                RANGES,
                "service_stats",
                4));
        maps = kernel.open();
    }

    @AfterEach
    void unload() {
        kernel.close();
    }

    private static Frontend frontend(int n) {
        return new Frontend(Address.of("10.96.0." + n), 80, Protocol.TCP);
    }

    private static String hex(MemorySegment segment) {
        return HexFormat.of().formatHex(segment.toArray(JAVA_BYTE));
    }

    @Test
    void sizes_areTheKernels() {
        assertThat(List.of(maps.maxServices(), maps.maxSlots(), maps.maxBackends()))
                .isEqualTo(List.of(SERVICES, SLOTS, BACKENDS));
    }

    @Test
    void everySlot_isWhereTheKernelHasIt() {
        IntStream.range(0, SLOTS).forEach(index -> maps.putSlot(index, index * 3 + 1));

        int[] wrong = {0};
        kernel.map("slots").forEach((key, value) -> {
            int first = 2 * key.get(JAVA_INT, 0);
            if (value.get(JAVA_INT, 0) != first * 3 + 1 || value.get(JAVA_INT, 4) != (first + 1) * 3 + 1) {
                wrong[0]++;
            }
        });
        assertThat(wrong[0]).isZero();
        assertThat(maps.slot(0)).isEqualTo(1);
        assertThat(maps.slot(SLOTS - 1)).isEqualTo(SLOTS * 3 - 2);
    }

    @Test
    void set_isOneWordOfBaseAndCount() {
        for (int id : List.of(1, 16_383, 16_384, SERVICES - 1)) {
            maps.putSet(id, Reach.CLUSTER, new Run(17 + id, 5));
            maps.putSet(id, Reach.LOCAL, new Run(18 + id, 2));
            MemorySegment cluster = kernel.lookup("sets", 2 * id);
            MemorySegment local = kernel.lookup("sets", 2 * id + 1);
            assertThat(List.of(cluster.get(JAVA_INT, 0), cluster.get(JAVA_INT, 4)))
                    .isEqualTo(List.of(17 + id, 5));
            assertThat(List.of(local.get(JAVA_INT, 0), local.get(JAVA_INT, 4))).isEqualTo(List.of(18 + id, 2));
            assertThat(maps.set(id, Reach.CLUSTER)).isEqualTo(new Run(17 + id, 5));
            assertThat(maps.set(id, Reach.LOCAL)).isEqualTo(new Run(18 + id, 2));
        }
        maps.putSet(16_383, Reach.CLUSTER, Run.EMPTY);
        maps.putSet(16_383, Reach.LOCAL, Run.EMPTY);
        maps.putSet(1, Reach.CLUSTER, Run.EMPTY);

        List<String> used = new ArrayList<>();
        maps.forEachSetInUse((id, reach, run) -> used.add(id + " " + reach + " " + run.base() + "+" + run.count()));
        assertThat(used)
                .containsExactly(
                        "1 LOCAL 19+2",
                        "16384 CLUSTER 16401+5",
                        "16384 LOCAL 16402+2",
                        "19999 CLUSTER 20016+5",
                        "19999 LOCAL 20017+2");
    }

    @Test
    void backend_isLaidOutAsProgramsReadIt() {
        maps.putBackend(7, Address.of("10.0.0.9"), 8080, Backend.State.CLUSTER, 3, 5);
        maps.putBackend(BACKENDS - 1, Address.of("fd00::9"), 65535, Backend.State.DRAINING, -1, SERVICES - 1);

        assertThat(hex(kernel.lookup("backends", 7)))
                .isEqualTo("00000000000000000000ffff0a000009" + "1f90" + "03" + "00" + "03000000" + "05000000"
                        + "00000000");
        assertThat(hex(kernel.lookup("backends", BACKENDS - 1)))
                .isEqualTo("fd000000000000000000000000000009" + "ffff" + "01" + "00" + "ffffffff" + "1f4e0000"
                        + "00000000");
        assertThat(maps.backend(7)).isEqualTo(new Backend(Address.of("10.0.0.9"), 8080, Backend.State.CLUSTER));
        assertThat(maps.backend(BACKENDS - 1))
                .isEqualTo(new Backend(Address.of("fd00::9"), 65535, Backend.State.DRAINING));
        assertThat(maps.backendGeneration(7)).isEqualTo(3);
        assertThat(maps.backendServiceId(BACKENDS - 1)).isEqualTo(SERVICES - 1);
    }

    @Test
    void backendState_changesAlone() {
        maps.putBackend(7, Address.of("10.0.0.9"), 8080, Backend.State.CLUSTER, 3, 5);
        String active = hex(kernel.lookup("backends", 7));

        Map<Backend.State, String> bits = Map.of(
                Backend.State.UNREADY, "08",
                Backend.State.DRAINING, "01",
                Backend.State.CLUSTER, "03",
                Backend.State.LOCAL, "05",
                Backend.State.BOTH, "07");
        bits.forEach((state, expected) -> {
            maps.putBackendState(7, state);
            assertThat(hex(kernel.lookup("backends", 7)))
                    .isEqualTo(active.substring(0, 36) + expected + active.substring(38));
            assertThat(maps.backend(7).state()).isEqualTo(state);
        });
        maps.markBackendGone(7);
        assertThat(hex(kernel.lookup("backends", 7))).isEqualTo(active.substring(0, 36) + "00" + active.substring(38));
        assertThat(maps.backendGeneration(7)).isEqualTo(3);

        maps.putBackend(8, Address.of("10.0.0.9"), 8080, Backend.State.CLUSTER, 3, 5);
        List<Integer> used = new ArrayList<>();
        maps.forEachBackend(used::add);
        assertThat(used).containsExactly(8);
    }

    @Test
    void frontends_comeAndGo() {
        Frontend v6 = new Frontend(Address.of("fd00::1"), 53, Protocol.UDP);
        Access local = new Access(Reach.LOCAL, Reach.CLUSTER, true, true);
        maps.putFrontend(frontend(1), new Route(11, Access.OPEN, 0));
        maps.putFrontend(v6, new Route(12, local, 10_800));
        assertThat(kernel.elements("frontends"))
                .containsExactlyInAnyOrder(
                        element(
                                "00000000000000000000ffff0a600001" + "0050" + "06" + "00",
                                "00000000" + "00000000" + "0b000000"),
                        element(
                                "fd000000000000000000000000000001" + "0035" + "11" + "00",
                                "15000000" + "302a0000" + "0c000000"));

        maps.putFrontend(v6, route(13));
        Map<Frontend, Route> seen = new HashMap<>();
        maps.forEachFrontend(seen::put);
        assertThat(seen).isEqualTo(Map.of(frontend(1), route(11), v6, route(13)));

        maps.removeFrontend(v6);
        maps.removeFrontend(v6);
        assertThat(kernel.elements("frontends")).hasSize(1);
    }

    /** The value repeats the key. */
    private static String element(String key, String rest) {
        return key + "=" + key + rest;
    }

    private static Route route(int serviceId) {
        return new Route(serviceId, Access.OPEN, 0);
    }

    @Test
    void access_isKept_andANodePortIsMarked() {
        Map<Frontend, Route> routes = new HashMap<>();
        int port = 1;
        for (Reach inside : Reach.values()) {
            for (Reach outside : Reach.values()) {
                boolean restricted = inside != outside;
                Frontend frontend = Frontend.ofNode(IpFamily.IPV6, port++, Protocol.TCP);
                Route route = new Route(
                        port, new Access(inside, outside, restricted, !restricted), port, inside == Reach.LOCAL);
                maps.putFrontend(frontend, route);
                routes.put(frontend, route);
            }
        }

        Map<Frontend, Route> seen = new HashMap<>();
        maps.forEachFrontend(seen::put);
        assertThat(seen).isEqualTo(routes);
        kernel.map("frontends")
                .forEach(
                        (key, value) -> assertThat(value.get(JAVA_BYTE, 20) & 8).isEqualTo(8));
    }

    @Test
    void sourceRanges_areWhatALongestPrefixMatchFinds() {
        Prefix v4 = Prefix.parse("10.1.0.0/16").orElseThrow();
        Prefix v6 = Prefix.parse("fd00:1::/32").orElseThrow();
        maps.putSourceRange(7, v4);
        maps.putSourceRange(7, v6);
        maps.putSourceRange(8, v4);

        assertThat(kernel.elements("source_ranges"))
                .containsExactlyInAnyOrder(
                        "90000000" + "07000000" + "00000000000000000000ffff0a010000" + "=01",
                        "90000000" + "08000000" + "00000000000000000000ffff0a010000" + "=01",
                        "40000000" + "07000000" + "fd000001000000000000000000000000" + "=01");
        List<String> seen = new ArrayList<>();
        maps.forEachSourceRange((id, range) -> seen.add(id + " " + range));
        assertThat(seen).containsExactlyInAnyOrder("7 10.1.0.0/16", "7 fd00:1::/32", "8 10.1.0.0/16");

        maps.removeSourceRange(7, v4);
        maps.removeSourceRange(7, v4);
        seen.clear();
        maps.forEachSourceRange((id, range) -> seen.add(id + " " + range));
        assertThat(seen).containsExactlyInAnyOrder("7 fd00:1::/32", "8 10.1.0.0/16");
    }

    @Test
    void sourceRanges_full_refuseTheNewOne() {
        for (int n = 0; n < RANGES; n++) {
            maps.putSourceRange(n, Prefix.of(Address.of("10.1.0." + n)));
        }
        assertThatExceptionOfType(TableFullException.class)
                .isThrownBy(() -> maps.putSourceRange(1, Prefix.of(Address.of("10.2.0.1"))))
                .withMessage("map source_ranges is full (" + RANGES + " entries): raise --max-services");
    }

    @Test
    void nodeAddresses_comeAndGo_andLoopbackIsMarked() {
        maps.putNodeAddress(Address.of("192.0.2.1"));
        maps.putNodeAddress(Address.of("fd00::1"));
        maps.putNodeAddress(Address.of("127.0.0.1"));
        assertThat(kernel.elements("node_addresses"))
                .containsExactlyInAnyOrder(
                        "00000000000000000000ffffc0000201=01000000",
                        "fd000000000000000000000000000001=01000000",
                        "00000000000000000000ffff7f000001=03000000");

        maps.removeNodeAddress(Address.of("192.0.2.1"));
        maps.removeNodeAddress(Address.of("192.0.2.1"));
        List<Address> seen = new ArrayList<>();
        maps.forEachNodeAddress(seen::add);
        assertThat(seen).containsExactlyInAnyOrder(Address.of("fd00::1"), Address.of("127.0.0.1"));
    }

    @Test
    void frontends_full_refuseOnlyTheNewOne() {
        IntStream.rangeClosed(1, FRONTENDS).forEach(n -> maps.putFrontend(frontend(n), route(n)));
        List<String> before = kernel.elements("frontends");

        assertThatExceptionOfType(TableFullException.class)
                .isThrownBy(() -> maps.putFrontend(frontend(100), route(100)))
                .withMessage("map frontends is full (8 entries): raise --max-services");
        assertThat(kernel.elements("frontends")).containsExactlyInAnyOrderElementsOf(before);

        maps.putFrontend(frontend(FRONTENDS), route(99));
        maps.removeFrontend(frontend(1));
        maps.putFrontend(frontend(100), route(100));
        Map<Frontend, Route> seen = new HashMap<>();
        maps.forEachFrontend(seen::put);
        assertThat(seen)
                .hasSize(FRONTENDS)
                .containsEntry(frontend(FRONTENDS), route(99))
                .containsEntry(frontend(100), route(100));
    }

    @Test
    void stats_startAtZero_alsoThoseUsedBefore() {
        maps.putStats(3);
        MemorySegment counted = kernel.lookup("service_stats", 3);
        counted.fill((byte) 1);
        kernel.map("service_stats").update(java.lang.foreign.Arena.ofAuto().allocateFrom(JAVA_INT, 3), counted, 0);
        assertThat(kernel.lookup("service_stats", 3).get(JAVA_LONG, 0)).isNotZero();

        maps.putStats(3);
        assertThat(hex(kernel.lookup("service_stats", 3))).matches("0+");
        List<Integer> seen = new ArrayList<>();
        maps.forEachStats(seen::add);
        assertThat(seen).containsExactly(3);

        maps.removeStats(3);
        assertThat(kernel.elements("service_stats")).isEmpty();
    }

    @Test
    void calls_countWritesAndRefusals() {
        IntStream.rangeClosed(1, FRONTENDS).forEach(n -> maps.putFrontend(frontend(n), route(n)));
        assertThatExceptionOfType(TableFullException.class)
                .isThrownBy(() -> maps.putFrontend(frontend(100), route(100)));
        maps.removeFrontend(frontend(1));
        maps.putSourceRange(1, Prefix.of(Address.of("10.1.0.1")));
        maps.putNodeAddress(Address.of("10.1.0.1"));
        maps.putSlot(1, 1);
        maps.putSet(1, Reach.CLUSTER, new Run(1, 1));
        maps.putBackend(1, Address.of("10.0.0.1"), 1, Backend.State.CLUSTER, 1, 1);
        maps.putLocalBackend(1, Address.of("10.0.0.1"), 1);

        Map<String, String> counts = new HashMap<>();
        maps.calls().forEach(call -> counts.put(call.call() + " " + call.map(), call.total() + "/" + call.failed()));
        assertThat(counts)
                .isEqualTo(Map.ofEntries(
                        entry("update frontends", "9/1"),
                        entry("delete frontends", "1/0"),
                        entry("update source_ranges", "1/0"),
                        entry("delete source_ranges", "0/0"),
                        entry("update node_addresses", "1/0"),
                        entry("delete node_addresses", "0/0"),
                        entry("update service_stats", "0/0"),
                        entry("delete service_stats", "0/0"),
                        entry("update local_backends", "1/0"),
                        entry("delete local_backends", "0/0"),
                        entry("store sets", "1/0"),
                        entry("store slots", "1/0"),
                        entry("store backends", "1/0")));
    }

    @Test
    void twoProcesses_seeTheSameMemory() {
        KernelMaps other = kernel.open();
        maps.putSet(9, Reach.LOCAL, new Run(4, 2));
        maps.putSlot(4, 77);
        assertThat(other.set(9, Reach.LOCAL)).isEqualTo(new Run(4, 2));
        assertThat(other.slot(4)).isEqualTo(77);
    }

    @Test
    void anIndexBeyondTheMap_isRefusedBeforeItIsWritten() {
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> maps.putSlot(SLOTS, 1));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> maps.putSet(SERVICES, Reach.CLUSTER, new Run(1, 1)));
    }

    @Test
    void aMapThatIsFullOfStats_namesTheFlag() {
        IntStream.rangeClosed(1, 4).forEach(maps::putStats);
        assertThatExceptionOfType(TableFullException.class)
                .isThrownBy(() -> maps.putStats(5))
                .withMessageContaining("service_stats")
                .withMessageContaining("--max-services");
    }
}
