package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.net.Prefix;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Who may come in by a load balancer's address: decided at the socket where that knows its own address. */
@Tag("kernel")
class SourceRangesTest {
    private static NodeFixture node;

    @BeforeAll
    static void start() {
        node = new NodeFixture();
    }

    @AfterAll
    static void stop() {
        node.close();
    }

    private static Frontend loadBalancer(Client client) {
        return client.frontend("203.0.113.1", "fd00:113::1", 80);
    }

    private static Frontend clusterIp(Client client) {
        return client.frontend("10.96.0.1", "fd00:96::1", 80);
    }

    private static int put(Client client, String... ranges) {
        Access access = new Access(Reach.CLUSTER, Reach.CLUSTER, ranges.length > 0, true);
        return node.put(new VirtualService(
                "web",
                Map.of(loadBalancer(client), access, clusterIp(client), Access.OPEN),
                NodeFixture.backends(client, Backend.State.CLUSTER, 1, 2, 3),
                Stream.of(ranges)
                        .map(range -> Prefix.parse(range).orElseThrow())
                        .toList(),
                0));
    }

    private static String askFrom(Client client, String v4, String v6, Frontend frontend) {
        try (Socket socket = client.socket(node.pod().traffic())) {
            socket.bind(client.named(new Peer(client.either(v4, v6), 0)).address(), 0);
            return client.ask(socket, new Peer(frontend.address().toString(), frontend.port()));
        }
    }

    private static long refused(int serviceId) {
        return node.installation().counters().get(serviceId).refused();
    }

    @ParameterizedTest
    @EnumSource
    void aKnownSource_isLetInOrRefused_andAnUnknownLeftToThePacketPath(Client client) {
        int id = put(client, "10.0.0.64/27", "fd00::40/123", "198.51.100.0/24");
        long before = refused(id);

        assertThat(askFrom(client, "10.0.0.65", "fd00::41", loadBalancer(client)))
                .matches("b[123]");
        assertFails("ECONNREFUSED", () -> askFrom(client, "10.0.0.96", "fd00::60", loadBalancer(client)));
        assertThat(refused(id) - before).isEqualTo(1);
        assertFails("ENETUNREACH", () -> client.ask(node.pod().traffic(), loadBalancer(client)));
        assertThat(refused(id) - before).isEqualTo(1);
        assertThat(client.ask(node.pod().traffic(), clusterIp(client))).matches("b[123]");
        assertThat(askFrom(client, "10.0.0.96", "fd00::60", clusterIp(client))).matches("b[123]");
    }

    @ParameterizedTest
    @EnumSource
    void anotherServicesRanges_openNothing(Client client) {
        put(client, client.either("10.0.0.64/27", "fd00::40/123"));
        Access restricted = new Access(Reach.CLUSTER, Reach.CLUSTER, true, true);
        Frontend other = client.frontend("203.0.113.2", "fd00:113::2", 80);
        node.put(new VirtualService(
                "other",
                Map.of(other, restricted),
                NodeFixture.backends(client, Backend.State.CLUSTER, 1),
                List.of(Prefix.parse(client.either("10.0.0.96/27", "fd00::60/123"))
                        .orElseThrow()),
                0));

        assertThat(askFrom(client, "10.0.0.96", "fd00::60", other)).isEqualTo("b1");
        assertFails("ECONNREFUSED", () -> askFrom(client, "10.0.0.65", "fd00::41", other));
    }

    @ParameterizedTest
    @EnumSource
    void restrictedWithoutAnyRange_letsNobodyIn(Client client) {
        Frontend shut = client.frontend("203.0.113.3", "fd00:113::3", 80);
        node.put(new VirtualService(
                "shut",
                Map.of(shut, new Access(Reach.CLUSTER, Reach.CLUSTER, true, true)),
                NodeFixture.backends(client, Backend.State.CLUSTER, 1),
                List.of(),
                0));

        assertFails("ECONNREFUSED", () -> askFrom(client, "10.0.0.65", "fd00::41", shut));
    }

    @ParameterizedTest
    @EnumSource
    void otherRanges_andNone_countAtOnce(Client client) {
        put(client, client.either("10.0.0.64/27", "fd00::40/123"));
        put(client, client.either("10.0.0.96/27", "fd00::60/123"));
        assertFails("ECONNREFUSED", () -> askFrom(client, "10.0.0.65", "fd00::41", loadBalancer(client)));
        assertThat(askFrom(client, "10.0.0.96", "fd00::60", loadBalancer(client)))
                .matches("b[123]");

        put(client);
        assertThat(askFrom(client, "10.0.0.65", "fd00::41", loadBalancer(client)))
                .matches("b[123]");
        assertThat(client.ask(node.pod().traffic(), loadBalancer(client))).matches("b[123]");
    }
}
