package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Datagram;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/**
 * An installation on a node of two network namespaces: the host's, which is said to be the daemon's own, and a pod's.
 * Nothing links them. In each, b1 to b3 answer on 10.0.0.1 to 10.0.0.3 and fd00::1 to fd00::3, by TCP and UDP. All that
 * is not translated fails with ENETUNREACH, as there is no other route.
 */
final class NodeFixture implements AutoCloseable {
    static final int BACKENDS = 3;
    private static final int BACKEND_PORT = 8080;

    private final Ground ground = new Ground();
    private final Pod host;
    private final Pod pod;
    private final Installation installation;

    NodeFixture() {
        this(false);
    }

    NodeFixture(boolean hostNamespaceOnly) {
        try {
            host = servedPod("host");
            pod = servedPod("pod");
            installation =
                    ground.add(ground.install(new Settings(host.traffic().namespaceCookie(), hostNamespaceOnly)));
        } catch (RuntimeException e) {
            ground.close();
            throw e;
        }
    }

    private Pod servedPod(String hint) {
        Pod made = ground.add(new Pod(ground.cgroup(), hint));
        made.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        made.namespace().ip("-6", "route", "add", "local", "fd00::/64", "dev", "lo");
        made.namespace().run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
        for (int i = 1; i <= BACKENDS; i++) {
            for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
                made.traffic().serve(protocol, "10.0.0." + i, BACKEND_PORT, "b" + i);
                made.traffic().serve(protocol, "fd00::" + i, BACKEND_PORT, "b" + i);
            }
        }
        return made;
    }

    Pod host() {
        return host;
    }

    Pod pod() {
        return pod;
    }

    Ground ground() {
        return ground;
    }

    Installation installation() {
        return installation;
    }

    int put(VirtualService service) {
        return ground.put(installation, service);
    }

    void putNodeAddresses(String... addresses) {
        Set<Address> all =
                Set.copyOf(List.of(addresses).stream().map(Address::of).toList());
        ground.onControl(() -> {
            installation.datapath().putNodeAddresses(all);
            return null;
        });
    }

    /** One that everyone may use, before all backends. */
    static VirtualService service(Client client, Frontend... frontends) {
        return new VirtualService("web", List.of(frontends), backends(client, Backend.State.CLUSTER, 1, 2, 3));
    }

    static VirtualService service(
            Client client, Map<Frontend, Access> frontends, List<Backend> backends, int affinitySeconds) {
        return new VirtualService("web", frontends, backends, List.of(), affinitySeconds);
    }

    static List<Backend> backends(Client client, Backend.State state, int... numbers) {
        return IntStream.of(numbers)
                .mapToObj(n -> new Backend(Address.of((client.v6 ? "fd00::" : "10.0.0.") + n), BACKEND_PORT, state))
                .toList();
    }

    static Access inside(Reach reach) {
        return new Access(reach, Reach.CLUSTER, false, false);
    }

    /** How a client talks: which socket, which way of naming an IPv4 address, with or without connect(). */
    enum Client {
        TCP4(Kind.TCP4, false, false, true),
        TCP6(Kind.TCP6, true, false, true),
        TCP_MAPPED(Kind.TCP6, false, true, true),
        UDP4(Kind.UDP4, false, false, false),
        UDP6(Kind.UDP6, true, false, false),
        UDP_MAPPED(Kind.UDP6, false, true, false),
        UDP4_CONNECTED(Kind.UDP4, false, false, true),
        UDP6_CONNECTED(Kind.UDP6, true, false, true),
        UDP_MAPPED_CONNECTED(Kind.UDP6, false, true, true);

        private final Kind kind;
        private final boolean v6;
        private final boolean mapped;
        private final boolean connects;

        Client(Kind kind, boolean v6, boolean mapped, boolean connects) {
            this.kind = kind;
            this.v6 = v6;
            this.mapped = mapped;
            this.connects = connects;
        }

        Protocol protocol() {
            return kind == Kind.TCP4 || kind == Kind.TCP6 ? Protocol.TCP : Protocol.UDP;
        }

        IpFamily family() {
            return v6 ? IpFamily.IPV6 : IpFamily.IPV4;
        }

        boolean v6() {
            return v6;
        }

        /** Of two texts the one of its family. */
        String either(String v4, String v6) {
            return this.v6 ? v6 : v4;
        }

        Frontend frontend(String v4, String v6, int port) {
            return new Frontend(Address.of(either(v4, v6)), port, protocol());
        }

        Frontend nodePort(int port) {
            return Frontend.ofNode(family(), port, protocol());
        }

        Socket socket(Traffic traffic) {
            return traffic.socket(kind);
        }

        Peer named(Peer peer) {
            return mapped ? peer.mapped() : peer;
        }

        /** Has a conversation on a new socket; returns who answered. */
        String ask(Traffic traffic, Frontend frontend) {
            return ask(traffic, new Peer(frontend.address().toString(), frontend.port()));
        }

        String ask(Traffic traffic, Peer at) {
            try (Socket socket = socket(traffic)) {
                return ask(socket, at, at);
            }
        }

        String ask(Socket socket, Peer at) {
            return ask(socket, at, at);
        }

        /** @param seen whom the socket then believes that it talks to */
        String ask(Socket socket, Peer at, Peer seen) {
            if (connects) {
                socket.connect(named(at));
                assertThat(socket.peerName()).isEqualTo(named(seen));
                socket.send("hello");
            } else {
                socket.sendTo(named(at), "hello");
            }
            if (protocol() == Protocol.TCP) {
                String reply = socket.receive().strip();
                return reply.substring(reply.lastIndexOf(' ') + 1);
            }
            Datagram reply = socket.receiveFrom();
            assertThat(reply.from()).isEqualTo(named(seen));
            return reply.text();
        }
    }

    /** Every entry of a map, decoded. */
    List<Map<String, ?>> entries(String map) {
        List<Map<String, ?>> entries = new ArrayList<>();
        PinnedMaps.dump(ground.pins().path(), (name, fields) -> {
            if (name.equals(map)) {
                entries.add(fields);
            }
        });
        return entries;
    }

    static void assertFails(String errno, ThrowingCallable call) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(call)
                .extracting(CallFailedException::errno)
                .isEqualTo(errno);
    }

    @Override
    public void close() {
        ground.close();
    }
}
