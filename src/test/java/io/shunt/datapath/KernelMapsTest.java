package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
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
    private static final int SERVICES = 40_000;
    /** More than one window of mapped memory, and not a multiple of it. */
    private static final int SLOTS = 70_001;

    private static final int BACKENDS = 20_003;
    private static final int FRONTENDS = 8;

    private LoadedMaps kernel;
    private KernelMaps maps;

    @BeforeEach
    void load() {
        kernel = new LoadedMaps(Map.of(
                "sets", SERVICES, "slots", SLOTS, "backends", BACKENDS, "frontends", FRONTENDS, "service_stats", 4));
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
            if (value.get(JAVA_INT, 0) != key.get(JAVA_INT, 0) * 3 + 1) {
                wrong[0]++;
            }
        });
        assertThat(wrong[0]).isZero();
        assertThat(maps.slot(0)).isEqualTo(1);
        assertThat(maps.slot(SLOTS - 1)).isEqualTo(SLOTS * 3 - 2);
    }

    @Test
    void set_isOneWordOfBaseAndCount() {
        for (int id : List.of(1, 32_767, 32_768, SERVICES - 1)) {
            maps.putSet(id, 17 + id, 5);
            MemorySegment value = kernel.lookup("sets", id);
            assertThat(List.of(value.get(JAVA_INT, 0), value.get(JAVA_INT, 4))).isEqualTo(List.of(17 + id, 5));
            assertThat(List.of(maps.setBase(id), maps.setCount(id))).isEqualTo(List.of(17 + id, 5));
        }
        maps.putSet(32_767, 0, 0);

        List<Integer> used = new ArrayList<>();
        maps.forEachSetInUse(used::add);
        assertThat(used).containsExactly(1, 32_768, SERVICES - 1);
    }

    @Test
    void backend_isLaidOutAsProgramsReadIt() {
        maps.putBackend(7, Address.of("10.0.0.9"), 8080, Backend.State.CLUSTER, 3, 5);
        maps.putBackend(BACKENDS - 1, Address.of("fd00::9"), 65535, Backend.State.DRAINING, -1, SERVICES - 1);

        assertThat(hex(kernel.lookup("backends", 7)))
                .isEqualTo("00000000000000000000ffff0a000009" + "1f90" + "01" + "00" + "03000000" + "05000000"
                        + "00000000");
        assertThat(hex(kernel.lookup("backends", BACKENDS - 1)))
                .isEqualTo("fd000000000000000000000000000009" + "ffff" + "02" + "00" + "ffffffff" + "3f9c0000"
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

        maps.putBackendState(7, Backend.State.DRAINING);
        assertThat(hex(kernel.lookup("backends", 7))).isEqualTo(active.substring(0, 36) + "02" + active.substring(38));
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
        maps.putFrontend(frontend(1), 11);
        maps.putFrontend(v6, 12);
        assertThat(kernel.elements("frontends"))
                .containsExactlyInAnyOrder(
                        element("00000000000000000000ffff0a600001" + "0050" + "06" + "00", "0b000000"),
                        element("fd000000000000000000000000000001" + "0035" + "11" + "00", "0c000000"));

        maps.putFrontend(v6, 13);
        Map<Frontend, Integer> seen = new HashMap<>();
        maps.forEachFrontend(seen::put);
        assertThat(seen).isEqualTo(Map.of(frontend(1), 11, v6, 13));

        maps.removeFrontend(v6);
        maps.removeFrontend(v6);
        assertThat(kernel.elements("frontends")).hasSize(1);
    }

    /** The value repeats the key. */
    private static String element(String key, String serviceId) {
        return key + "=" + key + serviceId;
    }

    @Test
    void frontends_full_refuseOnlyTheNewOne() {
        IntStream.rangeClosed(1, FRONTENDS).forEach(n -> maps.putFrontend(frontend(n), n));
        List<String> before = kernel.elements("frontends");

        assertThatExceptionOfType(TableFullException.class)
                .isThrownBy(() -> maps.putFrontend(frontend(100), 100))
                .withMessage("map frontends is full (8 entries): raise --max-services");
        assertThat(kernel.elements("frontends")).containsExactlyInAnyOrderElementsOf(before);

        maps.putFrontend(frontend(FRONTENDS), 99);
        maps.removeFrontend(frontend(1));
        maps.putFrontend(frontend(100), 100);
        Map<Frontend, Integer> seen = new HashMap<>();
        maps.forEachFrontend(seen::put);
        assertThat(seen)
                .hasSize(FRONTENDS)
                .containsEntry(frontend(FRONTENDS), 99)
                .containsEntry(frontend(100), 100);
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
        IntStream.rangeClosed(1, FRONTENDS).forEach(n -> maps.putFrontend(frontend(n), n));
        assertThatExceptionOfType(TableFullException.class).isThrownBy(() -> maps.putFrontend(frontend(100), 100));
        maps.removeFrontend(frontend(1));
        maps.putSlot(1, 1);
        maps.putSet(1, 1, 1);
        maps.putBackend(1, Address.of("10.0.0.1"), 1, Backend.State.CLUSTER, 1, 1);

        Map<String, String> counts = new HashMap<>();
        maps.calls().forEach(call -> counts.put(call.call() + " " + call.map(), call.total() + "/" + call.failed()));
        assertThat(counts)
                .isEqualTo(Map.of(
                        "update frontends", "9/1",
                        "delete frontends", "1/0",
                        "update service_stats", "0/0",
                        "delete service_stats", "0/0",
                        "store sets", "1/0",
                        "store slots", "1/0",
                        "store backends", "1/0"));
    }

    @Test
    void twoProcesses_seeTheSameMemory() {
        KernelMaps other = kernel.open();
        maps.putSet(9, 4, 2);
        maps.putSlot(4, 77);
        assertThat(List.of(other.setBase(9), other.setCount(9), other.slot(4))).isEqualTo(List.of(4, 2, 77));
    }

    @Test
    void anIndexBeyondTheMap_isRefusedBeforeItIsWritten() {
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> maps.putSlot(SLOTS, 1));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> maps.putSet(SERVICES, 1, 1));
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
