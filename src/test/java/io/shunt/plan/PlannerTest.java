package io.shunt.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Backend.State;
import io.shunt.table.Frontend;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PlannerTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final Address V4 = Address.of("10.96.0.1");
    private static final Address V6 = Address.of("fd00:96::1");
    private static final Locality HERE = new Locality("node-1", "");
    private static final Service.Port HTTP = new Service.Port("http", Protocol.TCP, 80);
    private static final EndpointSlice.Port TO_8080 = new EndpointSlice.Port("http", Protocol.TCP, 8080);

    private static Endpoint ready(String address) {
        return new Endpoint(Address.of(address), true, true, false, null);
    }

    private static Endpoint terminating(String address) {
        return new Endpoint(Address.of(address), false, true, true, null);
    }

    private static EndpointSlice slice(String name, IpFamily family, EndpointSlice.Port port, Endpoint... endpoints) {
        return new EndpointSlice(new ObjectName("shop", name), WEB, family, List.of(port), List.of(endpoints), null);
    }

    private static List<Backend> backends(EndpointSlice... slices) {
        Service service = new Service(WEB, List.of(V4), List.of(HTTP));
        return Planner.plan(service, List.of(slices), HERE, Balancing.DEFAULT, Forwarding.SNAT)
                .getFirst()
                .service()
                .backends();
    }

    private static Backend backend(String address, int port, State state) {
        return new Backend(Address.of(address), port, state);
    }

    @ParameterizedTest(name = "the Service says {0}, the flag {1}")
    @CsvSource({",RANDOM,0", ",MAGLEV,4093", "RANDOM,MAGLEV,0", "MAGLEV,RANDOM,4093"})
    void plan_algorithm_isTheServicesElseTheFlags(@Nullable Algorithm own, Algorithm flag, int tableSize) {
        Service service = new Service(
                WEB, List.of(V4, V6), List.of(HTTP), Service.External.NONE, TrafficPolicy.CLUSTER, 0, own, null);

        assertThat(Planner.plan(service, List.of(), HERE, new Balancing(flag, 4093), Forwarding.SNAT))
                .hasSize(2)
                .allSatisfy(planned -> assertThat(planned.service().tableSize()).isEqualTo(tableSize));
    }

    @Test
    void plan_weights_areTheEndpoints() {
        Endpoint heavy =
                new Endpoint(Address.of("10.0.0.2"), true, true, false, null, EndpointSlice.Hints.NONE, null, 30);

        assertThat(backends(slice("a", IpFamily.IPV4, TO_8080, ready("10.0.0.1"), heavy)))
                .extracting(Backend::weight)
                .containsExactly(1, 30);
    }

    @Test
    void plan_dualStackTwoPorts_isFourVirtualServicesWithOneFrontendEach() {
        Service service = new Service(WEB, List.of(V4, V6), List.of(HTTP, new Service.Port("dns", Protocol.UDP, 53)));

        List<PlannedService> planned = Planner.plan(service, List.of(), HERE, Balancing.DEFAULT, Forwarding.SNAT);

        assertThat(planned)
                .extracting(
                        p -> p.service().name(), p -> p.service().frontends().keySet())
                .containsExactlyInAnyOrder(
                        tuple("shop/web:http/TCP/IPv4", Set.of(new Frontend(V4, 80, Protocol.TCP))),
                        tuple("shop/web:dns/UDP/IPv4", Set.of(new Frontend(V4, 53, Protocol.UDP))),
                        tuple("shop/web:http/TCP/IPv6", Set.of(new Frontend(V6, 80, Protocol.TCP))),
                        tuple("shop/web:dns/UDP/IPv6", Set.of(new Frontend(V6, 53, Protocol.UDP))));
    }

    @Test
    void plan_slicesOfBothFamilies_eachServesItsOwn() {
        Service service = new Service(WEB, List.of(V4, V6), List.of(HTTP));

        List<PlannedService> planned = Planner.plan(
                service,
                List.of(
                        slice("a", IpFamily.IPV4, TO_8080, ready("10.0.0.1")),
                        slice("b", IpFamily.IPV6, TO_8080, ready("fd00::1"))),
                HERE,
                Balancing.DEFAULT,
                Forwarding.SNAT);

        assertThat(planned)
                .extracting(p -> p.service().backends())
                .containsExactly(
                        List.of(backend("10.0.0.1", 8080, State.CLUSTER)),
                        List.of(backend("fd00::1", 8080, State.CLUSTER)));
    }

    @Test
    void backends_portNameOrProtocolDiffers_areNotTaken() {
        assertThat(backends(
                        slice("a", IpFamily.IPV4, new EndpointSlice.Port("https", Protocol.TCP, 1), ready("10.0.0.1")),
                        slice("b", IpFamily.IPV4, new EndpointSlice.Port("http", Protocol.UDP, 1), ready("10.0.0.1"))))
                .isEmpty();
    }

    @Test
    void backends_samePortNameWithAnotherNumberInEachSlice_keepTheirNumbers() {
        assertThat(backends(
                        slice("a", IpFamily.IPV4, TO_8080, ready("10.0.0.1")),
                        slice(
                                "b",
                                IpFamily.IPV4,
                                new EndpointSlice.Port("http", Protocol.TCP, 9090),
                                ready("10.0.0.1"))))
                .containsExactly(backend("10.0.0.1", 8080, State.CLUSTER), backend("10.0.0.1", 9090, State.CLUSTER));
    }

    /** The conditions are those after nil has been read: ready and serving true, terminating false. */
    @ParameterizedTest
    @CsvSource({
        "true, true, false, CLUSTER",
        "true, false, false, CLUSTER",
        "false, true, true, DRAINING",
        "false, false, true, UNREADY",
        "false, false, false, UNREADY",
    })
    void backends_besideAReadyOne_takeConnectionsIfReadyAndDrainIfTheyServe(
            boolean ready, boolean serving, boolean terminating, State expected) {
        Endpoint endpoint = new Endpoint(Address.of("10.0.0.2"), ready, serving, terminating, null);

        List<Backend> backends = backends(slice("a", IpFamily.IPV4, TO_8080, ready("10.0.0.1"), endpoint));

        assertThat(backends)
                .containsExactly(backend("10.0.0.1", 8080, State.CLUSTER), backend("10.0.0.2", 8080, expected));
    }

    @Test
    void backends_noneReady_fallBackToThoseThatServeWhileTheyTerminate() {
        assertThat(backends(slice(
                        "a",
                        IpFamily.IPV4,
                        TO_8080,
                        terminating("10.0.0.1"),
                        new Endpoint(Address.of("10.0.0.2"), false, false, true, null))))
                .containsExactly(backend("10.0.0.1", 8080, State.CLUSTER), backend("10.0.0.2", 8080, State.UNREADY));
    }

    @Test
    void backends_duplicateAcrossSlices_aLaterOneWinsUnlessItTerminates() {
        Endpoint unready = new Endpoint(Address.of("10.0.0.1"), false, false, false, null);

        assertThat(backends(
                        slice("a", IpFamily.IPV4, TO_8080, unready),
                        slice("b", IpFamily.IPV4, TO_8080, ready("10.0.0.1"))))
                .containsExactly(backend("10.0.0.1", 8080, State.CLUSTER));
        assertThat(backends(
                        slice("a", IpFamily.IPV4, TO_8080, ready("10.0.0.1")),
                        slice("b", IpFamily.IPV4, TO_8080, terminating("10.0.0.1"))))
                .containsExactly(backend("10.0.0.1", 8080, State.CLUSTER));
    }

    /** Whatever the slices are, the table's own rules hold. */
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4})
    void plan_randomSlices_keepsTheTablesRules(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int round = 0; round < 5_000; round++) {
            List<EndpointSlice> slices = new ArrayList<>();
            for (int s = random.nextInt(4); s > 0; s--) {
                slices.add(randomSlice("s" + s, random));
            }
            Service service = new Service(WEB, List.of(V4, V6), List.of(HTTP));
            for (PlannedService planned : Planner.plan(service, slices, HERE, Balancing.DEFAULT, Forwarding.SNAT)) {
                check(planned, slices);
            }
        }
    }

    private static EndpointSlice randomSlice(String name, RandomGenerator random) {
        IpFamily family = random.nextBoolean() ? IpFamily.IPV4 : IpFamily.IPV6;
        List<Endpoint> endpoints = new ArrayList<>();
        for (int i = random.nextInt(6); i > 0; i--) {
            int host = 1 + random.nextInt(5);
            endpoints.add(new Endpoint(
                    Address.of(family == IpFamily.IPV4 ? "10.0.0." + host : "fd00::" + host),
                    random.nextInt(3) == 0,
                    random.nextBoolean(),
                    random.nextBoolean(),
                    null));
        }
        return slice(
                name,
                family,
                new EndpointSlice.Port(random.nextInt(4) == 0 ? "other" : "http", Protocol.TCP, 8080),
                endpoints.toArray(Endpoint[]::new));
    }

    private static void check(PlannedService planned, List<EndpointSlice> slices) {
        List<Backend> backends = planned.service().backends();
        Set<Object> seen = new HashSet<>();
        for (Backend backend : backends) {
            assertThat(seen.add(List.of(backend.address(), backend.port()))).isTrue();
            assertThat(backend.address().family()).isEqualTo(planned.name().family());
            assertThat(slices)
                    .anyMatch(s -> s.endpoints().stream()
                            .anyMatch(e -> e.address().equals(backend.address())
                                    && (e.ready()
                                            || e.serving()
                                            || !backend.state().serves())));
        }
    }
}
