package io.shunt.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which endpoints take connections of each reach, on node "here" in zone "a"; {@link Endpoints} says how to read them. */
class EndpointSelectionTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        # KEP-1669, kube-proxy topology.go     | endpoints                           | cluster | local | draining
        ready ones take connections            | 1:rs@here; 2:rs@there               | 1 2     | 1     |
        ready without serving is ready         | 1:r@here                            | 1       | 1     |
        beside a ready one a leaving one keeps what it has | 1:rs@here; 2:st@there   | 1       | 1     | 2
        none ready: the leaving that serve     | 1:st@here; 2:st@there; 3:t@there    | 1 2     | 1     |
        each reach falls back on its own       | 1:st@here; 2:rs@there               | 2       | 1     |
        a local ready one needs no fallback    | 1:st@here; 2:rs@here                | 2       | 2     | 1
        unready and staying never takes any    | 1:s@here; 2:-@here                  |         |       | 1
        unready and staying is no last resort  | 1:s@here; 2:st@there                | 2       |       | 1
        no node name is never local            | 1:rs                                | 1       |       |
        none at all                            |                                     |         |       |
        """)
    void conditions(
            String rule,
            @Nullable String endpoints,
            @Nullable String cluster,
            @Nullable String local,
            @Nullable String draining) {
        assertSelected(new Locality("here", "a"), endpoints, cluster, local, draining);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        # KEP-2433 and KEP-3015, topology.go   | endpoints                           | cluster | local | draining
        all hinted and one for this zone       | 1:rs z=a; 2:rs z=b                  | 1       |       | 2
        an endpoint may serve several zones    | 1:rs z=b,a; 2:rs z=b                | 1       |       | 2
        one without a hint: all                | 1:rs z=a; 2:rs                      | 1 2     |       |
        no hint for this zone: all             | 1:rs z=b; 2:rs z=c                  | 1 2     |       |
        node hints come first                  | 1:rs n=here z=b; 2:rs n=there z=a   | 1       |       | 2
        no node hint for this node: zone       | 1:rs n=x z=a; 2:rs n=y z=b          | 1       |       | 2
        node hints on some only: zone          | 1:rs n=here z=b; 2:rs z=a           | 2       |       | 1
        what is not ready has no say           | 1:rs z=a; 2:s; 3:rs z=b             | 1       |       | 2 3
        the last resort ignores hints          | 1:st z=b; 2:st z=a                  | 1 2     |       |
        local ignores hints                    | 1:rs@here z=b; 2:rs@there z=a       | 2       | 1     |
        """)
    void hints(
            String rule,
            @Nullable String endpoints,
            @Nullable String cluster,
            @Nullable String local,
            @Nullable String draining) {
        assertSelected(new Locality("here", "a"), endpoints, cluster, local, draining);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        # A node without a zone                | endpoints                           | cluster | local | draining
        zone hints are not followed            | 1:rs z=a; 2:rs z=b                  | 1 2     |       |
        node hints are                         | 1:rs n=here z=a; 2:rs n=there z=a   | 1       |       | 2
        """)
    void hintsWithoutAZone(
            String rule,
            @Nullable String endpoints,
            @Nullable String cluster,
            @Nullable String local,
            @Nullable String draining) {
        assertSelected(new Locality("here", ""), endpoints, cluster, local, draining);
    }

    private static void assertSelected(
            Locality here,
            @Nullable String endpoints,
            @Nullable String cluster,
            @Nullable String local,
            @Nullable String draining) {
        Service service =
                new Service(WEB, List.of(Address.of("10.96.0.1")), List.of(new Service.Port("", Protocol.TCP, 80)));
        EndpointSlice slice = new EndpointSlice(
                new ObjectName("shop", "web-1"),
                WEB,
                IpFamily.IPV4,
                List.of(new EndpointSlice.Port("", Protocol.TCP, 8080)),
                Endpoints.of(endpoints),
                null);

        List<Backend> backends = Planner.plan(service, List.of(slice), here, Balancing.DEFAULT, Forwarding.SNAT)
                .getFirst()
                .service()
                .backends();

        assertThat(hosts(backends, state -> state.takes(Reach.CLUSTER)))
                .as("cluster")
                .isEqualTo(orEmpty(cluster));
        assertThat(hosts(backends, state -> state.takes(Reach.LOCAL)))
                .as("local")
                .isEqualTo(orEmpty(local));
        assertThat(hosts(backends, state -> state == Backend.State.DRAINING))
                .as("draining")
                .isEqualTo(orEmpty(draining));
    }

    private static String hosts(List<Backend> backends, Predicate<Backend.State> state) {
        return backends.stream()
                .filter(backend -> state.test(backend.state()))
                .map(backend -> backend.address().toString().substring("10.0.0.".length()))
                .collect(Collectors.joining(" "));
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }
}
