package io.shunt.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.Forwarding;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which addresses a Service has, and how far connections to each may go: rows of kube-proxy's serviceport.go. */
class ServiceAddressesTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final Address V4 = Address.of("10.96.0.1");
    private static final Address V6 = Address.of("fd00:96::1");
    private static final Service.Port HTTP = new Service.Port("http", Protocol.TCP, 80, 30080);
    private static final Access EXTERNAL = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true);
    private static final Access LOCAL_FROM_OUTSIDE = new Access(Reach.CLUSTER, Reach.LOCAL, false, true);

    private static VirtualService plan(Service service, IpFamily family) {
        return Planner.plan(service, List.of(), new Locality("here", ""), Balancing.DEFAULT, Forwarding.SNAT).stream()
                .filter(planned -> planned.name().family() == family)
                .findFirst()
                .orElseThrow()
                .service();
    }

    private static Frontend frontend(String address) {
        return new Frontend(Address.of(address), 80, Protocol.TCP);
    }

    private static Frontend nodePort(IpFamily family) {
        return Frontend.ofNode(family, 30080, Protocol.TCP);
    }

    private static List<Address> addresses(String... texts) {
        return Arrays.stream(texts).map(Address::of).toList();
    }

    private static Service service(Service.External external, TrafficPolicy internalPolicy) {
        return new Service(WEB, List.of(V4, V6), List.of(HTTP), external, internalPolicy, 0);
    }

    private static Service.External external(TrafficPolicy policy, Prefix... sourceRanges) {
        return new Service.External(
                addresses("203.0.113.7", "2001:db8::7"),
                addresses("192.0.2.1", "2001:db8::1"),
                List.of(sourceRanges),
                policy,
                0);
    }

    @ParameterizedTest
    @CsvSource({
        "SNAT, TCP, false",
        "SNAT, UDP, false",
        "DSR, TCP, true",
        "DSR, SCTP, true",
        "HYBRID, TCP, true",
        "HYBRID, UDP, false",
        "HYBRID, SCTP, false"
    })
    void forwarding_saysWhoseBackendsAnswerThoseFromOutsideThemselves(
            Forwarding forwarding, Protocol protocol, boolean direct) {
        Service.Port port = new Service.Port("http", protocol, 80, 30080);
        for (Service service :
                List.of(service(port, TrafficPolicy.CLUSTER, null), service(port, TrafficPolicy.CLUSTER, forwarding))) {
            Forwarding usual = service.forwarding() == null ? forwarding : Forwarding.SNAT;
            var planned = Planner.plan(service, List.of(), new Locality("here", ""), Balancing.DEFAULT, usual);
            assertThat(planned)
                    .isNotEmpty()
                    .allSatisfy(each -> each.service()
                            .frontends()
                            .values()
                            .forEach(access -> assertThat(access.direct()).isEqualTo(direct && access.external())));
        }
    }

    @Test
    void forwarding_isTheServicesOwnWhereItSays_andOfNoMatterWithPolicyLocal() {
        Service snat = service(HTTP, TrafficPolicy.CLUSTER, Forwarding.SNAT);
        Service local = service(HTTP, TrafficPolicy.LOCAL, Forwarding.DSR);
        for (Service service : List.of(snat, local)) {
            assertThat(Planner.plan(service, List.of(), new Locality("here", ""), Balancing.DEFAULT, Forwarding.DSR))
                    .isNotEmpty()
                    .allSatisfy(each ->
                            assertThat(each.service().frontends().values()).noneMatch(Access::direct));
        }
    }

    private static Service service(Service.Port port, TrafficPolicy policy, @Nullable Forwarding forwarding) {
        return new Service(
                WEB, List.of(V4, V6), List.of(port), external(policy), TrafficPolicy.CLUSTER, 0, null, forwarding);
    }

    @Test
    void everyWayIn_isAFrontendOfItsOwnFamily() {
        Service service = service(external(TrafficPolicy.CLUSTER), TrafficPolicy.CLUSTER);

        assertThat(plan(service, IpFamily.IPV4).frontends())
                .isEqualTo(Map.of(
                        frontend("10.96.0.1"), Access.OPEN,
                        frontend("203.0.113.7"), EXTERNAL,
                        frontend("192.0.2.1"), EXTERNAL,
                        nodePort(IpFamily.IPV4), EXTERNAL));
        assertThat(plan(service, IpFamily.IPV6).frontends())
                .isEqualTo(Map.of(
                        frontend("fd00:96::1"), Access.OPEN,
                        frontend("2001:db8::7"), EXTERNAL,
                        frontend("2001:db8::1"), EXTERNAL,
                        nodePort(IpFamily.IPV6), EXTERNAL));
    }

    @Test
    void withoutNodePort_thereIsNone() {
        Service service = new Service(WEB, List.of(V4), List.of(new Service.Port("http", Protocol.TCP, 80)));

        assertThat(plan(service, IpFamily.IPV4).frontends()).containsOnlyKeys(frontend("10.96.0.1"));
    }

    @Test
    void externalTrafficPolicyLocal_keepsOnlyThoseFromOutsideLocal_andNeverTheClusterIp() {
        Service service = service(external(TrafficPolicy.LOCAL), TrafficPolicy.CLUSTER);

        assertThat(plan(service, IpFamily.IPV4).frontends())
                .isEqualTo(Map.of(
                        frontend("10.96.0.1"), Access.OPEN,
                        frontend("203.0.113.7"), LOCAL_FROM_OUTSIDE,
                        frontend("192.0.2.1"), LOCAL_FROM_OUTSIDE,
                        nodePort(IpFamily.IPV4), LOCAL_FROM_OUTSIDE));
    }

    @Test
    void internalTrafficPolicyLocal_isOfTheClusterIpOnly() {
        Service service = service(external(TrafficPolicy.CLUSTER), TrafficPolicy.LOCAL);

        assertThat(plan(service, IpFamily.IPV4).frontends())
                .containsEntry(frontend("10.96.0.1"), new Access(Reach.LOCAL, Reach.LOCAL, false, false))
                .containsEntry(frontend("203.0.113.7"), EXTERNAL)
                .containsEntry(frontend("192.0.2.1"), EXTERNAL)
                .containsEntry(nodePort(IpFamily.IPV4), EXTERNAL);
    }

    @Test
    void loadBalancerSourceRanges_guardTheLoadBalancersAddressesOnly_ofTheirFamily() {
        Prefix range = new Prefix(Address.of("198.51.100.0"), 120);
        Service service = service(external(TrafficPolicy.CLUSTER, range), TrafficPolicy.CLUSTER);

        VirtualService v4 = plan(service, IpFamily.IPV4);
        VirtualService v6 = plan(service, IpFamily.IPV6);

        assertThat(v4.sourceRanges()).containsExactly(range);
        assertThat(v4.frontends())
                .containsEntry(frontend("192.0.2.1"), new Access(Reach.CLUSTER, Reach.CLUSTER, true, true))
                .containsEntry(frontend("203.0.113.7"), EXTERNAL)
                .containsEntry(nodePort(IpFamily.IPV4), EXTERNAL)
                .containsEntry(frontend("10.96.0.1"), Access.OPEN);
        assertThat(v6.sourceRanges()).isEmpty();
        assertThat(v6.frontends()).containsEntry(frontend("2001:db8::1"), EXTERNAL);
    }

    @Test
    void loadBalancerSourceRanges_ofWhichNoneCanBeUsed_letNobodyIn() {
        Service.External allBad = new Service.External(
                addresses("203.0.113.7"),
                addresses("192.0.2.1", "2001:db8::1"),
                List.of(),
                Set.of(IpFamily.IPV4),
                TrafficPolicy.CLUSTER,
                0);

        VirtualService v4 = plan(service(allBad, TrafficPolicy.CLUSTER), IpFamily.IPV4);
        VirtualService v6 = plan(service(allBad, TrafficPolicy.CLUSTER), IpFamily.IPV6);

        assertThat(v4.sourceRanges()).isEmpty();
        assertThat(v4.frontends())
                .containsEntry(frontend("192.0.2.1"), new Access(Reach.CLUSTER, Reach.CLUSTER, true, true))
                .containsEntry(frontend("203.0.113.7"), EXTERNAL);
        assertThat(v6.frontends()).containsEntry(frontend("2001:db8::1"), EXTERNAL);
    }

    @Test
    void loadBalancerSourceRanges_oneOfLengthZero_opensItsFamily() {
        Service service = service(
                external(
                        TrafficPolicy.CLUSTER,
                        new Prefix(Address.of("198.51.100.0"), 120),
                        new Prefix(Address.unspecified(IpFamily.IPV4), 96)),
                TrafficPolicy.CLUSTER);

        VirtualService planned = plan(service, IpFamily.IPV4);

        assertThat(planned.sourceRanges()).isEmpty();
        assertThat(planned.frontends()).containsEntry(frontend("192.0.2.1"), EXTERNAL);
    }

    @Test
    void aLoopbackAddress_isNobodysWayIn() {
        Service.External tunnel = new Service.External(
                addresses("127.0.0.2", "::1"), addresses("127.0.0.1"), List.of(), TrafficPolicy.CLUSTER, 0);

        assertThat(plan(service(tunnel, TrafficPolicy.CLUSTER), IpFamily.IPV4).frontends())
                .containsOnlyKeys(frontend("10.96.0.1"), nodePort(IpFamily.IPV4));
        assertThat(plan(service(tunnel, TrafficPolicy.CLUSTER), IpFamily.IPV6).frontends())
                .containsOnlyKeys(frontend("fd00:96::1"), nodePort(IpFamily.IPV6));
    }

    @Test
    void anAddressThatIsBothExternalAndTheLoadBalancers_isOpen() {
        Service.External both = new Service.External(
                addresses("192.0.2.1"),
                addresses("192.0.2.1"),
                List.of(new Prefix(Address.of("198.51.100.0"), 120)),
                TrafficPolicy.CLUSTER,
                0);

        assertThat(plan(service(both, TrafficPolicy.CLUSTER), IpFamily.IPV4).frontends())
                .containsEntry(frontend("192.0.2.1"), EXTERNAL);
    }

    @Test
    void sessionAffinity_isOfEveryPort() {
        Service service = new Service(
                WEB,
                List.of(V4),
                List.of(HTTP, new Service.Port("dns", Protocol.UDP, 53)),
                Service.External.NONE,
                TrafficPolicy.CLUSTER,
                60);

        assertThat(Planner.plan(service, List.of(), new Locality("here", ""), Balancing.DEFAULT, Forwarding.SNAT))
                .extracting(planned -> planned.service().affinitySeconds())
                .containsExactly(60, 60);
    }
}
