package io.shunt.flow;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.EndpointSlice.Hints;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class NamesTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");

    private final List<Service> services = new ArrayList<>();
    private final List<EndpointSlice> slices = new ArrayList<>();
    private final AtomicInteger passes = new AtomicInteger();
    private final Names names = new Names(
            "n1", () -> Set.of(Address.of("192.168.7.1"), Address.of("127.0.0.1")), () -> services, this::countPasses);

    private Collection<EndpointSlice> countPasses() {
        passes.incrementAndGet();
        return slices;
    }

    private void endpoint(String address, @Nullable String pod) {
        Endpoint endpoint = new Endpoint(Address.of(address), true, true, false, null, Hints.NONE, pod, 1);
        slices.add(new EndpointSlice(
                new ObjectName("shop", "web-" + slices.size()),
                WEB,
                IpFamily.IPV4,
                List.of(),
                List.of(endpoint),
                null));
    }

    private String name(String address) {
        Address wanted = Address.of(address);
        return names.of(List.of(wanted)).get(wanted);
    }

    @Test
    void addresses_areNamedByWhatHasThem() {
        services.add(new Service(
                WEB,
                List.of(Address.of("10.96.0.10"), Address.of("fd00:96::10")),
                List.of(),
                new Service.External(
                        List.of(Address.of("198.51.100.1")),
                        List.of(Address.of("203.0.113.1")),
                        List.of(),
                        TrafficPolicy.CLUSTER,
                        0),
                TrafficPolicy.CLUSTER,
                0));
        endpoint("10.1.0.2", "web-7d4b9");
        endpoint("10.1.0.3", null);
        endpoint("192.168.7.1", "on-host");

        assertThat(name("10.96.0.10")).isEqualTo("service shop/web");
        assertThat(name("fd00:96::10")).isEqualTo("service shop/web");
        assertThat(name("198.51.100.1")).isEqualTo("service shop/web");
        assertThat(name("203.0.113.1")).isEqualTo("service shop/web");
        assertThat(name("10.1.0.2")).isEqualTo("pod shop/web-7d4b9");
        assertThat(name("10.1.0.3")).isEqualTo("endpoint of shop/web");
        assertThat(name("192.168.7.1")).isEqualTo("node n1");
        assertThat(name("192.0.2.9")).isEmpty();
    }

    @Test
    void manyAddresses_takeOnePass_andAreRemembered() {
        endpoint("10.1.0.2", "web-7d4b9");
        List<Address> many = IntStream.range(0, 1_000)
                .mapToObj(i -> Address.of("10.1." + i / 250 + "." + (i % 250)))
                .toList();
        Map<Address, String> known = names.of(many);
        assertThat(known).hasSize(1_000).containsEntry(Address.of("10.1.0.2"), "pod shop/web-7d4b9");
        assertThat(passes).hasValue(1);
        assertThat(names.of(many)).isEqualTo(known);
        assertThat(passes).hasValue(1);
    }
}
