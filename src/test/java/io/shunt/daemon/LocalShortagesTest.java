package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.plan.Balancing;
import io.shunt.plan.Locality;
import io.shunt.plan.PlannedService;
import io.shunt.plan.Planner;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** By what the planner makes of a Service with a node port; kube-proxy iptables/proxier.go, serviceNoLocalEndpoints. */
class LocalShortagesTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");

    @ParameterizedTest(name = "internal {0}, external {1}, endpoint {2}: {3} and {4}")
    @CsvSource({
        "LOCAL,   CLUSTER, ready elsewhere,       1, 0",
        "CLUSTER, LOCAL,   ready elsewhere,       0, 1",
        "LOCAL,   LOCAL,   ready elsewhere,       1, 1",
        "CLUSTER, CLUSTER, ready elsewhere,       0, 0",
        "LOCAL,   LOCAL,   ready here,            0, 0",
        "LOCAL,   LOCAL,   terminating here,      0, 0",
        "LOCAL,   LOCAL,   terminating elsewhere, 1, 1",
        "LOCAL,   LOCAL,   none,                  0, 0",
    })
    void shortage_isOfServicesWithEndpointsElsewhere(
            TrafficPolicy internal, TrafficPolicy external, String endpoint, int ofInternal, int ofExternal) {
        Service service = new Service(
                WEB,
                List.of(Address.of("10.96.0.1")),
                List.of(new Service.Port("http", Protocol.TCP, 80, 30080)),
                new Service.External(List.of(), List.of(), List.of(), external, 0),
                internal,
                0);
        boolean terminating = endpoint.startsWith("terminating");
        EndpointSlice slice = new EndpointSlice(
                WEB,
                WEB,
                IpFamily.IPV4,
                List.of(new EndpointSlice.Port("http", Protocol.TCP, 8080)),
                endpoint.equals("none")
                        ? List.of()
                        : List.of(new EndpointSlice.Endpoint(
                                Address.of("10.0.0.1"),
                                !terminating,
                                true,
                                terminating,
                                endpoint.endsWith(" here") ? "here" : "there")),
                null);

        assertThat(
                        LocalShortages.of(Planner.plan(
                                        service,
                                        List.of(slice),
                                        new Locality("here", ""),
                                        Balancing.DEFAULT,
                                        Forwarding.SNAT)
                                .stream()
                                .map(PlannedService::service)
                                .toList()))
                .filteredOn(shortage -> shortage.family() == IpFamily.IPV4)
                .extracting(shortage -> shortage.policy() + " " + shortage.count())
                .containsExactly("INTERNAL " + ofInternal, "EXTERNAL " + ofExternal);
    }
}
