package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.SocketDatapathTest.Naming;
import io.shunt.datapath.SocketFixture.Server;
import io.shunt.datapath.SocketFixture.Vip;
import io.shunt.libbpf.Capability;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** Which sockets are ended when a backend has left, and above all which are not. */
@Tag("kernel")
class StaleSocketsTest {
    private static final byte[] ELF = Installation.read("/bpf/stale.bpf.o");
    private static final Set<Capability> ROOT = EnumSet.allOf(Capability.class);

    private final Closing closing = new Closing();
    private SocketFixture fixture;
    /** How many sockets were ended, as the listener has heard. */
    private final Map<IpFamily, Long> told = new ConcurrentHashMap<>();

    private StaleSockets stale;

    @BeforeEach
    void start() {
        fixture = closing.add(new SocketFixture());
    }

    @AfterEach
    void stop() {
        closing.close();
    }

    private void open(boolean tcp) {
        stale = closing.add(StaleSockets.open(ELF, fixture.maps(), tcp, ROOT, new NetworkNamespaces(), this::looked));
        assertThat(stale.state()).isEqualTo(tcp ? "on for UDP and TCP" : "on for UDP");
    }

    private static void assertFails(String errno, ThrowingCallable call) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(call)
                .extracting(CallFailedException::errno)
                .isEqualTo(errno);
    }

    private void awaitEnded(long udp, long tcp) {
        await().untilAsserted(() -> {
            assertThat(stale.ended()).containsEntry(Protocol.UDP, udp).containsEntry(Protocol.TCP, tcp);
        });
    }

    private void looked(long nanos, Map<IpFamily, Long> ended) {
        assertThat(nanos).isPositive();
        ended.forEach((family, count) -> told.merge(family, count, Long::sum));
    }

    private void leave(Vip vip, Server server) {
        fixture.backend(server, vip.id(), SocketFixture.GONE, 1);
    }

    private Vip udpService(boolean v6, Server... servers) {
        return fixture.service(v6, Protocol.UDP, List.of(servers));
    }

    private Server udpServer(boolean v6) {
        return fixture.servers(v6, Protocol.UDP, 1).getFirst();
    }

    private static String exchange(Socket socket) {
        socket.send("?");
        return socket.receiveFrom().text();
    }

    private Socket connected(Kind kind, Peer to) {
        return connected(fixture.traffic(), kind, to);
    }

    private static Socket connected(Traffic traffic, Kind kind, Peer to) {
        Socket socket = traffic.socket(kind);
        socket.connect(to);
        return socket;
    }

    /** Ends one more UDP socket of the fixture's namespace: whatever else was to be ended there then is so too. */
    private void endOneMore() {
        long udp = stale.ended().get(Protocol.UDP);
        Server server = fixture.silent(false);
        Vip vip = udpService(false, server);
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, server);
        stale.request();
        await().untilAsserted(() -> assertThat(stale.ended()).containsEntry(Protocol.UDP, udp + 1));
        assertFails("ECONNABORTED", socket::receive);
    }

    @ParameterizedTest
    @EnumSource
    void udpClient_isToldAtOnce_andConnectsAgainToABackendThatServes(Naming naming) {
        open(false);
        List<Server> servers = fixture.servers(naming.v6(), Protocol.UDP, 2);
        Vip vip = fixture.service(naming.v6(), Protocol.UDP, List.of(servers.getFirst()));
        Socket socket = connected(naming.udp(), naming.named(vip.at()));
        assertThat(exchange(socket)).isEqualTo(servers.getFirst().name());
        CompletableFuture<Void> waiting =
                CompletableFuture.runAsync(() -> assertFails("ECONNABORTED", socket::receive));

        fixture.backend(servers.getLast(), vip.id(), SocketFixture.ACTIVE, 1);
        fixture.setMembers(vip, List.of(servers.getLast()));
        leave(vip, servers.getFirst());
        stale.request();

        waiting.join();
        assertFails("ENOTCONN", socket::peerName);
        socket.connect(naming.named(vip.at()));
        assertThat(exchange(socket)).isEqualTo(servers.getLast().name());
        awaitEnded(1, 0);
        boolean v6 = naming.v6();
        await().untilAsserted(() ->
                assertThat(told).isEqualTo(Map.of(IpFamily.IPV4, v6 ? 0L : 1L, IpFamily.IPV6, v6 ? 1L : 0L)));
        endOneMore();
        assertThat(exchange(socket)).isEqualTo(servers.getLast().name());
        awaitEnded(2, 0);
    }

    @Test
    void drainingBackend_keepsItsClients() {
        open(true);
        Server udp = udpServer(false);
        Server tcp = fixture.servers(false, Protocol.TCP, 1).getFirst();
        Vip udpVip = udpService(false, udp);
        Vip tcpVip = fixture.service(false, Protocol.TCP, List.of(tcp));
        Socket datagrams = connected(Kind.UDP4, udpVip.at());
        Socket stream = connected(Kind.TCP4, tcpVip.at());
        fixture.backend(udp, udpVip.id(), SocketFixture.DRAINING, 1);
        fixture.setMembers(udpVip, List.of());
        fixture.backend(tcp, tcpVip.id(), SocketFixture.DRAINING, 1);
        fixture.setMembers(tcpVip, List.of());
        endOneMore();
        assertThat(exchange(datagrams)).isEqualTo(udp.name());
        stream.send("hello");
        assertThat(stream.receive()).startsWith("HTTP/1.1 200");
        awaitEnded(1, 0);
    }

    @Test
    void unreadyBackend_losesItsUdpClients_andKeepsItsTcpConnections_untilItIsGone() {
        open(true);
        Server udp = udpServer(false);
        Server tcp = fixture.servers(false, Protocol.TCP, 1).getFirst();
        Vip udpVip = udpService(false, udp);
        Vip tcpVip = fixture.service(false, Protocol.TCP, List.of(tcp));
        Socket datagrams = connected(Kind.UDP4, udpVip.at());
        Socket stream = connected(Kind.TCP4, tcpVip.at());
        fixture.setMembers(udpVip, List.of());
        fixture.backend(udp, udpVip.id(), SocketFixture.UNREADY, 1);
        fixture.setMembers(tcpVip, List.of());
        fixture.backend(tcp, tcpVip.id(), SocketFixture.UNREADY, 1);
        stale.request();
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", datagrams::receive);
        stream.send("hello");
        assertThat(stream.receive()).startsWith("HTTP/1.1 200");

        leave(tcpVip, tcp);
        stale.request();
        awaitEnded(1, 1);
    }

    @Test
    void unconnectedUdp_isLeftAlone_andChoosesAnew() {
        open(false);
        List<Server> servers = fixture.servers(false, Protocol.UDP, 2);
        Vip vip = udpService(false, servers.getFirst());
        Socket never = fixture.traffic().socket(Kind.UDP4);
        Socket noMore = connected(Kind.UDP6, vip.at().mapped());
        noMore.disconnect();
        List<Socket> sockets = List.of(never, noMore);
        for (Socket socket : sockets) {
            socket.sendTo(socket == never ? vip.at() : vip.at().mapped(), "?");
            assertThat(socket.receiveFrom().text()).isEqualTo(servers.getFirst().name());
        }
        List<Peer> names = sockets.stream().map(Socket::name).toList();
        fixture.backend(servers.getLast(), vip.id(), SocketFixture.ACTIVE, 1);
        fixture.setMembers(vip, List.of(servers.getLast()));
        leave(vip, servers.getFirst());
        endOneMore();
        assertThat(sockets.stream().map(Socket::name)).isEqualTo(names);
        for (Socket socket : sockets) {
            socket.sendTo(socket == never ? vip.at() : vip.at().mapped(), "?");
            assertThat(socket.receiveFrom().text()).isEqualTo(servers.getLast().name());
        }
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void socketsThatWentToTheBackendItself_areLeftAlone(Naming naming) {
        open(true);
        Server udp = udpServer(naming.v6());
        Server tcp = fixture.servers(naming.v6(), Protocol.TCP, 1).getFirst();
        Vip udpVip = udpService(naming.v6(), udp);
        Vip tcpVip = fixture.service(naming.v6(), Protocol.TCP, List.of(tcp));
        Socket datagrams = connected(naming.udp(), naming.named(udp.at()));
        Socket stream = connected(naming.tcp(), naming.named(tcp.at()));
        // These went through the service before, and then did not.
        Socket turned = connected(naming.udp(), naming.named(udpVip.at()));
        turned.connect(naming.named(udp.at()));
        Socket turnedStream = connected(naming.tcp(), naming.named(tcpVip.at()));
        turnedStream.disconnect();
        turnedStream.connect(naming.named(tcp.at()));
        leave(udpVip, udp);
        leave(tcpVip, tcp);
        endOneMore();
        for (Socket socket : List.of(datagrams, turned)) {
            assertThat(exchange(socket)).isEqualTo(udp.name());
        }
        for (Socket socket : List.of(stream, turnedStream)) {
            socket.send("hello");
            assertThat(socket.receive()).startsWith("HTTP/1.1 200");
        }
        awaitEnded(1, 0);
    }

    @ParameterizedTest
    @EnumSource(mode = Mode.EXCLUDE, names = "IPV4_ON_IPV6")
    void tcp_isEndedIfAskedTo(Naming naming) {
        open(true);
        List<Server> servers = fixture.servers(naming.v6(), Protocol.TCP, 2);
        Vip vip = fixture.service(naming.v6(), Protocol.TCP, servers);
        List<Socket> sockets = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            sockets.add(connected(naming.tcp(), naming.named(vip.at())));
        }
        leave(vip, servers.getFirst());
        leave(vip, servers.getLast());
        stale.request();
        awaitEnded(0, 10);
        for (Socket socket : sockets) {
            assertFails("ECONNABORTED", socket::receive);
            assertFails("ENOTCONN", socket::peerName);
        }
        assertThat(fixture.entries("tcp_origins")).isZero();
    }

    @Test
    void tcp_isLeftAloneIfNotAskedTo() {
        open(false);
        Server server = fixture.servers(false, Protocol.TCP, 1).getFirst();
        Vip vip = fixture.service(false, Protocol.TCP, List.of(server));
        Socket socket = connected(Kind.TCP4, vip.at());
        leave(vip, server);
        endOneMore();
        assertThat(socket.peerName()).isEqualTo(vip.at());
        socket.send("hello");
        assertThat(socket.receive()).startsWith("HTTP/1.1 200");
        awaitEnded(1, 0);
    }

    @Test
    void everyNamespace_isEntered() {
        open(true);
        Server udp = fixture.silent(false);
        Server tcp = fixture.silent(true);
        Vip udpVip = udpService(false, udp);
        Vip tcpVip = fixture.service(true, Protocol.TCP, List.of(tcp));
        List<Socket> sockets = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Traffic traffic = fixture.newPod().traffic();
            traffic.serve(Protocol.TCP, tcp.at().address(), tcp.at().port(), "tcp");
            sockets.add(connected(traffic, Kind.UDP4, udpVip.at()));
            sockets.add(connected(traffic, Kind.TCP6, tcpVip.at()));
        }
        leave(udpVip, udp);
        leave(tcpVip, tcp);
        stale.request();
        awaitEnded(3, 3);
        sockets.forEach(socket -> assertFails("ECONNABORTED", socket::receive));
    }

    @Test
    void idThatIsGivenOutAgain_isAnotherBackend() {
        open(true);
        Server before = udpServer(false);
        Vip vip = udpService(false, before);
        Socket old = connected(Kind.UDP4, vip.at());
        Server after = new Server(before.id(), fixture.silent(false).at(), "after");
        fixture.traffic().serve(Protocol.UDP, after.at().address(), after.at().port(), after.name());
        Vip other = udpService(false);
        fixture.backend(after, other.id(), SocketFixture.ACTIVE, 2);
        fixture.setMembers(other, List.of(after));
        fixture.setMembers(vip, List.of());
        Socket fresh = connected(Kind.UDP4, other.at());
        stale.request();
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", old::receive);
        endOneMore();
        assertThat(exchange(fresh)).isEqualTo(after.name());
    }

    @Test
    void backendThatCameBack_keepsItsClients() {
        open(true);
        Server before = udpServer(false);
        Vip vip = udpService(false, before);
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, before);
        Server again = fixture.at(before.at());
        fixture.backend(again, vip.id(), SocketFixture.ACTIVE, 1);
        fixture.setMembers(vip, List.of(udpServer(false), again));
        endOneMore();
        assertThat(exchange(socket)).isEqualTo(before.name());
        awaitEnded(1, 0);
    }

    @Test
    void serviceMadeAnewWithTheSameBackend_keepsItsClients() {
        open(true);
        Server before = fixture.servers(true, Protocol.TCP, 1).getFirst();
        Vip vip = fixture.service(true, Protocol.TCP, List.of(before));
        Socket socket = connected(Kind.TCP6, vip.at());
        Vip anew = fixture.service(true, Protocol.TCP, List.of(fixture.at(before.at())));
        fixture.publish(new Vip(anew.id(), vip.at(), Protocol.TCP));
        leave(vip, before);
        endOneMore();
        assertThat(socket.peerName()).isEqualTo(vip.at());
        awaitEnded(1, 0);
    }

    @Test
    void sameAddressAsBackendOfAnotherService_doesNotCount() {
        open(false);
        Server server = udpServer(false);
        Vip vip = udpService(false, server);
        udpService(false, fixture.at(server.at()));
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, server);
        stale.request();
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void socketWithManyOrigins_isFoundToo() {
        open(false);
        Socket socket = fixture.traffic().socket(Kind.UDP4);
        for (int i = 0; i < 8; i++) {
            Server each = udpServer(false);
            socket.sendTo(udpService(false, each).at(), "?");
            assertThat(socket.receiveFrom().text()).isEqualTo(each.name());
        }
        Server last = udpServer(false);
        Vip vip = udpService(false, last);
        socket.connect(vip.at());
        assertThat(exchange(socket)).isEqualTo(last.name());
        leave(vip, last);
        stale.request();
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void whoConnectsWhileTheBackendLeaves_isFoundByTheSecondLook() {
        open(false);
        Server server = fixture.silent(false);
        Vip vip = udpService(false, server);
        long before = System.nanoTime();
        endOneMore();
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, server);
        if (System.nanoTime() - before >= TimeUnit.SECONDS.toNanos(1)) {
            // This came too late for the second look, and shows nothing.
            stale.request();
        }
        awaitEnded(2, 0);
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void backendThatLeftWhileNobodyWatched_isFoundAtTheStart() {
        Server server = fixture.silent(false);
        Vip vip = udpService(false, server);
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, server);
        open(false);
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void namespaceThatCannotBeFound_isComplainedOf(@TempDir Path empty) {
        Server server = fixture.silent(false);
        Vip vip = udpService(false, server);
        Socket socket = connected(Kind.UDP4, vip.at());
        leave(vip, server);
        stale = closing.add(
                StaleSockets.open(ELF, fixture.maps(), false, ROOT, new NetworkNamespaces(empty, empty), this::looked));
        await().untilAsserted(() -> assertThat(stale.state())
                .isEqualTo(
                        "on for UDP, but 1 network namespaces where they are cannot be found: run shunt in the host's"
                                + " process namespace (hostPID), or mount the host's /run/netns"));
        assertThat(socket.peerName()).isEqualTo(vip.at());
        socket.close();
        stale.request();
        await().untilAsserted(() -> assertThat(stale.state()).isEqualTo("on for UDP"));
    }

    @Test
    void tcpConnectionThatCannotBeFound_isComplainedOf(@TempDir Path empty) {
        Server server = fixture.servers(false, Protocol.TCP, 1).getFirst();
        Vip vip = fixture.service(false, Protocol.TCP, List.of(server));
        Socket socket = connected(Kind.TCP4, vip.at());
        leave(vip, server);
        stale = closing.add(
                StaleSockets.open(ELF, fixture.maps(), true, ROOT, new NetworkNamespaces(empty, empty), this::looked));
        await().untilAsserted(() -> assertThat(stale.state())
                .isEqualTo("on for UDP and TCP, but 1 TCP connections cannot be found: run shunt in the host's process"
                        + " namespace (hostPID), or mount the host's /run/netns"));
        assertThat(socket.peerName()).isEqualTo(vip.at());
        socket.close();
        stale.request();
        await().untilAsserted(() -> assertThat(stale.state()).isEqualTo("on for UDP and TCP"));
    }

    /** What a look may enter, and after it what it did. */
    private static final class Watched extends NetworkNamespaces {
        private volatile Map<Long, Path> last = Map.of();

        @Override
        Map<Long, Path> entrances() {
            last = super.entrances();
            return last;
        }
    }

    @Test
    void deadSocketThatIsLeftOpen_isNotLookedForAgainAndAgain_untilItConnectsAnew() {
        Watched namespaces = new Watched();
        stale = closing.add(StaleSockets.open(ELF, fixture.maps(), true, ROOT, namespaces, this::looked));
        Server nobody = fixture.silent(false);
        Vip dead = fixture.service(false, Protocol.TCP, List.of(nobody));
        Socket socket = fixture.traffic().socket(Kind.TCP4);
        assertFails("ECONNREFUSED", () -> socket.connect(dead.at()));
        leave(dead, nobody);
        fixture.setMembers(dead, List.of());
        assertThat(fixture.entries("tcp_origins")).isEqualTo(1);
        await().untilAsserted(() -> {
            endOneMore();
            assertThat(namespaces.last).as("only where the UDP socket was").hasSize(1);
        });
        assertThat(stale.state()).isEqualTo("on for UDP and TCP");

        Server server = fixture.servers(false, Protocol.TCP, 1).getFirst();
        Vip vip = fixture.service(false, Protocol.TCP, List.of(server));
        socket.connect(vip.at());
        leave(vip, server);
        stale.request();
        await().untilAsserted(() -> assertThat(stale.ended()).containsEntry(Protocol.TCP, 1L));
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void namespaceThatHasOnlyAName_isEntered(@TempDir Path empty) {
        Pod pod = fixture.newPod();
        Server server = fixture.silent(false);
        Vip vip = udpService(false, server);
        Socket socket = connected(pod.traffic(), Kind.UDP4, vip.at());
        leave(vip, server);
        stale = closing.add(StaleSockets.open(
                ELF, fixture.maps(), false, ROOT, new NetworkNamespaces(empty, Path.of("/run/netns")), this::looked));
        awaitEnded(1, 0);
        assertFails("ECONNABORTED", socket::receive);
    }

    @Test
    void withoutTheCapabilities_itIsOff() {
        for (Capability missing : List.of(Capability.CAP_SYS_ADMIN, Capability.CAP_SYS_PTRACE)) {
            EnumSet<Capability> held = EnumSet.complementOf(EnumSet.of(missing));
            try (StaleSockets off =
                    StaleSockets.open(ELF, fixture.maps(), true, held, new NetworkNamespaces(), this::looked)) {
                assertThat(off.state())
                        .isEqualTo("off: entering network namespaces needs CAP_SYS_ADMIN and CAP_SYS_PTRACE");
                off.request();
                assertThat(off.ended()).containsEntry(Protocol.UDP, 0L).containsEntry(Protocol.TCP, 0L);
            }
        }
    }

    @Test
    void onAKernelThatCannotEndSockets_itIsOff() {
        byte[] older = new String(ELF, StandardCharsets.ISO_8859_1)
                .replace("bpf_sock_destroy", "bpf_sock_unknown")
                .getBytes(StandardCharsets.ISO_8859_1);
        assertThat(older).hasSameSizeAs(ELF);
        try (StaleSockets off =
                StaleSockets.open(older, fixture.maps(), true, ROOT, new NetworkNamespaces(), this::looked)) {
            assertThat(off.state())
                    .startsWith(
                            "off: the kernel refuses the programs, which need Linux 6.5: bpf_object__load, object stale: ")
                    .contains("'bpf_sock_unknown': not found in kernel")
                    .doesNotContain("\n");
        }
    }
}
