package io.shunt.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.DatagramSocket;
import java.net.SocketException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EphemeralPortsTest {
    @ParameterizedTest(name = "{2} of {0} without {1}: {3}")
    @CsvSource(delimiter = '|', emptyValue = "", textBlock = """
            32768 60999 | ''                     | 32767 | false
            32768 60999 | ''                     | 32768 | true
            32768 60999 | ''                     | 60999 | true
            32768 60999 | ''                     | 61000 | false
            1024 65535  | ''                     | 65535 | true
            1024 65535  | 30000-32767            | 29999 | true
            1024 65535  | 30000-32767            | 30000 | false
            1024 65535  | 30000-32767            | 32767 | false
            1024 65535  | 30000-32767            | 32768 | true
            1024 65535  | 8080,30000-30001,65535 | 8080  | false
            1024 65535  | 8080,30000-30001,65535 | 30001 | false
            1024 65535  | 8080,30000-30001,65535 | 65535 | false
            1024 65535  | 8080,30000-30001,65535 | 30002 | true
            """)
    void portOfTheRange_isOneUnlessItIsReserved(String range, String reserved, int port, boolean expected) {
        EphemeralPorts ports = EphemeralPorts.of(range.replace(' ', '\t') + "\n", reserved + "\n");

        assertThat(ports.contain(port)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', emptyValue = "", textBlock = """
            ''            | ''
            a b           | ''
            60999 32768   | ''
            32768 70000   | ''
            32768 60999   | x
            """)
    void whatTheKernelNeverWrites_isRefused(String range, String reserved) {
        assertThatThrownBy(() -> EphemeralPorts.of(range, reserved))
                .isInstanceOfAny(IllegalArgumentException.class, IndexOutOfBoundsException.class);
    }

    @Test
    void aPortThatTheKernelGives_isOne() throws SocketException {
        EphemeralPorts ports = EphemeralPorts.now();

        try (DatagramSocket client = new DatagramSocket(0)) {
            assertThat(ports.contain(client.getLocalPort())).isTrue();
        }
        assertThat(ports.contain(0)).isFalse();
    }
}
