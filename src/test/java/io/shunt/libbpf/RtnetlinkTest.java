package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.libbpf.Rtnetlink.Link;
import io.shunt.libbpf.Rtnetlink.LinkAddress;
import io.shunt.libbpf.Rtnetlink.Route;
import io.shunt.testbed.Namespace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RtnetlinkTest {
    private static InetAddress ip(String text) throws UnknownHostException {
        return InetAddress.getByName(text);
    }

    @Test
    @Tag("kernel")
    void links_saysWhatTheyAreAndWhoseParts() {
        try (Namespace namespace = Namespace.create("links");
                Rtnetlink kernel = namespace.call(Rtnetlink::new)) {
            namespace.ip("link", "add", "bridge0", "type", "bridge");
            namespace.ip("link", "add", "port", "mtu", "1400", "type", "veth", "peer", "name", "pod");
            namespace.ip("link", "set", "port", "master", "bridge0", "up");
            namespace.ip("link", "add", "vxlan0", "type", "vxlan", "id", "1", "dstport", "4789", "dev", "bridge0");
            namespace.ip("tuntap", "add", "dev", "tun0", "mode", "tun");

            int bridge = namespace.index("bridge0");
            assertThat(kernel.links())
                    .contains(
                            new Link(1, "lo", true, true, false, 65536, 0, ""),
                            new Link(bridge, "bridge0", false, false, true, 1400, 0, "bridge"),
                            new Link(namespace.index("port"), "port", true, false, true, 1400, bridge, "veth"),
                            new Link(namespace.index("vxlan0"), "vxlan0", false, false, true, 1350, 0, "vxlan"),
                            new Link(namespace.index("tun0"), "tun0", false, false, false, 1500, 0, "tun"));
        }
    }

    @Test
    @Tag("kernel")
    void hardwareAddresses_areThoseOfDevicesThatHaveOne() {
        try (Namespace namespace = Namespace.create("hardware");
                Rtnetlink kernel = namespace.call(Rtnetlink::new)) {
            namespace.ip("link", "add", "bridge0", "address", "02:00:00:00:00:fe", "type", "bridge");
            namespace.ip("tuntap", "add", "dev", "tun0", "mode", "tun");

            assertThat(kernel.hardwareAddresses())
                    .containsEntry(namespace.index("bridge0"), new byte[] {2, 0, 0, 0, 0, (byte) 0xfe})
                    .doesNotContainKey(namespace.index("tun0"));
        }
    }

    @Test
    @Tag("kernel")
    void links_ofMoreThanOneReply_areAllThere() {
        try (Namespace namespace = Namespace.create("many");
                Rtnetlink kernel = namespace.call(Rtnetlink::new)) {
            List<String> names =
                    IntStream.range(0, 60).mapToObj(i -> "bridge" + i).toList();
            names.forEach(name -> namespace.ip("link", "add", name, "type", "bridge"));

            assertThat(kernel.links().stream().map(Link::name)).containsAll(names);
        }
    }

    @Test
    @Tag("kernel")
    void addresses_areTheHostsOwnOfBothFamilies() throws Exception {
        try (Namespace namespace = Namespace.create("addresses");
                Rtnetlink kernel = namespace.call(Rtnetlink::new)) {
            namespace.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1");
            namespace.address("veth0", "10.1.0.1/24");
            namespace.ip("address", "add", "10.2.0.1", "peer", "10.2.0.2/32", "dev", "veth0", "scope", "link");
            namespace.address("veth0", "fd00::1/64");
            int veth = namespace.index("veth0");

            List<LinkAddress> addresses = kernel.addresses();

            assertThat(addresses.stream().map(LinkAddress::address)).contains(ip("127.0.0.1"), ip("::1"));
            assertThat(addresses)
                    .anyMatch(each -> each.link() == veth
                            && each.address().equals(address("10.1.0.1"))
                            && each.prefixLength() == 24
                            && each.scope() == LinkAddress.GLOBAL)
                    .anyMatch(each -> each.address().equals(address("10.2.0.1")) && each.scope() == 253)
                    .anyMatch(each -> each.address().equals(address("fd00::1")) && each.prefixLength() == 64)
                    .noneMatch(each -> each.address().equals(address("10.2.0.2")));
        }
    }

    @Test
    @Tag("kernel")
    void routes_sayWhereTheyLead() throws Exception {
        try (Namespace namespace = Namespace.create("routes");
                Rtnetlink kernel = namespace.call(Rtnetlink::new)) {
            namespace.ip("link", "add", "veth0", "up", "type", "veth", "peer", "name", "veth1");
            namespace.ip("link", "set", "veth1", "up");
            namespace.address("veth0", "10.1.0.1/24");
            namespace.address("veth1", "10.2.0.1/24");
            namespace.ip("route", "add", "10.9.0.7/32", "dev", "veth0");
            namespace.ip("route", "add", "blackhole", "10.8.0.0/16");
            namespace.ip("route", "add", "default", "via", "10.1.0.2", "table", "1000");
            namespace.ip("route", "add", "10.7.0.0/16", "nexthop", "via", "10.1.0.2", "nexthop", "via", "10.2.0.2");
            namespace.ip("-6", "route", "add", "fd09::7/128", "dev", "veth1");
            int a = namespace.index("veth0");
            int b = namespace.index("veth1");

            assertThat(kernel.routes(route -> true))
                    .contains(
                            new Route(ip("10.9.0.7"), 32, List.of(a), false, 254, Route.UNICAST),
                            new Route(ip("10.8.0.0"), 16, List.of(), false, 254, 6),
                            new Route(ip("0.0.0.0"), 0, List.of(a), true, 1000, Route.UNICAST),
                            new Route(ip("10.7.0.0"), 16, List.of(a, b), true, 254, Route.UNICAST),
                            new Route(ip("fd09::7"), 128, List.of(b), false, 254, Route.UNICAST));
            assertThat(kernel.routes(route -> route.isToHost() && route.type() == Route.UNICAST))
                    .extracting(Route::destination)
                    .contains(ip("10.9.0.7"), ip("fd09::7"))
                    .doesNotContain(ip("10.8.0.0"), ip("0.0.0.0"));
        }
    }

    @Test
    @Tag("kernel")
    void notices_ringForLinksAddressesAndRoutes() {
        try (Namespace namespace = Namespace.create("notices");
                NetworkNotices notices = namespace.call(NetworkNotices::new)) {
            namespace.ip("link", "add", "veth0", "type", "bridge");
            heard(notices);
            namespace.ip("link", "set", "veth0", "up");
            heard(notices);
            namespace.ip("route", "add", "10.9.0.7/32", "dev", "veth0");
            heard(notices);
            namespace.ip("-6", "route", "add", "fd09::7/128", "dev", "veth0");
            heard(notices);
            namespace.address("veth0", "10.1.0.1/24");
            heard(notices);
            namespace.ip("link", "del", "veth0");
            heard(notices);
        }
    }

    /** Until it is silent again, so that the next ring is of what happens next. */
    private static void heard(NetworkNotices notices) {
        assertThat(notices.await(Duration.ofSeconds(10))).isTrue();
        await().until(() -> !notices.await(Duration.ofMillis(200)));
    }

    @Test
    void attributes_endWhereALengthCannotBe() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment message = arena.allocate(20, Long.BYTES);
            message.set(JAVA_SHORT, 0, (short) 8);
            message.set(JAVA_SHORT, 2, (short) 4);
            message.set(JAVA_INT, 4, 1500);
            message.set(JAVA_SHORT, 8, (short) 60);
            message.set(JAVA_SHORT, 10, (short) 3);

            assertThat(Rtnetlink.attributes(message)).containsOnlyKeys(4);
            message.set(JAVA_SHORT, 8, (short) 3);
            assertThat(Rtnetlink.attributes(message)).containsOnlyKeys(4);
            assertThat(Rtnetlink.attributes(message.asSlice(0, 6))).isEmpty();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void readers_takeAnyBytesWithoutAnError(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment buffer = arena.allocate(128, Long.BYTES);
            for (int i = 0; i < 20_000; i++) {
                for (int at = 0; at < buffer.byteSize(); at++) {
                    // Small numbers, as lengths and types are.
                    buffer.set(JAVA_BYTE, at, (byte) (random.nextInt(4) == 0 ? random.nextInt(24) : 0));
                }
                MemorySegment message = buffer.asSlice(0, random.nextInt(129));
                Link link = Rtnetlink.link(message);
                assertThat(link == null || !link.name().isEmpty()).isTrue();
                Rtnetlink.address(message);
                Rtnetlink.route(message);
            }
        }
    }

    private static InetAddress address(String text) {
        try {
            return ip(text);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(e);
        }
    }
}
