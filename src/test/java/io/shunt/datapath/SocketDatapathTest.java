package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.datapath.SocketFixture.Server;
import io.shunt.datapath.SocketFixture.Vip;
import io.shunt.libbpf.BpfProgram;
import io.shunt.net.Protocol;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Datagram;
import io.shunt.testbed.Load;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** What a socket sees of a service, in every way that a socket can name an address. */
@Tag("kernel")
class SocketDatapathTest {
    private static SocketFixture fixture;

    private final Closing sockets = new Closing();

    /** How a client writes an address: which family of socket, and which family of sockaddr. */
    enum Naming {
        IPV4(Kind.TCP4, Kind.UDP4),
        IPV6(Kind.TCP6, Kind.UDP6),
        /** ::ffff:10.0.0.1 on an IPv6 socket. */
        MAPPED(Kind.TCP6, Kind.UDP6),
        /** A sockaddr_in on an IPv6 socket, which only UDP takes; the kernel answers in mapped form. */
        IPV4_ON_IPV6(Kind.TCP6, Kind.UDP6);

        private final Kind tcp;
        private final Kind udp;

        Naming(Kind tcp, Kind udp) {
            this.tcp = tcp;
            this.udp = udp;
        }

        boolean v6() {
            return this == IPV6;
        }

        Kind tcp() {
            return tcp;
        }

        Kind udp() {
            return udp;
        }

        Peer named(Peer peer) {
            return this == MAPPED ? peer.mapped() : peer;
        }

        Peer reported(Peer peer) {
            return this == MAPPED || this == IPV4_ON_IPV6 ? peer.mapped() : peer;
        }
    }

    @BeforeAll
    static void start() {
        fixture = new SocketFixture();
    }

    @AfterAll
    static void stop() {
        fixture.close();
    }

    @AfterEach
    void closeSockets() {
        sockets.close();
    }

    private Socket tcp(Naming naming) {
        return sockets.add(fixture.traffic().socket(naming.tcp));
    }

    private Socket udp(Naming naming) {
        return sockets.add(fixture.traffic().socket(naming.udp));
    }

    private static Vip tcpService(Naming naming, int backends) {
        return fixture.service(naming.v6(), Protocol.TCP, fixture.servers(naming.v6(), Protocol.TCP, backends));
    }

    private static Vip udpService(Naming naming, int backends) {
        return fixture.service(naming.v6(), Protocol.UDP, fixture.servers(naming.v6(), Protocol.UDP, backends));
    }

    private static String exchange(Socket socket, Naming naming, Vip vip) {
        socket.sendTo(naming.named(vip.at()), "?");
        Datagram reply = socket.receiveFrom();
        assertThat(reply.from()).as("source of the reply").isEqualTo(naming.reported(vip.at()));
        return reply.text();
    }

    private static String exchangeConnected(Socket socket, Naming naming, Vip vip) {
        socket.send("?");
        Datagram reply = socket.receiveFrom();
        assertThat(reply.from()).as("source of the reply").isEqualTo(naming.reported(vip.at()));
        return reply.text();
    }

