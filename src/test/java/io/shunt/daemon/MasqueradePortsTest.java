package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.host.EphemeralPorts;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MasqueradePortsTest {
    @ParameterizedTest
    @CsvSource({
        "32768 60999, '', 1024, 29999",
        "32768 65535, '', 1024, 29999",
        "33000 33001, '', 1024, 29999",
        "15000 60999, '', 1024, 14999",
        "1024 60999, '', 61000, 65535",
        "1024 40000, '', 40001, 65535",
        "1024 65535, 30000-32767, 0, 0",
        "1024 65535, '20000-20999,30000-32767,50000', 20000, 20999",
        "5000 65535, 10000-19999, 10000, 19999",
        "1024 1024, '', 32768, 65535",
    })
    void theUsualOnes_orTheLongestRunThatTheKernelDoesNotGiveAway(String range, String reserved, int first, int last) {
        EphemeralPorts ephemeral = EphemeralPorts.of(range, reserved);
        if (first == 0) {
            assertThatThrownBy(() -> MasqueradePorts.beside(ephemeral))
                    .isInstanceOf(StartupException.class)
                    .hasMessageContaining("net.ipv4.ip_local_port_range")
                    .hasMessageContaining("net.ipv4.ip_local_reserved_ports");
            return;
        }
        MasqueradePorts ports = MasqueradePorts.beside(ephemeral);
        assertThat(ports.first()).isEqualTo(first);
        assertThat(ports.last()).isEqualTo(last);
    }

    @Test
    void usualPorts_areThoseBelowTheNodePorts() {
        assertThat(MasqueradePorts.USUAL.first()).isEqualTo(1024);
        assertThat(MasqueradePorts.USUAL.count()).isEqualTo(28_976);
    }
}
