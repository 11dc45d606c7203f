package io.shunt.net;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AddressTest {
    @ParameterizedTest
    @CsvSource({
        "0.0.0.0, 0.0.0.0",
        "10.96.0.1, 10.96.0.1",
        "255.255.255.255, 255.255.255.255",
        "::, ::",
        "::1, ::1",
        "1::, 1::",
        "FD00:0:0:0:0:0:0:A, fd00::a",
        "fd00::1:2, fd00::1:2",
        "1:0:0:2:0:0:0:3, 1:0:0:2::3",
        "1:0:2:3:4:5:6:7, 1:0:2:3:4:5:6:7",
        "1:2:3:4:5:6:7::, 1:2:3:4:5:6:7:0",
        "::2:3:4:5:6:7:8, 0:2:3:4:5:6:7:8",
        "64:ff9b::192.0.2.33, 64:ff9b::c000:221"
    })
    void parse_goodText_isWrittenInItsShortestForm(String text, String canonical) {
        assertThat(Address.of(text)).hasToString(canonical);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "1",
                "1.2.3",
                "1.2.3.4.5",
                "1.2.3.256",
                "01.2.3.4",
                "1.2.3.4 ",
                " 1.2.3.4",
                "1.2.3.-4",
                "1.2.3.",
                ":",
                ":::",
                "1:2:3:4:5:6:7",
                "1:2:3:4:5:6:7:8:9",
                "1::2::3",
                "12345::",
                "g::",
                "1:2:3:4:5:6:7:",
                ":1",
                "fe80::1%eth0",
                "[::1]",
                "::ffff:1.2.3.4",
                "::ffff:102:304",
                "1:2:3:4:5:6:7:1.2.3.4",
                "1.2.3.4::",
                "١.2.3.4",
                "::١",
                "localhost",
                "1:2:3:4:5:6:7:8::",
                "::1:2:3:4:5:6:7:8"
            })
    void parse_badText_isNoAddress(String text) {
        assertThat(Address.parse(text)).isEmpty();
        assertThatThrownBy(() -> Address.of(text)).isInstanceOf(IllegalArgumentException.class);
    }

    @ParameterizedTest
    @CsvSource({
        "10.96.0.1, 10.96.0.1",
        "010.096.00.001, 10.96.0.1",
        "0000000010.0.0.1, 10.0.0.1",
        "255.255.255.0255, 255.255.255.255",
        "::ffff:1.2.3.4, 1.2.3.4",
        "::ffff:102:304, 1.2.3.4",
        "64:ff9b::192.000.02.33, 64:ff9b::c000:221",
        "FD00::0a, fd00::a"
    })
    void parseSloppily_readsAsKubeProxyDoes(String text, String canonical) {
        assertThat(Address.parseSloppily(text).orElseThrow()).hasToString(canonical);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "bad",
                "1.2.3",
                "1.2.3.0256",
                "1.2.3.04.5",
                " 1.2.3.4",
                "0x1.2.3.4",
                "00001::",
                "::1.2.3.0400"
            })
    void parseSloppily_badText_isNoAddress(String text) {
        assertThat(Address.parseSloppily(text)).isEmpty();
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void parse_randomBytes_agreesWithTheJdkAndWithItself(long seed) throws UnknownHostException {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = new byte[random.nextBoolean() ? 4 : 16];
            random.nextBytes(bytes);
            for (int b = 0; b < bytes.length; b++) {
                bytes[b] = random.nextInt(3) == 0 ? bytes[b] : 0;
            }
            Address address = Address.of(bytes);
            InetAddress jdk = InetAddress.getByAddress(bytes);

            assertThat(InetAddress.getByName(address.toString()).getAddress()).isEqualTo(bytes);
            assertThat(Address.parse(jdk.getHostAddress())).hasValue(address);
            assertThat(Address.parse(address.toString())).hasValue(address);
        }
    }

    @Test
    void family_isToldByTheBytes() {
        assertThat(Address.of("10.0.0.1").family()).isEqualTo(IpFamily.IPV4);
        assertThat(Address.of("::a00:1").family()).isEqualTo(IpFamily.IPV6);
        assertThat(Address.of("0.0.0.0").isUnspecified()).isTrue();
        assertThat(Address.of("::").isUnspecified()).isTrue();
        assertThat(Address.of("::1").isUnspecified()).isFalse();
    }
}