    private static void assertFails(String errno, ThrowingCallable call) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(call)
                .extracting(CallFailedException::errno)
                .isEqualTo(errno);
    }

    // TCP

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcpConnect_reachesABackend_andBelievesItReachedTheService(Naming naming) {
        Vip vip = tcpService(naming, 2);
        Socket socket = tcp(naming);
        socket.connect(naming.named(vip.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        socket.send("hello");
        assertThat(socket.receive()).startsWith("HTTP/1.1 200");
        assertThat(fixture.connections(vip)).isEqualTo(1);
        assertThat(fixture.refused(vip)).isZero();
    }

    @ParameterizedTest
    @EnumSource(names = {"MPTCP4", "MPTCP6"})
    void mptcpConnect_isTcp_andLeavesNoOriginOfItsSubflow(Kind kind) {
        Naming naming = kind == Kind.MPTCP4 ? Naming.IPV4 : Naming.IPV6;
        Vip vip = tcpService(naming, 1);
        try (Socket socket = fixture.traffic().socket(kind)) {
            socket.connect(naming.named(vip.at()));
            assertThat(fixture.connections(vip)).isEqualTo(1);
        }
        assertThat(fixture.entries("tcp_origins")).isZero();
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcpOrigin_isGoneOnceTheSocketIsClosed(Naming naming) {
        Vip vip = tcpService(naming, 1);
        List<Socket> open = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            Socket socket = fixture.traffic().socket(naming.tcp);
            socket.connect(naming.named(vip.at()));
            open.add(socket);
        }
        assertThat(fixture.entries("tcp_origins")).isEqualTo(10);
        open.forEach(Socket::close);
        assertThat(fixture.entries("tcp_origins")).isZero();
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcpConnect_toTheBackendItselfAfterOneThroughTheServiceFailed_namesTheBackend(Naming naming) {
        Server backend = fixture.silent(naming.v6());
        Vip vip = fixture.service(naming.v6(), Protocol.TCP, List.of(backend));
        Socket socket = tcp(naming);
        assertFails("ECONNREFUSED", () -> socket.connect(naming.named(vip.at())));
        sockets.add(fixture.traffic()
                .serve(Protocol.TCP, backend.at().address(), backend.at().port(), backend.name()));
        socket.connect(naming.named(backend.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(backend.at()));
        assertThat(fixture.entries("tcp_origins")).isZero();
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcpConnect_toTheBackendItselfAfterDisconnecting_namesTheBackend(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.TCP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.TCP, backends);
        Socket socket = tcp(naming);
        socket.connect(naming.named(vip.at()));
        socket.disconnect();
        socket.connect(naming.named(backends.getFirst().at()));
        assertThat(socket.peerName())
                .isEqualTo(naming.reported(backends.getFirst().at()));
        socket.disconnect();
        socket.connect(naming.named(vip.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
    }

    @Test
    void tcpConnect_withTheOriginsFull_worksAndNamesTheBackend() {
        try (SocketFixture full =
                new SocketFixture(object -> object.map("tcp_origins").setMaxEntries(1))) {
            List<Server> backends = full.servers(false, Protocol.TCP, 1);
            Vip vip = full.service(false, Protocol.TCP, backends);
            List<Socket> open = new ArrayList<>();
            // A hash without preallocation lets in about one element a CPU more than its size.
            while (full.errors(0) == 0 && open.size() < 1000) {
                Socket socket = full.traffic().socket(Kind.TCP4);
                socket.connect(vip.at());
                open.add(socket);
            }
            assertThat(full.errors(0)).isEqualTo(1);
            assertThat(open.getLast().peerName()).isEqualTo(backends.getFirst().at());
            assertThat(open.getFirst().peerName()).isEqualTo(vip.at());
            assertThat(full.connections(vip)).isEqualTo(open.size());
        }
    }

    // Connected UDP

    @ParameterizedTest
    @EnumSource
    void udpConnect_reachesABackend_andBelievesItReachedTheService(Naming naming) {
        Vip vip = udpService(naming, 3);
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        String backend = exchangeConnected(socket, naming, vip);
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        // A second send: on an IPv6 socket with a mapped peer the first one has run sendmsg4 with the backend's
        // address.
        assertThat(exchangeConnected(socket, naming, vip)).isEqualTo(backend);
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        assertThat(fixture.connections(vip)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_again_choosesAnew(Naming naming) {
        Vip vip = udpService(naming, 4);
        Socket socket = udp(naming);
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 120; i++) {
            socket.connect(naming.named(vip.at()));
            seen.add(exchangeConnected(socket, naming, vip));
            assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        }
        assertThat(seen).hasSize(4);
        assertThat(fixture.connections(vip)).isEqualTo(120);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_toTheBackendItself_namesTheBackend(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Peer backend = backends.getFirst().at();
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        socket.connect(naming.named(backend));
        assertThat(socket.peerName()).isEqualTo(naming.reported(backend));
        socket.send("?");
        assertThat(socket.receiveFrom().from()).isEqualTo(naming.reported(backend));
        socket.connect(naming.named(vip.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_toTheBackendItselfAfterDisconnecting_namesTheBackend(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Peer backend = backends.getFirst().at();
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        socket.disconnect();
        assertFails("ENOTCONN", socket::peerName);
        socket.connect(naming.named(backend));
        assertThat(socket.peerName()).isEqualTo(naming.reported(backend));
        socket.disconnect();
        socket.connect(naming.named(vip.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        exchangeConnected(socket, naming, vip);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_toAnotherAddress_namesThat(Naming naming) {
        Vip vip = udpService(naming, 1);
        Server other = fixture.servers(naming.v6(), Protocol.UDP, 1).getFirst();
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        socket.connect(naming.named(other.at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(other.at()));
        socket.send("?");
        assertThat(socket.receiveFrom()).isEqualTo(new Datagram(naming.reported(other.at()), other.name()));
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_thatIsRefused_leavesTheOldPeerTheService(Naming naming) {
        Vip vip = udpService(naming, 1);
        Vip empty = fixture.service(naming.v6(), Protocol.UDP, List.of());
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        assertFails("ECONNREFUSED", () -> socket.connect(naming.named(empty.at())));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        exchangeConnected(socket, naming, vip);
        assertThat(fixture.refused(empty)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_thatFindsNoRoute_leavesTheOldPeerTheService(Naming naming) {
        Vip vip = udpService(naming, 1);
        Server nowhere = fixture.at(new Peer(naming.v6() ? "fd99::1" : "192.0.2.1", 53));
        Vip lost = fixture.service(naming.v6(), Protocol.UDP, List.of(nowhere));
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        for (int i = 0; i < 6; i++) {
            assertFails("ENETUNREACH", () -> socket.connect(naming.named(lost.at())));
            assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        }
        exchangeConnected(socket, naming, vip);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_toTheSameServiceThatFails_leavesTheOldPeerTheService(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        Server nowhere = fixture.at(new Peer(naming.v6() ? "fd99::1" : "192.0.2.1", 53));
        fixture.backend(nowhere, vip.id(), SocketFixture.ACTIVE, 1);
        fixture.setMembers(vip, List.of(nowhere));
        assertFails("ENETUNREACH", () -> socket.connect(naming.named(vip.at())));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        exchangeConnected(socket, naming, vip);
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_thatFailsOnASocketWithManyOrigins_leavesTheOldPeerTheService(Naming naming) {
        Vip vip = udpService(naming, 1);
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        for (int i = 0; i < 4; i++) {
            socket.sendTo(naming.named(udpService(naming, 1).at()), "?");
        }
        Server nowhere = fixture.at(new Peer(naming.v6() ? "fd99::1" : "192.0.2.1", 53));
        fixture.backend(nowhere, vip.id(), SocketFixture.ACTIVE, 1);
        fixture.setMembers(vip, List.of(nowhere));
        assertFails("ENETUNREACH", () -> socket.connect(naming.named(vip.at())));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        exchangeConnected(socket, naming, vip);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_theServiceOfAConnectedSocket_goesToItsPeer(Naming naming) {
        Vip vip = udpService(naming, 8);
        for (int i = 0; i < 20; i++) {
            try (Socket socket = fixture.traffic().socket(naming.udp)) {
                String unconnected = exchange(socket, naming, vip);
                assertThat(unconnected).isNotEmpty();
                socket.connect(naming.named(vip.at()));
                String peer = exchangeConnected(socket, naming, vip);
                assertThat(exchange(socket, naming, vip)).isEqualTo(peer);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_anotherServiceFromAConnectedSocket_leavesThePeerTheService(Naming naming) {
        Vip vip = udpService(naming, 1);
        Server backend = fixture.silent(naming.v6());
        Vip other = fixture.service(naming.v6(), Protocol.UDP, List.of(backend));
        Socket server = sockets.add(fixture.traffic().socket(naming.v6() ? Kind.UDP6 : Kind.UDP4));
        server.bind(backend.at().address(), backend.at().port());
        Socket socket = udp(naming);
        socket.connect(naming.named(vip.at()));
        socket.sendTo(naming.named(other.at()), "across");
        assertThat(server.receive()).isEqualTo("across");
        assertThat(socket.peerName()).isEqualTo(naming.reported(vip.at()));
        exchangeConnected(socket, naming, vip);
        assertThat(fixture.connections(other)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_aServiceFromASocketConnectedToItsBackend_avoidsThatBackend(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 2);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Peer direct = backends.getFirst().at();
        for (int i = 0; i < 20; i++) {
            try (Socket socket = fixture.traffic().socket(naming.udp)) {
                socket.connect(naming.named(direct));
                socket.sendTo(naming.named(vip.at()), "?");
                assertThat(socket.peerName()).isEqualTo(naming.reported(direct));
            }
        }
    }

    // Unconnected UDP

    @ParameterizedTest
    @EnumSource
    void sendTo_staysWithItsBackend(Naming naming) {
        Vip vip = udpService(naming, 10);
        Socket socket = udp(naming);
        String first = exchange(socket, naming, vip);
        for (int i = 0; i < 50; i++) {
            assertThat(exchange(socket, naming, vip)).isEqualTo(first);
        }
        assertThat(fixture.connections(vip)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_fromManySockets_reachesAllBackends(Naming naming) {
        Vip vip = udpService(naming, 3);
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            try (Socket socket = fixture.traffic().socket(naming.udp)) {
                seen.add(exchange(socket, naming, vip));
            }
        }
        assertThat(seen).hasSize(3);
        assertThat(fixture.connections(vip)).isEqualTo(100);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_afterItsBackendIsGone_movesOnceAndStays(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 5);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Socket socket = udp(naming);
        String first = exchange(socket, naming, vip);
        Server gone = named(backends, first);
        List<Server> rest =
                backends.stream().filter(server -> !server.equals(gone)).toList();
        fixture.setMembers(vip, rest);
        assertThat(exchange(socket, naming, vip))
                .as("out of the set, still active")
                .isEqualTo(first);
        fixture.backend(gone, vip.id(), SocketFixture.DRAINING, 1);
        assertThat(exchange(socket, naming, vip)).as("draining").isEqualTo(first);
        fixture.backend(gone, vip.id(), SocketFixture.GONE, 1);
        String second = exchange(socket, naming, vip);
        assertThat(second).isNotEqualTo(first);
        for (int i = 0; i < 20; i++) {
            assertThat(exchange(socket, naming, vip)).isEqualTo(second);
        }
        assertThat(fixture.connections(vip)).isEqualTo(2);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_whileItsBackendIsUnready_choosesAnew(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 2);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Socket socket = udp(naming);
        String first = exchange(socket, naming, vip);
        Server unready = named(backends, first);
        fixture.setMembers(
                vip, backends.stream().filter(server -> !server.equals(unready)).toList());
        fixture.backend(unready, vip.id(), SocketFixture.UNREADY, 1);
        assertThat(exchange(socket, naming, vip)).isNotEqualTo(first);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_afterItsBackendsIdWasUsedAgain_choosesAnew(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 2);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Vip later = fixture.service(naming.v6(), Protocol.UDP, List.of());
        Socket socket = udp(naming);
        String first = exchange(socket, naming, vip);
        Server reused = named(backends, first);
        fixture.setMembers(
                vip, backends.stream().filter(server -> !server.equals(reused)).toList());
        fixture.backend(reused, later.id(), SocketFixture.ACTIVE, 2);
        assertThat(exchange(socket, naming, vip)).isNotEqualTo(first);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_afterItsBackendsIdBecameAnotherOfTheService_goesThere(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Server successor = fixture.servers(naming.v6(), Protocol.UDP, 1).getFirst();
        Socket socket = udp(naming);
        exchange(socket, naming, vip);
        Server reused = new Server(backends.getFirst().id(), successor.at(), successor.name());
        fixture.backend(reused, vip.id(), SocketFixture.ACTIVE, 2);
        assertThat(exchange(socket, naming, vip)).isEqualTo(successor.name());
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_aServiceWithoutBackends_isRefusedUnlessTheSocketsOwnStillDrains(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Socket socket = udp(naming);
        exchange(socket, naming, vip);
        fixture.setMembers(vip, List.of());
        fixture.backend(backends.getFirst(), vip.id(), SocketFixture.DRAINING, 1);
        exchange(socket, naming, vip);
        fixture.backend(backends.getFirst(), vip.id(), SocketFixture.GONE, 1);
        assertFails("ECONNREFUSED", () -> socket.sendTo(naming.named(vip.at()), "?"));
        Socket fresh = udp(naming);
        assertFails("ECONNREFUSED", () -> fresh.sendTo(naming.named(vip.at()), "?"));
        assertThat(fixture.refused(vip)).isEqualTo(2);
        assertThat(fixture.connections(vip)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource
    void sendTo_theBackendItself_namesTheBackend(Naming naming) {
        List<Server> backends = fixture.servers(naming.v6(), Protocol.UDP, 1);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, backends);
        Peer backend = backends.getFirst().at();
        Socket socket = udp(naming);
        exchange(socket, naming, vip);
        socket.sendTo(naming.named(backend), "?");
        assertThat(socket.receiveFrom().from()).isEqualTo(naming.reported(backend));
        exchange(socket, naming, vip);
    }

    @ParameterizedTest
    @EnumSource
    void hundredServiceAddressesOnOneSocket_areToldApart(Naming naming) {
        int count = 100;
        // All services share the same hundred and twenty listeners, each as a backend of its own.
        List<Server> listeners = fixture.servers(naming.v6(), Protocol.UDP, 120);
        Map<Peer, String> names = new HashMap<>();
        listeners.forEach(server -> names.put(server.at(), server.name()));
        List<Vip> vips = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            List<Server> own =
                    listeners.stream().map(server -> fixture.at(server.at())).toList();
            vips.add(fixture.service(naming.v6(), Protocol.UDP, own));
        }
        Socket socket = udp(naming);
        Map<Peer, String> answered = new HashMap<>();
        for (Vip vip : vips) {
            answered.put(naming.reported(vip.at()), exchange(socket, naming, vip));
        }
        assertThat(new HashSet<>(answered.values())).as("backends in use").hasSize(count);

        vips.forEach(vip -> socket.sendTo(naming.named(vip.at()), "?"));
        Map<Peer, String> again = new HashMap<>();
        for (int i = 0; i < count; i++) {
            Datagram reply = socket.receiveFrom();
            again.put(reply.from(), reply.text());
        }
        assertThat(again).isEqualTo(answered);
        assertThat(vips).allSatisfy(vip -> assertThat(fixture.connections(vip)).isEqualTo(1));
    }

    @ParameterizedTest
    @EnumSource
    void originsEvicted_areRebuiltFromEachOther(Naming naming) {
        List<Server> listeners = fixture.servers(naming.v6(), Protocol.UDP, 30);
        List<Vip> vips = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            List<Server> own =
                    listeners.stream().map(server -> fixture.at(server.at())).toList();
            vips.add(fixture.service(naming.v6(), Protocol.UDP, own));
        }
        Socket socket = udp(naming);
        Map<Vip, String> answered = new HashMap<>();
        vips.forEach(vip -> answered.put(vip, exchange(socket, naming, vip)));
        assertThat(fixture.entries("udp_by_service")).isPositive();
        assertThat(fixture.entries("udp_by_backend")).isEqualTo(fixture.entries("udp_by_service"));

        fixture.evict("udp_by_backend");
        vips.forEach(vip -> assertThat(exchange(socket, naming, vip)).isEqualTo(answered.get(vip)));

        vips.forEach(vip -> socket.sendTo(naming.named(vip.at()), "?"));
        fixture.evict("udp_by_service");
        vips.forEach(vip -> socket.receiveFrom());
        vips.forEach(vip -> assertThat(exchange(socket, naming, vip)).isEqualTo(answered.get(vip)));

        assertThat(vips).allSatisfy(vip -> assertThat(fixture.connections(vip)).isEqualTo(1));
        fixture.evict("udp_by_service");
        fixture.evict("udp_by_backend");
    }

    /** The kernel gives the memory of an evicted element to another socket's at once, also while a program looks at it. */
    @ParameterizedTest
    @EnumSource
    void originsWhoseMemoryBecameAnothers_areNotBelieved(Naming naming) {
        List<Vip> vips = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            vips.add(udpService(naming, 1));
        }
        int before = fixture.entries("udp_by_backend");
        Socket socket = udp(naming);
        vips.forEach(vip -> exchange(socket, naming, vip));
        Vip last = vips.getLast();
        assertThat(fixture.entries("udp_by_backend"))
                .as("the socket's own are full")
                .isEqualTo(before + 2);

        socket.sendTo(naming.named(last.at()), "?");
        fixture.reuse("udp_by_service", last.at());
        fixture.reuse("udp_by_backend", vips.getFirst().at());

        Datagram reply = socket.receiveFrom();
        assertThat(reply.from().port()).as("the backend's own").isGreaterThan(8000);
        assertThat(exchange(socket, naming, last)).isEqualTo(reply.text());
        assertThat(fixture.connections(last)).as("chosen anew").isEqualTo(2);
        fixture.evict("udp_by_service");
        fixture.evict("udp_by_backend");
    }

    @ParameterizedTest
    @EnumSource
    void moreServiceAddressesThanBackends_areNamedAsLastAsked(Naming naming) {
        List<Server> listeners = fixture.servers(naming.v6(), Protocol.UDP, 2);
        List<Vip> vips = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            List<Server> own =
                    listeners.stream().map(server -> fixture.at(server.at())).toList();
            vips.add(fixture.service(naming.v6(), Protocol.UDP, own));
        }
        Socket socket = udp(naming);
        for (int round = 0; round < 3; round++) {
            vips.forEach(vip -> exchange(socket, naming, vip));
        }
    }

    @ParameterizedTest
    @EnumSource
    void manyOriginsOverflowed_aBackendSpokenToItselfIsNamedItself(Naming naming) {
        List<Vip> vips = new ArrayList<>();
        List<Server> backends = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            List<Server> one = fixture.servers(naming.v6(), Protocol.UDP, 1);
            backends.addAll(one);
            vips.add(fixture.service(naming.v6(), Protocol.UDP, one));
        }
        Socket socket = udp(naming);
        vips.forEach(vip -> exchange(socket, naming, vip));
        for (Server backend : backends) {
            socket.sendTo(naming.named(backend.at()), "?");
            assertThat(socket.receiveFrom().from()).isEqualTo(naming.reported(backend.at()));
        }
        vips.forEach(vip -> exchange(socket, naming, vip));
        socket.connect(naming.named(vips.getLast().at()));
        assertThat(socket.peerName()).isEqualTo(naming.reported(vips.getLast().at()));
        socket.connect(naming.named(backends.getLast().at()));
        assertThat(socket.peerName())
                .isEqualTo(naming.reported(backends.getLast().at()));
    }

    // Refused, untouched

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcpConnect_withoutBackends_isRefused(Naming naming) {
        Vip vip = fixture.service(naming.v6(), Protocol.TCP, List.of());
        Socket socket = tcp(naming);
        assertFails("ECONNREFUSED", () -> socket.connect(naming.named(vip.at())));
        assertThat(fixture.refused(vip)).isEqualTo(1);
        assertThat(fixture.connections(vip)).isZero();
    }

    @ParameterizedTest
    @EnumSource
    void udpConnect_withoutBackends_isRefused(Naming naming) {
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, List.of());
        Socket socket = udp(naming);
        assertFails("ECONNREFUSED", () -> socket.connect(naming.named(vip.at())));
        assertFails("ENOTCONN", socket::peerName);
        assertThat(fixture.refused(vip)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void anotherPortOrProtocol_passesUntouched(Naming naming) {
        Vip tcp = tcpService(naming, 1);
        Vip udp = udpService(naming, 1);
        assertFails(
                "ENETUNREACH",
                () -> tcp(naming).connect(naming.named(new Peer(tcp.at().address(), 81))));
        assertFails("ENETUNREACH", () -> tcp(naming).connect(naming.named(udp.at())));
        assertFails("ENETUNREACH", () -> udp(naming).connect(naming.named(tcp.at())));
        assertFails("ENETUNREACH", () -> udp(naming).sendTo(naming.named(tcp.at()), "?"));
        assertThat(fixture.connections(tcp)).isZero();
        assertThat(fixture.connections(udp)).isZero();
    }

    @Test
    void anotherCgroup_isNotTranslated() {
        Vip vip = tcpService(Naming.IPV4, 1);
        try (Cgroup other = Cgroup.create("other");
                Traffic outside = Traffic.start(other, fixture.pod().namespace())) {
            assertFails("ENETUNREACH", () -> outside.request(vip.at().address(), 80));
        }
    }

    // Choice and counters

    @ParameterizedTest
    @EnumSource(names = {"REQUEST", "UDP", "UDP_CONNECTED"})
    void choice_isEven(Load.Kind kind) {
        int choices = 12_000;
        for (Naming naming : List.of(Naming.IPV4, Naming.IPV6)) {
            Vip vip = kind == Load.Kind.REQUEST ? tcpService(naming, 10) : udpService(naming, 10);
            Load load =
                    fixture.traffic().load(kind, vip.at().address(), vip.at().port(), choices, 2);
            assertThat(load.outcomes()).isEqualTo(Map.of("ok", (long) choices));
            assertThat(load.servers()).hasSize(10);
            // 9 degrees of freedom: an even choice exceeds this once in a billion times.
            assertThat(chiSquare(load.servers().values())).isLessThan(60.5);
            assertThat(fixture.connections(vip)).isEqualTo(choices);
        }
    }

    private static double chiSquare(Collection<Long> counts) {
        double expected = counts.stream().mapToLong(Long::longValue).average().orElseThrow();
        return counts.stream()
                .mapToDouble(count -> (count - expected) * (count - expected) / expected)
                .sum();
    }

    @Test
    void counters_loseNothingWhenThreadsCompete() {
        Vip vip = tcpService(Naming.IPV4, 3);
        Vip empty = fixture.service(false, Protocol.TCP, List.of());
        Traffic traffic = fixture.traffic();
        Load load = traffic.load(Load.Kind.CONNECT, vip.at().address(), 80, 20_000, 4);
        Load refused = traffic.load(Load.Kind.CONNECT, empty.at().address(), 80, 20_000, 4);
        assertThat(load.outcomes()).isEqualTo(Map.of("ok", 20_000L));
        assertThat(refused.outcomes()).isEqualTo(Map.of("ECONNREFUSED", 20_000L));
        assertThat(fixture.connections(vip)).isEqualTo(20_000);
        assertThat(fixture.refused(empty)).isEqualTo(20_000);
        assertThat(fixture.entries("tcp_origins")).isZero();
    }

    @Test
    void programs_areFarFromTheVerifiersLimit() {
        for (BpfProgram program : fixture.programs()) {
            int walked = program.info().verifiedInstructions();
            System.out.printf("%s: the verifier walked %,d instructions%n", program.name(), walked);
            assertThat(walked).as(program.name()).isLessThan(100_000);
        }
    }

    /** The kernel gives a deleted element's memory to the next one at once, also while a program looks at it. */
    @Test
    void tcpConnect_whileItsServiceIsTakenOut_neverReachesTheOneThatCame() throws Exception {
        Vip asked = tcpService(Naming.IPV4, 1);
        Vip other = tcpService(Naming.IPV4, 1);
        fixture.withdraw(other);
        CompletableFuture<Load> load = CompletableFuture.supplyAsync(() -> fixture.traffic()
                .load(Load.Kind.CONNECT, asked.at().address(), asked.at().port(), 150_000, 4));
        while (!load.isDone()) {
            fixture.withdraw(asked);
            fixture.publish(other);
            fixture.withdraw(other);
            fixture.publish(asked);
        }

        assertThat(load.get().outcomes()).containsKeys("ok", "ENETUNREACH");
        assertThat(fixture.connections(asked)).isEqualTo(load.get().ok());
        assertThat(fixture.connections(other)).isZero();
    }

    private static Server named(List<Server> servers, String name) {
        return servers.stream()
                .filter(server -> server.name().equals(name))
                .findFirst()
                .orElseThrow();
    }
}
