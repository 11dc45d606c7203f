package io.shunt.plan;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.EndpointSlice.Hints;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * All that one plan depends on, by chance: few names, addresses and places, so that they meet often.
 *
 * @param slices in the order of their names
 */
record RandomCluster(Service service, List<EndpointSlice> slices, Locality here) {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final List<String> PORT_NAMES = List.of("", "http", "dns");
    private static final List<Protocol> PROTOCOLS = List.of(Protocol.TCP, Protocol.UDP, Protocol.SCTP);
    private static final List<String> ZONES = List.of("a", "b", "c");
    private static final List<String> NODES = List.of("here", "there", "yonder");

    static RandomCluster of(RandomGenerator random) {
        List<EndpointSlice> slices = new ArrayList<>();
        boolean hinted = random.nextBoolean();
        for (int i = random.nextInt(5); i > 0; i--) {
            slices.addFirst(slice(random, i, hinted));
        }
        return new RandomCluster(
                service(random),
                slices,
                new Locality("here", random.nextInt(4) == 0 ? "" : ZONES.get(random.nextInt(2))));
    }

    private static Service service(RandomGenerator random) {
        List<Address> clusterIps = switch (random.nextInt(4)) {
            case 0 -> List.of(Address.of("10.96.0.1"));
            case 1 -> List.of(Address.of("fd00:96::1"));
            case 2 -> List.of(Address.of("fd00:96::1"), Address.of("10.96.0.1"));
            default -> List.of(Address.of("10.96.0.1"), Address.of("fd00:96::1"));
        };
        List<Service.Port> ports = new ArrayList<>();
        for (int i = 1 + random.nextInt(3); i > 0; i--) {
            ports.add(new Service.Port(
                    one(random, PORT_NAMES), one(random, PROTOCOLS), 80 + i, random.nextBoolean() ? 0 : 30080 + i));
        }
        List<Address> ips =
                some(random, List.of(Address.of("203.0.113.1"), Address.of("2001:db8::1"), Address.of("203.0.113.2")));
        List<Address> loadBalancerIps =
                some(random, List.of(Address.of("192.0.2.1"), Address.of("2001:db8::2"), Address.of("203.0.113.1")));
        List<Prefix> ranges =
                some(random, ranges("198.51.100.0/24", "2001:db8:1::/48", "0.0.0.0/0", "::/0", "10.0.0.0/8"));
        Service.External external = random.nextInt(4) == 0
                ? new Service.External(ips, loadBalancerIps, ranges, EnumSet.allOf(IpFamily.class), policy(random), 0)
                : new Service.External(ips, loadBalancerIps, ranges, policy(random), 0);
        return new Service(WEB, clusterIps, ports, external, policy(random), random.nextBoolean() ? 0 : 60);
    }

    private static List<Prefix> ranges(String... texts) {
        return Stream.of(texts).map(text -> Prefix.parse(text).orElseThrow()).toList();
    }

    private static TrafficPolicy policy(RandomGenerator random) {
        return random.nextInt(3) == 0 ? TrafficPolicy.LOCAL : TrafficPolicy.CLUSTER;
    }

