package io.shunt.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.Forwarding;
import io.shunt.net.Prefix;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The planner against the {@link Reference}, on 120,000 clusters. What differs is shown as small as it can be. */
class PlannerReferenceTest {
    private static final int CLUSTERS = 20_000;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void plan_isWhatTheReferenceSays(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int i = 0; i < CLUSTERS; i++) {
            RandomCluster cluster = RandomCluster.of(random);
            if (differs(cluster)) {
                RandomCluster smallest = cluster.shrunk(PlannerReferenceTest::differs);
                assertThat(planned(smallest))
                        .as("seed %d, cluster %d: %s", seed, i, smallest)
                        .isEqualTo(expected(smallest));
            }
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void localEndpoints_areWhatTheReferenceCounts(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        for (int i = 0; i < CLUSTERS; i++) {
            RandomCluster cluster = RandomCluster.of(random);
            assertThat(LocalEndpoints.count(
                            cluster.service(), cluster.slices(), cluster.here().node()))
                    .as("seed %d, cluster %d: %s", seed, i, cluster)
                    .isEqualTo(new Reference(cluster.service(), cluster.slices(), cluster.here()).localReady());
        }
    }

    private static boolean differs(RandomCluster cluster) {
        return !planned(cluster).equals(expected(cluster));
    }

    private static Map<String, Reference.Way> expected(RandomCluster cluster) {
        return new Reference(cluster.service(), cluster.slices(), cluster.here()).ways();
    }

    private static Map<String, Reference.Way> planned(RandomCluster cluster) {
        Map<String, Reference.Way> ways = new TreeMap<>();
        for (PlannedService planned :
                Planner.plan(cluster.service(), cluster.slices(), cluster.here(), Balancing.DEFAULT, Forwarding.SNAT)) {
            VirtualService service = planned.service();
            service.frontends().forEach((frontend, access) -> ways.put(name(frontend), way(service, access)));
        }
        return ways;
    }

    private static String name(Frontend frontend) {
        String address = frontend.isOfNode()
                ? "node " + frontend.address().family().label()
                : frontend.address().toString();
        return address + " " + frontend.port() + " " + frontend.protocol();
    }

    private static Reference.Way way(VirtualService service, Access access) {
        List<Backend> backends = service.backends();
        return new Reference.Way(
                hosts(backends, state -> state.takes(access.inside())),
                hosts(backends, state -> state.takes(access.outside())),
                hosts(backends, Backend.State::serves),
                hosts(backends, state -> true),
                access.restricted() ? allowed(service) : Set.of(),
                access.external(),
                service.affinitySeconds());
    }

    private static Set<String> allowed(VirtualService service) {
        return service.sourceRanges().isEmpty()
                ? Set.of("nobody")
                : service.sourceRanges().stream().map(Prefix::toString).collect(Collectors.toCollection(TreeSet::new));
    }

    private static Set<String> hosts(List<Backend> backends, Predicate<Backend.State> state) {
        return backends.stream()
                .filter(backend -> state.test(backend.state()))
                .map(backend -> backend.address() + " " + backend.port())
                .collect(Collectors.toCollection(TreeSet::new));
    }
}
