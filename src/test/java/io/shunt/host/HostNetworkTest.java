package io.shunt.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.cluster.Change;
import io.shunt.host.NodeDevices.Device;
import io.shunt.host.NodeDevices.Found;
import io.shunt.host.NodeDevices.Role;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.testbed.Namespace;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class HostNetworkTest {
    private static final Address LOOPBACK = Address.of("127.0.0.1");
    private static final Address LOOPBACK6 = Address.of("::1");

    private final AtomicReference<Set<Address>> told = new AtomicReference<>(Set.of());
    private final AtomicReference<Found> found = new AtomicReference<>();

    private HostNetwork started(Namespace namespace) {
        return namespace.call(() -> {
            HostNetwork network = new HostNetwork(
                    change -> told.set(((Change.HostAddressesChange) change).addresses()),
                    NodeDevices.found(),
                    found::set);
            network.start();
            return network;
        });
    }

    /** Within less than the 30 s after which it would look anyway. */
    private static void soon(ThrowingRunnable assertion) {
        await().atMost(Duration.ofSeconds(20)).untilAsserted(assertion);
    }

    @Test
    void addresses_areToldAtOnceAndWheneverTheyChange() throws Exception {
        try (Namespace namespace = Namespace.create("addresses");
                HostNetwork network = started(namespace)) {
            assertThat(network).isNotNull();
            assertThat(told.get()).containsExactlyInAnyOrder(LOOPBACK, LOOPBACK6);

            namespace.address("lo", "192.0.2.1/32");
            namespace.address("lo", "2001:db8::1/128");

            soon(() -> assertThat(told.get())
                    .containsExactlyInAnyOrder(
                            LOOPBACK, LOOPBACK6, Address.of("192.0.2.1"), Address.of("2001:db8::1")));

            namespace.ip("address", "del", "192.0.2.1/32", "dev", "lo");
            namespace.ip("address", "del", "2001:db8::1/128", "dev", "lo");

            soon(() -> assertThat(told.get()).containsExactlyInAnyOrder(LOOPBACK, LOOPBACK6));
        }
    }

    @Test
    void devices_areToldAtOnceAndAsTheyComeAndGo() throws Exception {
        try (Namespace namespace = Namespace.create("devices");
                Namespace router = Namespace.create("router")) {
            namespace.link("eth0", router, "toNode");
            namespace.address("eth0", "192.0.2.1/24");
            namespace.address("eth0", "2001:db8::1/64");
            namespace.ip("route", "add", "default", "via", "192.0.2.254");
            Device eth0 = new Device(namespace.index("eth0"), "eth0", Role.NODE, 1500, true);
            try (HostNetwork network = started(namespace)) {
                assertThat(network).isNotNull();
                assertThat(found.get())
                        .isEqualTo(new Found(
                                List.of(eth0),
                                Map.of(
                                        eth0.index(),
                                        new AddressPair(Address.of("192.0.2.1"), Address.of("2001:db8::1"))),
                                List.of()));

                namespace.ip("link", "add", "cni0", "type", "bridge");
                namespace.ip("link", "set", "cni0", "up");
                namespace.address("cni0", "10.1.1.1/24");
                namespace.ip("link", "add", "veth1", "type", "veth", "peer", "name", "pod1");
                namespace.ip("link", "set", "veth1", "master", "cni0", "up");
                Device veth1 = new Device(namespace.index("veth1"), "veth1", Role.PODS, 1500, true);
                soon(() -> {
                    assertThat(found.get().devices()).containsExactly(eth0, veth1);
                    assertThat(found.get().sources())
                            .containsEntry(
                                    namespace.index("cni0"),
                                    new AddressPair(Address.of("10.1.1.1"), Address.of("2001:db8::1")));
                });

                namespace.ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "8472", "dev", "eth0");
                namespace.ip("link", "set", "flannel.1", "up");
                Device flannel = new Device(namespace.index("flannel.1"), "flannel.1", Role.NODE, 1450, true);
                soon(() -> assertThat(found.get().devices()).containsExactly(eth0, veth1, flannel));

                namespace.ip("link", "add", "cali1", "type", "veth", "peer", "name", "pod2");
                namespace.ip("link", "set", "cali1", "up");
                namespace.ip("route", "add", "10.1.1.77/32", "dev", "cali1");
                Device cali1 = new Device(namespace.index("cali1"), "cali1", Role.PODS, 1500, true);
                soon(() -> assertThat(found.get().devices()).containsExactlyInAnyOrder(eth0, veth1, flannel, cali1));

                namespace.ip("route", "del", "10.1.1.77/32", "dev", "cali1");
                namespace.ip("link", "del", "veth1");
                namespace.ip("link", "set", "flannel.1", "down");
                soon(() -> assertThat(found.get().devices()).containsExactly(eth0));
            }
        }
    }
}
