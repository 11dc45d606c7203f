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
}
