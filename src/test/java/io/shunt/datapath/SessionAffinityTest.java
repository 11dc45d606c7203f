package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.backends;
import static io.shunt.datapath.NodeFixture.inside;
import static io.shunt.datapath.NodeFixture.service;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.libbpf.BpfMap;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A client comes back to the backend that it used last. */
@Tag("kernel")
class SessionAffinityTest {
    private static final int SECONDS = 10_800;
    private static final long LAST_USED = Layouts.offset(Layouts.AFFINITY, "last_used");
    private static final int ENOUGH = 25;

    private NodeFixture node;

    @BeforeEach
    void start() {
        node = new NodeFixture();
    }

    @AfterEach
    void stop() {
        node.close();
    }

    private static Frontend clusterIp(Client client) {
        return client.frontend("10.96.0.1", "fd00:96::1", 80);
    }

    private static Frontend external(Client client) {
        return client.frontend("203.0.113.1", "fd00:113::1", 8080);
    }

    private int put(Client client, List<Backend> backends) {
        return node.put(service(
                client, Map.of(clusterIp(client), Access.OPEN, external(client), Access.OPEN), backends, SECONDS));
    }

    private static List<Backend> all(Client client) {
        return backends(client, Backend.State.CLUSTER, 1, 2, 3);
    }

    private static List<Backend> without(Client client, String name, Backend.State... rest) {
        List<Backend> backends = new ArrayList<>();
        for (int i = 1; i <= NodeFixture.BACKENDS; i++) {
            if (!name.equals("b" + i)) {
                backends.addAll(backends(client, Backend.State.CLUSTER, i));
            } else if (rest.length > 0) {
                backends.addAll(backends(client, rest[0], i));
            }
        }
        return backends;
    }

    private static Set<String> ask(Client client, Traffic traffic, Frontend frontend, int times) {
        Set<String> servers = new HashSet<>();
        for (int i = 0; i < times; i++) {
            servers.add(client.ask(traffic, frontend));
        }
        return servers;
    }

    /** Makes what is remembered look that much older; returns when it then seems to have been used last. */
    private long age(long seconds) {
        long[] last = {0};
        try (BpfMap affinity = BpfMap.openPinned(node.ground().pins().path().resolve("maps/affinity"));
                Arena arena = Arena.ofConfined()) {
            affinity.forEach((key, value) -> {
                MemorySegment older = arena.allocate(Layouts.AFFINITY).copyFrom(value);
                last[0] = value.get(JAVA_LONG, LAST_USED) - seconds * 1_000_000_000L;
                older.set(JAVA_LONG, LAST_USED, last[0]);
                affinity.update(arena.allocate(Layouts.AFFINITY_KEY).copyFrom(key), older, BpfMap.EXIST);
            });
        }
        return last[0];
    }

    @ParameterizedTest
    @EnumSource
    void aClient_staysWithItsBackend_byWhicheverAddress(Client client) {
        put(client, all(client));
        for (Pod from : List.of(node.host(), node.pod())) {
            Set<String> servers = ask(client, from.traffic(), clusterIp(client), ENOUGH);
            servers.addAll(ask(client, from.traffic(), external(client), ENOUGH));
            assertThat(servers).hasSize(1);
        }
        assertThat(node.entries("affinity"))
                .extracting(entry -> (Long) entry.get("client"))
                .containsExactlyInAnyOrder(
                        node.host().traffic().namespaceCookie(),
                        node.pod().traffic().namespaceCookie());
    }

    @ParameterizedTest
    @EnumSource
    void withoutAffinity_nothingIsRemembered(Client client) {
        node.put(service(client, clusterIp(client)));
        assertThat(ask(client, node.pod().traffic(), clusterIp(client), 2 * ENOUGH))
                .hasSize(3);
        assertThat(node.entries("affinity")).isEmpty();
    }

    @ParameterizedTest
    @EnumSource
    void theTimeout_beginsAnewWithEachConnection(Client client) {
        put(client, all(client));
        String server = client.ask(node.pod().traffic(), clusterIp(client));
        for (int i = 0; i < ENOUGH; i++) {
            long before = age(SECONDS - 60);
            assertThat(client.ask(node.pod().traffic(), clusterIp(client))).isEqualTo(server);
            assertThat((Long) node.entries("affinity").getFirst().get("last_used_ns"))
                    .isGreaterThan(before + 60_000_000_000L);
        }
    }

    @ParameterizedTest
    @EnumSource
    void afterTheTimeout_theChoiceIsNew(Client client) {
        put(client, all(client));
        Set<String> servers = new HashSet<>();
        for (int i = 0; i < ENOUGH; i++) {
            servers.add(client.ask(node.pod().traffic(), clusterIp(client)));
            age(SECONDS + 1);
        }
        assertThat(servers).hasSizeGreaterThan(1);
    }

    @ParameterizedTest
    @EnumSource
    void aBackendThatLeaves_orDrains_isForgotten(Client client) {
        put(client, all(client));
        Traffic traffic = node.pod().traffic();
        for (Backend.State[] rest : List.of(new Backend.State[] {}, new Backend.State[] {Backend.State.DRAINING})) {
            String first = client.ask(traffic, clusterIp(client));
            put(client, without(client, first, rest));

            Set<String> second = ask(client, traffic, clusterIp(client), ENOUGH);
            assertThat(second).hasSize(1).doesNotContain(first);

            put(client, all(client));
            assertThat(ask(client, traffic, clusterIp(client), ENOUGH)).isEqualTo(second);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aHit_neverLeavesTheReach(Client client) {
        List<Backend> backends = new ArrayList<>(backends(client, Backend.State.CLUSTER, 1, 2));
        backends.addAll(backends(client, Backend.State.BOTH, 3));
        node.put(service(
                client,
                Map.of(clusterIp(client), inside(Reach.CLUSTER), external(client), inside(Reach.LOCAL)),
                backends,
                SECONDS));
        Traffic traffic = node.pod().traffic();
        for (int i = 0; i < ENOUGH; i++) {
            client.ask(traffic, clusterIp(client));
            assertThat(client.ask(traffic, external(client))).isEqualTo("b3");
            assertThat(client.ask(traffic, clusterIp(client))).isEqualTo("b3");
            age(SECONDS + 1);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6", "UDP_MAPPED"})
    void aSocketsOwnConversation_comesFirst(Client client) {
        put(client, all(client));
        Traffic traffic = node.pod().traffic();
        Peer at = new Peer(clusterIp(client).address().toString(), 80);
        try (Socket socket = client.socket(traffic)) {
            String first = client.ask(socket, at);
            put(client, without(client, first, Backend.State.DRAINING));

            assertThat(ask(client, traffic, clusterIp(client), ENOUGH))
                    .hasSize(1)
                    .doesNotContain(first);
            assertThat(client.ask(socket, at)).isEqualTo(first);
        }
    }

    /** Two addresses of one service on one socket: to tell the replies apart comes first. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6", "UDP_MAPPED"})
    void oneSocketThatAsksTwoAddresses_hearsBoth(Client client) {
        put(client, all(client));
        Traffic traffic = node.pod().traffic();
        try (Socket socket = client.socket(traffic)) {
            String first =
                    client.ask(socket, new Peer(clusterIp(client).address().toString(), 80));
            String second =
                    client.ask(socket, new Peer(external(client).address().toString(), 8080));
            assertThat(second).isNotEqualTo(first);
        }
        assertThat(ask(client, traffic, clusterIp(client), ENOUGH)).hasSize(1);
    }
}
