package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.assertFails;
import static io.shunt.datapath.NodeFixture.service;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.net.Address;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** A port of all of the node's addresses, and of nobody else's. */
@Tag("kernel")
class NodePortTest {
    private static final int PORT = 30080;
    private static final String NODE4 = "192.0.2.1";
    private static final String NODE6 = "fd00:2::1";

    private static NodeFixture node;

    @BeforeAll
    static void start() {
        node = new NodeFixture();
    }

    @AfterAll
    static void stop() {
        node.close();
    }

    @AfterEach
    void remove() {
        node.ground().remove(node.installation(), "web");
        node.ground().remove(node.installation(), "other");
    }

    private static Peer at(Client client, String v4, String v6) {
        return new Peer(client.either(v4, v6), PORT);
    }

    private static void publish(Client client) {
        node.putNodeAddresses(NODE4, NODE6, "127.0.0.1", "::1");
        node.put(service(client, client.nodePort(PORT)));
    }

    @ParameterizedTest
    @EnumSource
    void nodeAddress_leadsToABackend_fromHostAndPod(Client client) {
        publish(client);
        for (Pod from : List.of(node.host(), node.pod())) {
            assertThat(client.ask(from.traffic(), at(client, NODE4, NODE6))).matches("b[123]");
        }
    }

    @ParameterizedTest
    @EnumSource
    void anotherMachinesPort_andOtherPortsOfTheNode_stayUntouched(Client client) {
        publish(client);
        for (Pod from : List.of(node.host(), node.pod())) {
            Traffic traffic = from.traffic();
            assertFails("ENETUNREACH", () -> client.ask(traffic, at(client, "192.0.2.2", "fd00:2::2")));
            assertFails("ENETUNREACH", () -> client.ask(traffic, new Peer(client.either(NODE4, NODE6), PORT + 1)));
        }
    }

    @ParameterizedTest
    @EnumSource
    void anAddressThatIsTheNodesNoMore_staysUntouched(Client client) {
        publish(client);
        node.putNodeAddresses("192.0.2.7", "fd00:2::7");

        assertFails("ENETUNREACH", () -> client.ask(node.pod().traffic(), at(client, NODE4, NODE6)));
        assertThat(client.ask(node.pod().traffic(), at(client, "192.0.2.7", "fd00:2::7")))
                .matches("b[123]");
    }

    @ParameterizedTest
    @EnumSource
    void theOtherFamily_isNotServed(Client client) {
        Client other = client.v6() ? Client.TCP4 : Client.TCP6;
        publish(client);
        assertFails("ENETUNREACH", () -> other.ask(node.pod().traffic(), at(other, NODE4, NODE6)));
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*6.*")
    void loopback_leadsToABackend_onTheHost(Client client) {
        publish(client);
        for (String loopback : List.of("127.0.0.1", "127.8.9.10")) {
            assertThat(client.ask(node.host().traffic(), new Peer(loopback, PORT)))
                    .matches("b[123]");
        }
    }

    /** The kernel itself takes it for loopback. */
    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*6.*")
    void zero_isLoopback_onTheHost(Client client) {
        publish(client);
        try (Socket socket = client.socket(node.host().traffic())) {
            assertThat(client.ask(socket, new Peer("0.0.0.0", PORT), new Peer("127.0.0.1", PORT)))
                    .matches("b[123]");
        }
    }

    /** The kernel takes it for the socket's own address. */
    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*6.*")
    void zero_isTheAddressThatTheSocketIsBoundTo(Client client) {
        publish(client);
        node.putNodeAddresses("10.0.0.77");
        Traffic traffic = node.pod().traffic();
        try (Socket socket = client.socket(traffic);
                Socket elsewhere = client.socket(traffic);
                Socket own = traffic.serve(client.protocol(), "10.0.0.78", PORT, "own")) {
            socket.bind(client.named(new Peer("10.0.0.77", 0)).address(), 0);
            assertThat(client.ask(socket, new Peer("0.0.0.0", PORT), new Peer("10.0.0.77", PORT)))
                    .matches("b[123]");
            elsewhere.bind(client.named(new Peer("10.0.0.78", 0)).address(), 0);
            assertThat(client.ask(elsewhere, new Peer("0.0.0.0", PORT), new Peer("10.0.0.78", PORT)))
                    .isEqualTo("own");
        }
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*6.*")
    void loopback_ofAPod_isItsOwn(Client client) {
        publish(client);
        Traffic traffic = node.pod().traffic();
        try (Socket own = traffic.serve(client.protocol(), "127.0.0.1", PORT, "own");
                Socket socket = client.socket(traffic)) {
            assertThat(client.ask(traffic, new Peer("127.0.0.1", PORT))).isEqualTo("own");
            assertThat(client.ask(socket, new Peer("0.0.0.0", PORT), new Peer("127.0.0.1", PORT)))
                    .isEqualTo("own");
        }
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_NONE, names = ".*6.*")
    void loopback_ofTheHost_isItsOwn_whereItTakesNoNodePorts(Client client) {
        publish(client);
        node.putNodeAddresses(NODE4);
        Traffic traffic = node.host().traffic();
        try (Socket own = traffic.serve(client.protocol(), "127.0.0.1", PORT, "own")) {
            assertThat(client.ask(traffic, new Peer("127.0.0.1", PORT))).isEqualTo("own");
        }
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.MATCH_ANY, names = ".*6.*")
    void loopback6_isAlwaysItsOwn(Client client) {
        Traffic traffic = node.host().traffic();
        try (Socket own = traffic.serve(client.protocol(), "::1", PORT, "own");
                Socket socket = client.socket(traffic)) {
            publish(client);
            assertThat(client.ask(traffic, new Peer("::1", PORT))).isEqualTo("own");
            assertThat(client.ask(socket, new Peer("::", PORT), new Peer("::1", PORT)))
                    .isEqualTo("own");
        }
    }

    @ParameterizedTest
    @EnumSource
    void aServicesOwnAddress_comesBeforeThePort(Client client) {
        publish(client);
        Frontend external = client.frontend(NODE4, NODE6, PORT);
        node.put(
                new VirtualService("other", List.of(external), NodeFixture.backends(client, Backend.State.CLUSTER, 3)));
        for (int i = 0; i < 10; i++) {
            assertThat(client.ask(node.pod().traffic(), external)).isEqualTo("b3");
        }
        assertThat(external.address()).isEqualTo(Address.of(client.either(NODE4, NODE6)));
    }
}
