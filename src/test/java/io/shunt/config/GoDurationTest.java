package io.shunt.config;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GoDurationTest {
    @ParameterizedTest
    @CsvSource({
        "0, PT0S, 0s",
        "0s, PT0S, 0s",
        "30s, PT30S, 30s",
        "+1m, PT1M, 1m0s",
        "2h22m, PT2H22M, 2h22m0s",
        "24h, PT24H, 24h0m0s",
        "1h0.5s, PT1H0.5S, 1h0m0.5s",
        ".5m, PT30S, 30s",
        "1.s, PT1S, 1s",
        "90m, PT1H30M, 1h30m0s",
        "100ms, PT0.1S, 100ms",
        "1500us, PT0.0015S, 1.5ms",
        "2\u00b5s, PT0.000002S, 2\u00b5s",
        "7ns, PT0.000000007S, 7ns",
        "-1m, PT-1M, -1m0s",
        "2562047h47m16.854775807s, PT2562047H47M16.854775807S, 2562047h47m16.854775807s",
    })
    void aDuration_isReadAsGoReadsIt_andWrittenAsGoWritesIt(String text, Duration duration, String canonical) {
        assertThat(GoDuration.parse(text)).contains(duration);
        assertThat(GoDuration.format(duration)).isEqualTo(canonical);
        assertThat(GoDuration.parse(canonical)).contains(duration);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "5", "s", "1 s", "1d", "1m 5s", "PT30S", "--1s", "1,5s", "1e3s", "2562048h", "-", "0.0"})
    void whatGoRefuses_isRefused(String text) {
        assertThat(GoDuration.parse(text)).isEmpty();
    }
}
