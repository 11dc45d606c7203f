package io.shunt.net;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HostPortTest {
    @ParameterizedTest
    @CsvSource({
        "127.0.0.1:80, 127.0.0.1:80",
        "0.0.0.0:0, 0.0.0.0:0",
        "10.0.0.1, 10.0.0.1:99",
        "[::1]:65535, [::1]:65535",
        "::, [::]:99",
        "[fd00:0:0::1]:1, [fd00::1]:1",
    })
    void parse_readsWhatFormatWrites(String text, String canonical) {
        assertThat(HostPort.parse(text, 99)).map(HostPort::format).contains(canonical);
        assertThat(HostPort.parse(canonical, 1)).map(HostPort::format).contains(canonical);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                ":80",
                "localhost:80",
                "127.0.0.1:",
                "127.0.0.1:65536",
                "127.0.0.1:-1",
                "127.0.0.1:8o",
                "[::1]",
                "[127.0.0.1]:80",
                "1:2:3:4:5:6:7:8:9",
                "[::1:80",
                "127.0.0.1:999999999999",
                "256.0.0.1:80",
                "[::ffff:1.2.3.4]:80"
            })
    void parse_refusesTheRest(String text) {
        assertThat(HostPort.parse(text, 99)).isEmpty();
    }
}
