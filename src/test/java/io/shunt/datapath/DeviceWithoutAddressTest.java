package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Reach;
import io.shunt.testbed.Namespace;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The node's addresses stand on loopback, as where it announces them itself, and its device to the network has none. */
@Tag("kernel")
class DeviceWithoutAddressTest {
    private static TwoNodes nodes;

    @BeforeAll
    static void start() {
        nodes = new TwoNodes(Between.ROUTES);
        Namespace first = nodes.first().node().namespace();
        first.ip("address", "flush", "dev", "eth0", "scope", "global");
        first.address("lo", "192.168.7.1/32");
        first.address("lo", "fd07::1/128");
        first.ip("route", "add", "192.168.7.0/24", "dev", "eth0");
        first.ip("route", "add", "fd07::/64", "dev", "eth0");
        for (String range : List.of("default", "10.2.0.0/24")) {
            first.ip("route", "replace", range, "via", range.equals("default") ? "192.168.7.254" : "192.168.7.2");
        }
        for (String range : List.of("default", "fd00:2::/64")) {
            first.ip("-6", "route", "replace", range, "via", range.equals("default") ? "fd07::fe" : "fd07::2");
        }
        // Neighbours are told of a device's own addresses only.
        String hardware =
                first.run("ip", "-brief", "link", "show", "eth0").getFirst().split("\\s+")[2];
        for (Namespace each :
                List.of(nodes.outside().namespace(), nodes.second().node().namespace())) {
            each.ip("neighbour", "replace", "fd07::1", "lladdr", hardware, "dev", "eth0");
        }
    }

    @AfterAll
    static void stop() {
        nodes.close();
    }

    static Stream<Arguments> everyPlace() {
        return Stream.of(true, false)
                .flatMap(tellsSource -> TwoNodes.CLIENTS.stream()
                        .flatMap(client -> Stream.of(Place.NEAR, Place.FAR, Place.OTHER_NODE)
                                .map(place -> Arguments.of(tellsSource, client, place))));
    }

    /** With a kernel that tells from where to speak, and as with an older one. */
    @ParameterizedTest
    @MethodSource("everyPlace")
    void theNodeSpeaksFromAnAddressThatItHasElsewhere(boolean tellsSource, Client client, Place place) {
        nodes.first().install(Ground.SIZES, new PacketSettings(1024, 28_976, false, true, List.of(), tellsSource));
        int port = TwoNodes.portOf(place);
        nodes.first()
                .put(TwoNodes.service(client, port, Reach.CLUSTER, TwoNodes.backends(client, TwoNodes.SERVER, place)));
        String answer = client.ask(nodes.outside().traffic(), Door.EXTERNAL_IP.at(client, port));
        if (place == Place.NEAR) {
            assertThat(answer).isEqualTo(place + "@" + client.either("10.1.0.1", "fd00:1::1"));
        } else {
            assertThat(answer).startsWith(place + "@").doesNotEndWith(client.either("192.168.7.9", "fd07::9"));
        }
    }
}
