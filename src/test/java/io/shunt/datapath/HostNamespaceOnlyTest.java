package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.assertFails;
import static io.shunt.datapath.NodeFixture.service;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.table.Frontend;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sockets of pods are left alone if the daemon was told so: what translates packets serves them. */
@Tag("kernel")
class HostNamespaceOnlyTest {
    private static NodeFixture node;

    @BeforeAll
    static void start() {
        node = new NodeFixture(true);
    }

    @AfterAll
    static void stop() {
        node.close();
    }

    @ParameterizedTest
    @EnumSource
    void onlyTheHostsSockets_areTranslated(Client client) {
        Frontend clusterIp = client.frontend("10.96.0.1", "fd00:96::1", 80);
        Frontend nodePort = client.frontend("192.0.2.1", "fd00:2::1", 30080);
        node.putNodeAddresses("192.0.2.1", "fd00:2::1");
        node.put(service(client, clusterIp, client.nodePort(30080)));

        assertThat(client.ask(node.host().traffic(), clusterIp)).matches("b[123]");
        assertThat(client.ask(node.host().traffic(), nodePort)).matches("b[123]");
        assertFails("ENETUNREACH", () -> client.ask(node.pod().traffic(), clusterIp));
        assertFails("ENETUNREACH", () -> client.ask(node.pod().traffic(), nodePort));
        assertThat(node.entries("service_stats").getFirst().get("refused")).isEqualTo(0L);
    }
}
