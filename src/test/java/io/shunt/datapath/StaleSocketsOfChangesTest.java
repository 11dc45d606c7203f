package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Stale sockets of an installation, as its table changes. */
@Tag("kernel")
class StaleSocketsOfChangesTest {
    private static final String VIP = "10.96.0.1";
    private static final Frontend FRONTEND = new Frontend(Address.of(VIP), 53, Protocol.UDP);

    private Ground ground;
    private Traffic traffic;

    @BeforeEach
    void start() {
        ground = new Ground();
        Pod pod = ground.add(new Pod(ground.cgroup(), "stale"));
        pod.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        traffic = pod.traffic();
        for (int i = 1; i <= 3; i++) {
            traffic.serve(Protocol.UDP, "10.0.0." + i, 5353, "b" + i);
        }
    }

    @AfterEach
    void stop() {
        ground.close();
    }

    private static VirtualService service(String name, int... hosts) {
        List<Backend> backends = IntStream.of(hosts)
                .mapToObj(host -> new Backend(Address.of("10.0.0." + host), 5353, Backend.State.CLUSTER))
                .toList();
        return new VirtualService(name, List.of(FRONTEND), backends);
    }

    private StaleSockets stale(Installation installation) {
        StaleSockets stale = ground.add(StaleSockets.open(installation, false, (nanos, ended) -> {}));
        ground.onControl(() -> {
            installation.datapath().whenBackendsAreGone(stale::request);
            return true;
        });
        return stale;
    }

    private Socket connected() {
        Socket socket = traffic.socket(Kind.UDP4);
        socket.connect(VIP, 53);
        return socket;
    }

    private static String exchange(Socket socket) {
        socket.send("?");
        return socket.receive();
    }

    private static void assertEnded(Socket socket) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(socket::receive)
                .extracting(CallFailedException::errno)
                .isEqualTo("ECONNABORTED");
    }

    private static void awaitEnded(StaleSockets stale, long count) {
        await().untilAsserted(() -> assertThat(stale.ended()).containsEntry(Protocol.UDP, count));
    }

    @Test
    void backendTakenOut_andServiceTakenOut_endTheirClients() {
        Installation installation = ground.add(ground.install());
        StaleSockets stale = stale(installation);
        ground.put(installation, service("dns", 1));
        Socket first = connected();
        assertThat(exchange(first)).isEqualTo("b1");
        ground.put(installation, service("dns", 2));
        assertEnded(first);
        Socket second = connected();
        assertThat(exchange(second)).isEqualTo("b2");
        ground.remove(installation, "dns");
        assertEnded(second);
        awaitEnded(stale, 2);
    }

    @Test
    void newNameOfTheSameService_endsNobody() {
        Installation installation = ground.add(ground.install());
        StaleSockets stale = stale(installation);
        ground.put(installation, service("dns", 1, 2));
        Socket kept = connected();
        String name = exchange(kept);
        ground.onControl(() -> installation.datapath().put(List.of(service("dns-udp", 1, 2)), Set.of("dns")));
        assertThat(exchange(kept)).isEqualTo(name);
        Socket other = connected();
        while (exchange(other).equals(name)) {
            other = connected();
        }
        ground.put(installation, service("dns-udp", Integer.parseInt(name.substring(1))));
        assertEnded(other);
        assertThat(exchange(kept)).isEqualTo(name);
        await().untilAsserted(() -> assertThat(stale.ended().get(Protocol.UDP)).isPositive());
    }

    @Test
    void backendThatLeftWhileNoDaemonRan_isFoundByTheNext() {
        try (Installation first = ground.install()) {
            ground.put(first, service("dns", 1));
        }
        Socket adopted = connected();
        Socket died;
        try (Installation second = ground.install()) {
            died = connected();
            StaleSockets stale = stale(second);
            ground.put(second, service("dns", 1, 2));
            assertThat(exchange(adopted)).isEqualTo("b1");
            ground.put(second, service("dns", 2));
            assertEnded(adopted);
            awaitEnded(stale, 2);
            stale.close();
            assertEnded(died);
            died.connect(VIP, 53);
            assertThat(exchange(died)).isEqualTo("b2");
            // This one takes the backend out, and dies before it looks.
            ground.put(second, service("dns", 3));
        }
        try (Installation third = ground.install();
                StaleSockets stale = StaleSockets.open(third, false, (nanos, ended) -> {})) {
            assertEnded(died);
            awaitEnded(stale, 1);
        }
    }

    @Test
    @Timeout(180)
    void backendsThatComeAndGo_neverLeaveAClientWithoutOne() {
        Installation installation = ground.add(ground.install(new MapSizes(64, 16384, 1024)));
        StaleSockets stale = stale(installation);
        ground.put(installation, service("dns", 1, 2, 3));
        Random random = new Random(3);
        Socket socket = connected();
        int ended = 0;
        for (int change = 0; ended < 10; change++) {
            int here = 1 + random.nextInt(3);
            ground.put(installation, random.nextInt(3) > 0 ? service("dns", here) : service("dns", 1, 2, 3));
            if (answer(socket).isEmpty()) {
                ended++;
                socket = connected();
                // Nothing changes now: who connects reaches one that serves, and keeps it.
                assertThat(exchange(socket)).as("change %d", change).startsWith("b");
            }
        }
        ground.put(installation, service("dns", 1));
        Socket last = socket;
        await().until(() -> answer(last).orElse("b1").equals("b1"));
        assertThat(stale.state()).isEqualTo("on for UDP");
    }

    /** Who answered; nobody if the socket was ended. */
    private static Optional<String> answer(Socket socket) {
        try {
            return Optional.of(exchange(socket));
        } catch (CallFailedException e) {
            assertThat(e.errno()).isIn("ECONNABORTED", "EDESTADDRREQ");
            return Optional.empty();
        }
    }
}
