package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Load;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * While a service's backends change thousands of times a second, every connect succeeds and gets one of them. Two
 * services change at once and share small maps, so that what one frees the other uses soon: a run or an entry that is
 * given away while it is in use leads to the other's servers. What lasts nanoseconds, a program between two of its
 * look-ups, is tried with slow readers in {@link DatapathTest}.
 */
@Tag("kernel")
class FlipUnderLoadTest {
    private static final int CONNECTS = 200_000;
    private static final int FLIPS = 20_000;
    private static final int ROUNDS = 5;
    private static final int SERVERS = 5;
    private static final long FLIP_PERIOD_MICROS = 400;
    private static final int PORT = 8080;

    private Ground ground;
    private Installation installation;
    private Traffic servers;
    private Traffic client;
    private Traffic client6;

    @BeforeEach
    void start() {
        ground = new Ground();
        Pod pod = ground.add(new Pod(ground.cgroup(), "flip"));
        pod.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        pod.namespace().ip("-6", "route", "add", "local", "fd00::/64", "dev", "lo");
        pod.namespace().run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
        servers = pod.traffic();
        client = ground.add(Traffic.start(pod.cgroup(), pod.namespace()));
        client6 = ground.add(Traffic.start(pod.cgroup(), pod.namespace()));
        installation = ground.add(ground.install(new MapSizes(8, 400, 1024)));
    }

    @AfterEach
    void stop() {
        ground.close();
    }

    /** A service that changes, and who may stand behind it. */
    private final class Flipping {
        final Frontend frontend;
        final List<Backend> live = new ArrayList<>();
        /** Not among the backends in this round, so that nobody may reach it. */
        volatile int resting;

        final Random random = new Random(1);
        final AtomicInteger flips = new AtomicInteger();

        Flipping(String vip, String network) {
            frontend = new Frontend(Address.of(vip), 80, Protocol.TCP);
            for (int i = 0; i < SERVERS; i++) {
                String address = network + (i + 1);
                servers.serve(Protocol.TCP, address, PORT, name(i));
                live.add(new Backend(Address.of(address), PORT, Backend.State.CLUSTER));
            }
        }

        String name(int server) {
            return frontend.address() + "-" + server;
        }

        /** Another choice of backends, never empty. Runs on the control thread. */
        void flip() {
            List<Backend> backends = new ArrayList<>();
            for (int i = 0; i < SERVERS; i++) {
                if (i != resting && random.nextInt(3) > 0) {
                    backends.add(live.get(i));
                }
            }
            if (backends.isEmpty()) {
                backends.add(live.get((resting + 1) % SERVERS));
            }
            Collections.shuffle(backends, random);
            Datapath.Outcome outcome = installation
                    .datapath()
                    .put(List.of(new VirtualService(frontend.toString(), List.of(frontend), backends)), Set.of())
                    .getFirst();
            if (outcome.failure() == null) {
                flips.incrementAndGet();
            } else if (!(outcome.failure() instanceof TableFullException)) {
                throw outcome.failure();
            }
        }

        /** From now on nobody may reach {@code server}. */
        void rest(int server) {
            resting = server;
            int before = flips.get();
            // The first flip may have begun with the one that rested before.
            await().until(() -> flips.get() > before + 1);
        }
    }

    @Test
    void everyConnect_getsABackendOfItsTime() {
        Flipping v4 = new Flipping("10.96.0.1", "10.0.0.");
        Flipping v6 = new Flipping("fd00:96::1", "fd00::");
        ScheduledFuture<?> flipping = ground.control()
                .scheduleAtFixedRate(
                        () -> {
                            v4.flip();
                            v6.flip();
                        },
                        0,
                        FLIP_PERIOD_MICROS,
                        TimeUnit.MICROSECONDS);
        long connects = 0;
        for (int round = 0; round < ROUNDS || v4.flips.get() < FLIPS; round++) {
            v4.rest(round % SERVERS);
            v6.rest(round % SERVERS);
            CompletableFuture<Load> asked = CompletableFuture.supplyAsync(
                    () -> client6.load(Load.Kind.REQUEST, v6.frontend.address().toString(), 80, 2_000, 1));
            Load load = client.load(Load.Kind.CONNECT, v4.frontend.address().toString(), 80, CONNECTS / ROUNDS, 1);
            assertThat(load.outcomes()).containsOnlyKeys("ok");
            connects += load.ok();
            assertAnswered(v6, asked.join(), round);
            assertAnswered(
                    v4, client.load(Load.Kind.REQUEST, v4.frontend.address().toString(), 80, 2_000, 1), round);
        }
        assertThat(flipping.isDone()).as("a flip failed").isFalse();
        flipping.cancel(false);
        assertThat(connects).isGreaterThanOrEqualTo(CONNECTS);
        assertThat(v4.flips.get()).isGreaterThanOrEqualTo(FLIPS);
        System.out.printf("%,d connects during %,d flips%n", connects, v4.flips.get() + v6.flips.get());
        assertNothingLeaks(List.of(v4, v6));
    }

    private static void assertAnswered(Flipping service, Load load, int round) {
        assertThat(load.outcomes()).containsOnlyKeys("ok");
        assertThat(load.servers().keySet())
                .isEqualTo(Set.copyOf(IntStream.range(0, SERVERS)
                        .filter(server -> server != round % SERVERS)
                        .mapToObj(service::name)
                        .toList()));
    }

    private void assertNothingLeaks(List<Flipping> services) {
        for (Flipping service : services) {
            VirtualService last = new VirtualService(
                    service.frontend.toString(), List.of(service.frontend), service.live.subList(0, 2));
            // Ids of the last flips may still rest, so that there is no room for a moment.
            await().ignoreExceptionsInstanceOf(TableFullException.class)
                    .until(() -> ground.put(installation, last) > 0);
        }
        Datapath datapath = installation.datapath();
        await().untilAsserted(() -> assertThat(Map.of(
                        "slots", datapath.entries("slots"),
                        "backends", datapath.entries("backends"),
                        "sets", datapath.entries("sets")))
                .isEqualTo(Map.of("slots", 4, "backends", 4, "sets", 4)));
        services.forEach(service -> ground.remove(installation, service.frontend.toString()));
        List<String> left = new ArrayList<>();
        await().untilAsserted(() -> {
            left.clear();
            PinnedMaps.dump(ground.pins().path(), (map, fields) -> {
                if (!map.equals("slots") && !map.equals("sock_errors")) {
                    left.add(map + fields);
                }
            });
            assertThat(left).isEmpty();
        });
        assertThat(installation.socketErrors()).containsEntry("bad_set", 0L);
        assertThat(datapath.entries("slots")).isZero();
        assertThat(datapath.entries("backends")).isZero();
    }
}
