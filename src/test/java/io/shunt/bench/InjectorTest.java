package io.shunt.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.Packet;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What is measured has to be what a network brings: frames that the kernel's own stack takes. */
@Tag("kernel")
class InjectorTest {
    private static final int FRAMES = 10_000;
    private static final int CLOSED_PORT = 9;
    private static final int TTL = 64;

    private final NodeBed bed = new NodeBed();
    private final NodeBed.Node node = bed.node("injected");

    @AfterEach
    void close() {
        bed.close();
    }

    private Injector.Sent send(Packet packet) {
        return bed.injector()
                .send(
                        node.namespace(),
                        node.ifindex(),
                        new Injector.Frames(packet.to(node.linkAddress()), Injector.EACH_ANOTHER, null, false, false),
                        FRAMES);
    }

    private Packet.Tuple toClosedPort(IpFamily family, Protocol protocol) {
        String client = family == IpFamily.IPV4 ? "198.18.0.0" : "2001:2::";
        return Packet.Tuple.of(client, 0, node.address(family), CLOSED_PORT, protocol);
    }

    @ParameterizedTest
    @EnumSource
    void synsToAClosedPort_areAllReset(IpFamily family) {
        Injector.Sent sent = send(Packet.tcp(toClosedPort(family, Protocol.TCP), Packet.TCP_SYN, TTL, ""));

        assertThat(sent.arrived()).isEqualTo(FRAMES);
    }

    @ParameterizedTest
    @EnumSource
    void datagramsToAClosedPort_areCountedAsSuch(IpFamily family) {
        send(Packet.udp(toClosedPort(family, Protocol.UDP), TTL, "nobody hears this!"));

        assertThat(datagramsWithoutPort(family)).isEqualTo(FRAMES);
    }

    /** The kernel counts only those whose checksums are right. */
    private long datagramsWithoutPort(IpFamily family) {
        return family == IpFamily.IPV4
                ? Long.parseLong(node.namespace()
                        .run("grep", "^Udp: [0-9]", "/proc/net/snmp")
                        .getFirst()
                        .split(" ")[2])
                : Long.parseLong(node.namespace()
                        .run("grep", "^Udp6NoPorts", "/proc/net/snmp6")
                        .getFirst()
                        .split("\\s+")[1]);
    }
}
