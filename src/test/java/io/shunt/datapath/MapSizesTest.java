package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MapSizesTest {
    @ParameterizedTest(name = "{0} backends, {1} slots of tables")
    @CsvSource({
        "262144, 0, 786432, 393216",
        "262144, 393216, 786432, 393216",
        "262144, 1638100, 2031316, 393216",
        "16, 0, 48, 24",
        "1, 0, 3, 1",
        "1, 16381, 16382, 1",
        "4194304, 268435456, 274726912, 6291456",
    })
    void slots_areThreeABackend_orAsManyAsTablesAreToHave(int backends, int tableSlots, int slots, int tablesFrom) {
        MapSizes sizes = new MapSizes(10, backends, 10, tableSlots);

        assertThat(sizes.entries())
                .containsEntry("slots", Math.ceilDiv(slots, 2))
                .containsEntry("backends", backends + 1);
        assertThat(MapSizes.tablesFrom(backends)).isEqualTo(tablesFrom);
    }

    /** Up to 4 CPUs have the first row, as --conntrack-min says 131,072; more have 32,768 for each. */
    @ParameterizedTest(name = "{0} flows")
    @CsvSource({
        "131072, 4096, 2048, 8192, 65536",
        "262144, 8192, 4096, 16384, 131072",
        "524288, 16384, 8192, 32768, 262144",
        "8388608, 16384, 8192, 65536, 262144",
        "8, 4096, 2048, 8192, 65536",
    })
    void whatMayBeForgotten_followsTheFlows(int flows, int rows, int fragments, int affinity, int origins) {
        assertThat(new MapSizes(10, 10, flows).entries())
                .containsEntry("flows", 2 * flows)
                .containsEntry("flows_new", rows)
                .containsEntry("flow_row_locks", rows)
                .containsEntry("fragments", fragments)
                .containsEntry("udp_by_service", fragments)
                .containsEntry("udp_by_backend", fragments)
                .containsEntry("affinity", affinity)
                .containsEntry("tcp_origins", origins);
    }

    @ParameterizedTest(name = "{0} services")
    @CsvSource({"1, 4", "32768, 131072", "32769, 131072", "65536, 131072", "65537, 131074", "1048576, 2097152"})
    void frontends_areFourAService_butOfMany(int services, int frontends) {
        assertThat(new MapSizes(services, 10, 10).entries()).containsEntry("frontends", frontends);
    }
}
