package io.shunt.net;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PrefixTest {
    @ParameterizedTest
    @CsvSource({
        "10.0.0.0/8, 10.0.0.0/8, IPV4, 8",
        "10.1.2.3/8, 10.0.0.0/8, IPV4, 8",
        "10.1.2.3/32, 10.1.2.3/32, IPV4, 32",
        "0.0.0.0/0, 0.0.0.0/0, IPV4, 0",
        "fd00::1/64, fd00::/64, IPV6, 64",
        "::/0, ::/0, IPV6, 0",
        "2001:db8::1/128, 2001:db8::1/128, IPV6, 128",
    })
    void parse_clearsWhatIsBeyondThePrefix(String text, String written, IpFamily family, int length) {
        Prefix prefix = Prefix.parse(text).orElseThrow();

        assertThat(prefix).hasToString(written);
        assertThat(prefix.family()).isEqualTo(family);
        assertThat(prefix.length()).isEqualTo(length);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "10.0.0.0",
                "10.0.0.0/",
                "10.0.0.0/33",
                "10.0.0.0/08",
                "10.0.0.0/-1",
                "fd00::/129",
                "a/8",
                "/8"
            })
    void parse_whatIsNoRange_isEmpty(String text) {
        assertThat(Prefix.parse(text)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "010.1.2.3/08, 10.0.0.0/8",
        "10.1.2.3/000, 0.0.0.0/0",
        "::ffff:10.1.2.3/104, 10.0.0.0/8",
        "fd00::1/064, fd00::/64",
    })
    void parseSloppily_readsAsKubeProxyDoes(String text, String written) {
        assertThat(Prefix.parseSloppily(text).orElseThrow()).hasToString(written);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/0033", "10.0.0.0/+8", "fd00::/129"})
    void parseSloppily_whatIsNoRange_isEmpty(String text) {
        assertThat(Prefix.parseSloppily(text)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({
        "10.0.0.0/8, 10.255.0.1, true",
        "10.0.0.0/8, 11.0.0.0, false",
        "0.0.0.0/0, 203.0.113.1, true",
        "0.0.0.0/0, fd00::1, false",
        "::/0, fd00::1, true",
        "::/0, 10.0.0.1, false",
        "fd00::/65, fd00::7fff:0:0:0, true",
        "fd00::/65, fd00::8000:0:0:0, false",
    })
    void contains_addressesOfItsFamilyOnly(String prefix, String address, boolean expected) {
        assertThat(Prefix.parse(prefix).orElseThrow().contains(Address.of(address)))
                .isEqualTo(expected);
    }
}
