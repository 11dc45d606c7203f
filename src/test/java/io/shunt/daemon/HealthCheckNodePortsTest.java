package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Occurrence;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.plan.NodePortAddresses;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.source.Source;
import io.shunt.source.SourceCounters;
import io.shunt.source.SourceStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Counts after kube-proxy's pkg/proxy/endpointschangetracker.go, LocalReadyEndpoints. */
class HealthCheckNodePortsTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final EndpointSlice.Port HTTP = new EndpointSlice.Port("http", Protocol.TCP, 8080);

    private final List<Occurrence> reported = new ArrayList<>();
    private final AtomicInteger changes = new AtomicInteger();
    private final HealthCheckNodePorts ports = new HealthCheckNodePorts(
            "node-1",
            NodePortAddresses.of(List.of("192.0.2.0/24"), List.of(), true),
            new ReportedTo(reported),
            new RecentErrors());

    private record ReportedTo(List<Occurrence> reported) implements Source {
        @Override
        public void start(ChangeSink sink) {}

        @Override
        public SourceStatus status() {
            throw new UnsupportedOperationException();
        }

        @Override
        public SourceCounters counters() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void report(Occurrence occurrence) {
            reported.add(occurrence);
        }

        @Override
        public void close() {}
    }

    @BeforeEach
    void listen() {
        ports.whenChanged(changes::incrementAndGet);
    }

    private static Service service(int healthCheckNodePort, String... clusterIps) {
        return new Service(
                WEB,
                List.of(clusterIps).stream().map(Address::of).toList(),
                List.of(new Service.Port("http", Protocol.TCP, 80, 30080)),
                new Service.External(List.of(), List.of(), List.of(), TrafficPolicy.LOCAL, healthCheckNodePort),
                TrafficPolicy.CLUSTER,
                0);
    }

    private static EndpointSlice slice(
            IpFamily family, List<EndpointSlice.Port> ports, EndpointSlice.Endpoint... endpoints) {
        return new EndpointSlice(new ObjectName("shop", "web-" + family), WEB, family, ports, List.of(endpoints), null);
    }

    private static EndpointSlice.Endpoint endpoint(String address, boolean ready, boolean terminating, String node) {
        return new EndpointSlice.Endpoint(Address.of(address), ready, true, terminating, node);
    }

    @Test
    void count_isOfReadyAddressesOnThisNode_ofEachFamilyOfTheService() {
        EndpointSlice four = slice(
                IpFamily.IPV4,
                List.of(HTTP, new EndpointSlice.Port("metrics", Protocol.TCP, 9090)),
                endpoint("10.0.0.1", true, false, "node-1"),
                endpoint("10.0.0.2", true, false, "node-1"),
                endpoint("10.0.0.3", false, true, "node-1"),
                endpoint("10.0.0.4", true, false, "node-2"));
        EndpointSlice six = slice(IpFamily.IPV6, List.of(HTTP), endpoint("fd00::1", true, false, "node-1"));

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of(four, six));
        assertThat(ports.view().ports())
                .containsExactly(new HealthCheckPort("shop", "web", 32000, Map.of(IpFamily.IPV4, 2)));

        ports.programmed(WEB, service(32000, "fd00:96::1", "10.96.0.1"), List.of(four, six));
        assertThat(ports.view().ports())
                .containsExactly(new HealthCheckPort("shop", "web", 32000, Map.of(IpFamily.IPV4, 2, IpFamily.IPV6, 1)));
    }

    @Test
    void terminatingEndpoints_areNoneToFallBackTo_andNilNodeIsNotHere() {
        EndpointSlice slice = slice(
                IpFamily.IPV4,
                List.of(HTTP),
                endpoint("10.0.0.3", false, true, "node-1"),
                new EndpointSlice.Endpoint(Address.of("10.0.0.5"), true, true, false, null));

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of(slice));

        assertThat(ports.view().ports().getFirst().localEndpoints()).containsEntry(IpFamily.IPV4, 0);
    }

    @Test
    void endpoint_namedTwice_isTheLaterUnlessItTerminates() {
        EndpointSlice first = slice(IpFamily.IPV4, List.of(HTTP), endpoint("10.0.0.1", true, false, "node-1"));
        EndpointSlice notReady = slice(IpFamily.IPV4, List.of(HTTP), endpoint("10.0.0.1", false, false, "node-1"));
        EndpointSlice leaving = slice(IpFamily.IPV4, List.of(HTTP), endpoint("10.0.0.1", false, true, "node-1"));

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of(first, notReady));
        assertThat(ports.view().ports().getFirst().localEndpoints()).containsEntry(IpFamily.IPV4, 0);

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of(first, leaving));
        assertThat(ports.view().ports().getFirst().localEndpoints()).containsEntry(IpFamily.IPV4, 1);
    }

    @Test
    void sliceWithoutPorts_hasNoEndpoints() {
        EndpointSlice slice = slice(IpFamily.IPV4, List.of(), endpoint("10.0.0.1", true, false, "node-1"));

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of(slice));

        assertThat(ports.view().ports().getFirst().localEndpoints()).containsEntry(IpFamily.IPV4, 0);
    }

    @Test
    void ports_comeAndGoWithTheirServices_andOnlyDifferencesAreTold() {
        ports.programmed(WEB, service(0, "10.96.0.1"), List.of());
        assertThat(ports.view().ports()).isEmpty();
        assertThat(changes).hasValue(0);

        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of());
        ports.programmed(WEB, service(32000, "10.96.0.1"), List.of());
        assertThat(changes).hasValue(1);

        ports.programmed(WEB, null, List.of());
        assertThat(ports.view().ports()).isEmpty();
        assertThat(changes).hasValue(2);
    }

    @Test
    void failure_isReportedOnce_andComplainedOfUntilItHeals() {
        HealthCheckPort port = new HealthCheckPort("shop", "web", 32000, Map.of(IpFamily.IPV4, 1));

        ports.failed(port, "listen 0.0.0.0 port 32000: Address already in use");
        ports.failed(port, "listen 0.0.0.0 port 32000: Address already in use");

        assertThat(reported)
                .containsExactly(new Occurrence(
                        true,
                        "Service",
                        "shop",
                        "web",
                        "FailedToStartServiceHealthcheck",
                        "Listen",
                        "node node-1 failed to start healthcheck \"shop/web\" on port 32000: listen 0.0.0.0 port 32000:"
                                + " Address already in use"));
        assertThat(ports.complaints()).singleElement().asString().contains("Service shop/web", "32000");

        ports.healed(port);
        assertThat(ports.complaints()).isEmpty();
    }

    @Test
    void addresses_areThoseThatTakeNodePorts() {
        ports.standsAt(Set.of(Address.of("192.0.2.1"), Address.of("203.0.113.1")), null);
        ports.standsAt(Set.of(Address.of("192.0.2.1"), Address.of("203.0.113.2")), null);

        assertThat(ports.view().addresses()).containsExactlyInAnyOrder(Address.of("192.0.2.1"), Address.of("::"));
        assertThat(changes).hasValue(1);
    }
}
