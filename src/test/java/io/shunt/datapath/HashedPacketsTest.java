package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketLab.Flow;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A client's address and port choose the backend: in the kernel the same as in Java, and on each of two nodes. */
@Tag("kernel")
class HashedPacketsTest {
    private static final int SIZE = 1021;
    private static final int BACKENDS = 20;
    private static final int NODE_PORT = 30_080;
    private static final int CLIENTS = 500;
    private static final Access EXTERNAL = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true);

    private static PacketLab lab;

    private Installed here;
    private Installed there;

    @BeforeAll
    static void start() {
        lab = new PacketLab();
    }

    @AfterAll
    static void stop() {
        lab.close();
    }

    /** Two nodes in one place, of which one has had other services before. */
    @BeforeEach
    void install() {
        here = lab.installed(new PacketSettings(1024, 28_976, false, false, List.of(), true));
        there = lab.installed(new PacketSettings(2048, 20_000, false, false, List.of(), true));
        here.reset();
        there.reset();
        for (int i = 1; i <= 3; i++) {
            there.put(new VirtualService(
                    "other" + i,
                    List.of(new Frontend(Address.of("10.96.9." + i), 80, Protocol.TCP)),
                    backends(IpFamily.IPV4).subList(i, 2 * i)));
        }
    }

    private static Address address(IpFamily family, String v4, String v6) {
        return Address.of(family == IpFamily.IPV4 ? v4 : v6);
    }

    private static List<Backend> backends(IpFamily family) {
        return IntStream.rangeClosed(1, BACKENDS)
                .mapToObj(i -> new Backend(
                        address(family, "10.2.0." + i, "fd00:2::" + i), 8080, Backend.State.CLUSTER, 1 + i % 3))
                .toList();
    }

    private static Frontend clusterIp(IpFamily family, Protocol protocol) {
        return new Frontend(address(family, "10.96.0.1", "fd00:96::1"), 80, protocol);
    }

    private static Frontend external(IpFamily family, Protocol protocol) {
        return new Frontend(address(family, "203.0.113.1", "2001:db8:113::1"), 80, protocol);
    }

    private static VirtualService service(
            IpFamily family, Protocol protocol, List<Backend> backends, int affinitySeconds) {
        return new VirtualService(
                "web/" + protocol + family,
                Map.of(
                        clusterIp(family, protocol),
                        Access.OPEN,
                        external(family, protocol),
                        EXTERNAL,
                        Frontend.ofNode(family, NODE_PORT, protocol),
                        EXTERNAL),
                backends,
                List.of(),
                affinitySeconds,
                SIZE);
    }

    private void putOnBoth(IpFamily family, Protocol protocol, int affinitySeconds) {
        List<Backend> backends = new ArrayList<>(backends(family));
        here.put(service(family, protocol, backends, affinitySeconds));
        Collections.shuffle(backends, new Random(7));
        there.put(service(family, protocol, backends, affinitySeconds));
        assertThat(here.firstService()).isNotZero();
    }

    private static Address client(IpFamily family, RandomGenerator random) {
        return family == IpFamily.IPV4
                ? Address.of("198.51." + random.nextInt(1, 255) + "." + random.nextInt(1, 255))
                : new Address(0x20010db8_00000000L | random.nextInt(1 << 16), random.nextLong());
    }

    /** Who gets the first packet of such a conversation. */
    private static Address chosen(Installed node, Tuple asked) {
        Packet first = Draft.first(asked).packet().to(PacketLab.DEVICE).from(PacketLab.SENDER);
        node.run(Hook.OUTSIDE, first, false);
        Flow flow = Objects.requireNonNull(node.flow(asked), asked::toString);
        return flow.to().destination();
    }

    @ParameterizedTest
    @CsvSource({"IPV4,TCP", "IPV4,UDP", "IPV4,SCTP", "IPV6,TCP", "IPV6,UDP", "IPV6,SCTP"})
    void clients_getTheSameBackendOnEachNode_whichJavaForetells(IpFamily family, Protocol protocol) {
        putOnBoth(family, protocol, 0);
        List<Backend> backends = backends(family);
        int[] table = Maglev.table(backends, SIZE);
        RandomGenerator random =
                RandomGeneratorFactory.of("L64X128MixRandom").create(family.ordinal() * 1000L + protocol.number());
        Set<Address> seen = new HashSet<>();
        for (int i = 0; i < CLIENTS; i++) {
            Address client = client(family, random);
            int port = random.nextInt(1, 1 << 16);
            Tuple byService = asked(client, port, clusterIp(family, protocol));
            Tuple byNode = new Tuple(client, port, address(family, "192.168.7.1", "fd07::1"), NODE_PORT, protocol);
            int slot = PeerHash.place(PeerHash.hash(PeerHash.CLIENT_SEED, client, port), SIZE);
            Address foretold = backends.get(table[slot]).address();

            assertThat(chosen(here, byService)).as("%s", byService).isEqualTo(foretold);
            assertThat(chosen(there, byService)).as("%s", byService).isEqualTo(foretold);
            assertThat(chosen(here, byNode)).as("%s", byNode).isEqualTo(foretold);
            assertThat(chosen(there, asked(client, port, external(family, protocol))))
                    .isEqualTo(foretold);
            seen.add(foretold);
        }
        assertThat(seen).hasSize(BACKENDS);
    }

    private static Tuple asked(Address client, int port, Frontend frontend) {
        return new Tuple(client, port, frontend.address(), frontend.port(), frontend.protocol());
    }

    /** Another node does not know with which backend a client stays, and finds the same. */
    @ParameterizedTest
    @EnumSource
    void clientThatStaysWithItsBackend_hasTheSameOnEachNode_fromAnyPort(IpFamily family) {
        putOnBoth(family, Protocol.TCP, 3600);
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(11);
        Map<Address, Address> backendOf = new HashMap<>();
        for (int i = 0; i < 50; i++) {
            Address client = client(family, random);
            for (Installed node : List.of(here, there)) {
                for (int port = 1000; port < 1003; port++) {
                    Address chosen = chosen(node, asked(client, port, clusterIp(family, Protocol.TCP)));
                    assertThat(chosen).isEqualTo(backendOf.computeIfAbsent(client, c -> chosen));
                }
            }
        }
        assertThat(new HashSet<>(backendOf.values())).hasSizeGreaterThan(5);
    }

    /** Nobody else has to choose the same for a socket: it chooses by chance, and from the same slots. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6", "UDP4", "UDP6"})
    void sockets_getBackendsByTheirShares(Client client) {
        try (NodeFixture node = new NodeFixture()) {
            Frontend frontend = client.frontend("10.96.0.1", "fd00:96::1", 80);
            List<Backend> backends = IntStream.of(1, 2, 3)
                    .mapToObj(i -> new Backend(
                            address(client.family(), "10.0.0." + i, "fd00::" + i),
                            8080,
                            Backend.State.CLUSTER,
                            i == 3 ? 1000 : 1))
                    .toList();
            node.put(new VirtualService("web", Map.of(frontend, Access.OPEN), backends, List.of(), 0, 251));

            Map<String, Integer> answers = new HashMap<>();
            for (int i = 0; i < 300; i++) {
                answers.merge(client.ask(node.pod().traffic(), frontend), 1, Integer::sum);
            }
            assertThat(answers.get("b3")).isGreaterThan(280);
            node.put(new VirtualService(
                    "web",
                    Map.of(frontend, Access.OPEN),
                    NodeFixture.backends(client, Backend.State.CLUSTER, 1, 2, 3),
                    List.of(),
                    0,
                    251));
            Set<String> seen = new HashSet<>();
            for (int i = 0; i < 100; i++) {
                seen.add(client.ask(node.pod().traffic(), frontend));
            }
            assertThat(seen).containsExactlyInAnyOrder("b1", "b2", "b3");
        }
    }

    /** What a client's address and port choose is the same each time; what chance chooses is not. */
    @Test
    void anotherAlgorithm_isInForceAtOnce() {
        VirtualService hashed = service(IpFamily.IPV4, Protocol.TCP, backends(IpFamily.IPV4), 0);
        VirtualService random = new VirtualService(hashed.name(), hashed.frontends(), hashed.backends(), List.of(), 0);
        Tuple asked = asked(Address.of("198.51.100.1"), 1234, clusterIp(IpFamily.IPV4, Protocol.TCP));

        here.put(random);
        assertThat(chosenAgainAndAgain(asked)).hasSizeGreaterThan(3);
        here.put(hashed);
        assertThat(chosenAgainAndAgain(asked)).hasSize(1);
        here.put(random);
        assertThat(chosenAgainAndAgain(asked)).hasSizeGreaterThan(3);
    }

    private Set<Address> chosenAgainAndAgain(Tuple asked) {
        Set<Address> all = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            here.forgetFlows();
            all.add(chosen(here, asked));
        }
        return all;
    }
}
