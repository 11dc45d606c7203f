package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.assertFails;
import static io.shunt.datapath.NodeFixture.service;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.net.IpFamily;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Nobody on the host may bind a port that is a node port: he would not be heard. */
@Tag("kernel")
class BindProtectionTest {
    private static final int PORT = 30080;
    private static final String NODE4 = "10.0.0.77";
    private static final String NODE6 = "fd00::77";

    private NodeFixture node;

    @BeforeEach
    void start() {
        node = new NodeFixture();
        node.putNodeAddresses(NODE4, NODE6);
    }

    @AfterEach
    void stop() {
        node.close();
    }

    private static void bind(Client client, Traffic traffic, String address, int port) {
        try (Socket socket = client.socket(traffic)) {
            socket.bind(client.named(new Peer(address, port)).address(), port);
            if (port != 0) {
                assertThat(socket.name().port()).isEqualTo(port);
            }
        }
    }

    private void bindOnHost(Client client, String v4, String v6) {
        bind(client, node.host().traffic(), client.either(v4, v6), PORT);
    }

    private void assertInUse(Client client, String v4, String v6) {
        assertFails("EADDRINUSE", () -> bindOnHost(client, v4, v6));
    }

    private static Client otherProtocol(Client client) {
        return switch (client) {
            case TCP4 -> Client.UDP4;
            case TCP6 -> Client.UDP6;
            case TCP_MAPPED -> Client.UDP_MAPPED;
            case UDP4 -> Client.TCP4;
            case UDP6 -> Client.TCP6;
            default -> Client.TCP_MAPPED;
        };
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "TCP_MAPPED", "UDP4", "UDP6", "UDP_MAPPED"})
    void aNodePort_isInUse_onEveryAddressThatTakesIt(Client client) {
        bindOnHost(client, "0.0.0.0", "::");
        node.put(service(client, client.nodePort(PORT)));

        assertInUse(client, "0.0.0.0", "::");
        assertInUse(client, NODE4, NODE6);
        bindOnHost(client, "10.0.0.78", "fd00::78");
        bindOnHost(client, "127.0.0.1", "::1");
        bind(client, node.host().traffic(), client.either("0.0.0.0", "::"), PORT + 1);
        bindOnHost(otherProtocol(client), "0.0.0.0", "::");

        node.ground().remove(node.installation(), "web");
        bindOnHost(client, "0.0.0.0", "::");
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP_MAPPED", "UDP4", "UDP_MAPPED"})
    void loopback_isInUse_whereItTakesNodePorts(Client client) {
        node.put(service(client, client.nodePort(PORT)));
        node.putNodeAddresses("127.0.0.1");

        assertInUse(client, "127.0.0.1", "");
        assertInUse(client, "127.1.2.3", "");
        bindOnHost(client, NODE4, "");
    }

    /** Who listens on all IPv6 addresses hears IPv4 too. */
    @ParameterizedTest
    @EnumSource(names = {"TCP6", "UDP6"})
    void anIpv4NodePort_isInUse_onTheUnspecifiedIpv6Address(Client client) {
        node.put(new VirtualService(
                "web",
                List.of(Frontend.ofNode(IpFamily.IPV4, PORT, client.protocol())),
                NodeFixture.backends(Client.TCP4, Backend.State.CLUSTER, 1)));

        assertInUse(client, "", "::");
        bindOnHost(client, "", NODE6);
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "TCP_MAPPED", "UDP4", "UDP6", "UDP_MAPPED"})
    void aPod_mayBindWhatItLikes(Client client) {
        node.put(service(client, client.nodePort(PORT)));
        node.putNodeAddresses(NODE4, NODE6, "127.0.0.1");

        for (String address : List.of(client.either("0.0.0.0", "::"), client.either(NODE4, NODE6))) {
            bind(client, node.pod().traffic(), address, PORT);
        }
    }

    /** The kernel chooses among the ports that it may, and does not know of node ports. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "UDP4", "UDP6"})
    void aPortOfTheKernelsChoice_isRefusedIfItIsANodePort(Client client) {
        node.put(service(client, client.nodePort(PORT)));
        String any = client.either("0.0.0.0", "::");
        bind(client, node.host().traffic(), any, 0);

        node.host().namespace().run("sysctl", "-qw", "net.ipv4.ip_local_port_range=" + PORT + " " + PORT);

        assertFails("EADDRINUSE", () -> bind(client, node.host().traffic(), any, 0));
    }

    @ParameterizedTest
    @EnumSource(names = {"MPTCP4", "MPTCP6"})
    void mptcp_isTcp(Kind kind) {
        Client client = kind == Kind.MPTCP4 ? Client.TCP4 : Client.TCP6;
        node.put(service(client, client.nodePort(PORT)));
        try (Socket socket = node.host().traffic().socket(kind)) {
            assertFails("EADDRINUSE", () -> socket.bind(client.either("0.0.0.0", "::"), PORT));
        }
    }
}
