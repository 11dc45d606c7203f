package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpusTest {
    @ParameterizedTest
    @CsvSource({"0, 1", "0-1, 2", "'0-3,8,10-11', 7"})
    void count_isThatOfTheKernelsList(String list, int count) {
        assertThat(Cpus.count(list)).isEqualTo(count);
    }

    @Test
    void online_isNoMoreThanPossible() {
        assertThat(Cpus.online()).isBetween(1, Cpus.possible());
    }
}