    private static EndpointSlice slice(RandomGenerator random, int number, boolean hinted) {
        IpFamily family = random.nextInt(3) == 0 ? IpFamily.IPV6 : IpFamily.IPV4;
        List<EndpointSlice.Port> ports = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
            ports.add(
                    new EndpointSlice.Port(one(random, PORT_NAMES), one(random, PROTOCOLS), 8080 + random.nextInt(2)));
        }
        // Conditions come in kinds: all good for most, anything for the rest.
        int calm = random.nextInt(3);
        List<Endpoint> endpoints = new ArrayList<>();
        for (int i = random.nextInt(6); i > 0; i--) {
            int host = 1 + random.nextInt(5);
            endpoints.add(new Endpoint(
                    Address.of(family == IpFamily.IPV4 ? "10.0.0." + host : "fd00::" + host),
                    calm == 0 || calm == 1 && random.nextBoolean(),
                    calm == 0 || random.nextBoolean(),
                    calm != 0 && random.nextBoolean(),
                    random.nextInt(5) == 0 ? null : one(random, NODES),
                    hinted && random.nextInt(10) != 0 ? hints(random) : Hints.NONE));
        }
        return new EndpointSlice(new ObjectName("shop", "web-" + number), WEB, family, ports, endpoints, null);
    }

    private static Hints hints(RandomGenerator random) {
        return new Hints(
                Set.copyOf(random.nextInt(6) == 0 ? List.of() : some(random, ZONES)),
                Set.copyOf(random.nextInt(3) == 0 ? some(random, NODES) : List.of()));
    }

    private static <T> T one(RandomGenerator random, List<T> of) {
        return of.get(random.nextInt(of.size()));
    }

    private static <T> List<T> some(RandomGenerator random, List<T> of) {
        return of.stream().filter(each -> random.nextInt(3) == 0).toList();
    }

    /** A smaller one that is as bad, until none of those that lack one thing is. */
    RandomCluster shrunk(Predicate<RandomCluster> bad) {
        RandomCluster smallest = this;
        for (Optional<RandomCluster> next = Optional.of(this); next.isPresent(); ) {
            smallest = next.get();
            next = smallest.smaller().filter(bad).findFirst();
        }
        return smallest;
    }

    private Stream<RandomCluster> smaller() {
        Service s = service;
        Service.External e = s.external();
        Stream<Service> services = Stream.of(
                        without(s.clusterIps()).filter(l -> !l.isEmpty()).map(l -> with(s, l, s.ports(), e)),
                        without(s.ports()).filter(l -> !l.isEmpty()).map(l -> with(s, s.clusterIps(), l, e)),
                        without(e.ips())
                                .map(l -> with(
                                        s,
                                        s.clusterIps(),
                                        s.ports(),
                                        new Service.External(
                                                l,
                                                e.loadBalancerIps(),
                                                e.sourceRanges(),
                                                e.restricted(),
                                                e.policy(),
                                                0))),
                        without(e.loadBalancerIps())
                                .map(l -> with(
                                        s,
                                        s.clusterIps(),
                                        s.ports(),
                                        new Service.External(
                                                e.ips(), l, e.sourceRanges(), e.restricted(), e.policy(), 0))),
                        without(e.sourceRanges())
                                .map(l -> with(
                                        s,
                                        s.clusterIps(),
                                        s.ports(),
                                        new Service.External(
                                                e.ips(), e.loadBalancerIps(), l, e.restricted(), e.policy(), 0))))
                .flatMap(each -> each);
        Stream<List<EndpointSlice>> lists = Stream.concat(
                without(slices),
                IntStream.range(0, slices.size())
                        .boxed()
                        .flatMap(i -> smaller(slices.get(i)).map(slice -> replaced(slices, i, slice))));
        return Stream.concat(
                lists.map(l -> new RandomCluster(s, l, here)),
                services.map(each -> new RandomCluster(each, slices, here)));
    }

    private static Service with(
            Service s, List<Address> clusterIps, List<Service.Port> ports, Service.External external) {
        return new Service(s.name(), clusterIps, ports, external, s.internalPolicy(), s.affinitySeconds());
    }

    private static Stream<EndpointSlice> smaller(EndpointSlice slice) {
        return Stream.of(
                        without(slice.ports()).map(l -> with(slice, l, slice.endpoints())),
                        without(slice.endpoints()).map(l -> with(slice, slice.ports(), l)),
                        IntStream.range(0, slice.endpoints().size())
                                .mapToObj(i -> plain(slice.endpoints().get(i))
                                        .map(plain ->
                                                with(slice, slice.ports(), replaced(slice.endpoints(), i, plain))))
                                .flatMap(Optional::stream))
                .flatMap(each -> each);
    }

    /** Without hints or node, if it has any. */
    private static Optional<Endpoint> plain(Endpoint endpoint) {
        Endpoint plain = new Endpoint(
                endpoint.address(), endpoint.ready(), endpoint.serving(), endpoint.terminating(), null, Hints.NONE);
        return plain.equals(endpoint) ? Optional.empty() : Optional.of(plain);
    }

    private static EndpointSlice with(EndpointSlice slice, List<EndpointSlice.Port> ports, List<Endpoint> endpoints) {
        return new EndpointSlice(slice.name(), slice.service(), slice.family(), ports, endpoints, slice.triggered());
    }

    private static <T> Stream<List<T>> without(List<T> list) {
        return IntStream.range(0, list.size()).mapToObj(i -> {
            List<T> shorter = new ArrayList<>(list);
            shorter.remove(i);
            return shorter;
        });
    }

    private static <T> List<T> replaced(List<T> list, int index, @Nullable T element) {
        List<T> copy = new ArrayList<>(list);
        copy.set(index, Objects.requireNonNull(element));
        return copy;
    }
}
