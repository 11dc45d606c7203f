package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.SERVER;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.AfterParameterizedClassInvocation;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Programs on both nodes: what one of them has translated goes through those of the other untouched. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class BothNodesTest {
    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = new TwoNodes(between);
        nodes.first().install();
        nodes.second().install();
        for (Client client : TwoNodes.CLIENTS) {
            for (Place place : Place.values()) {
                List<Backend> backends = TwoNodes.backends(client, SERVER, place);
                nodes.first().put(TwoNodes.service(client, portOf(place), Reach.CLUSTER, backends));
                nodes.second()
                        .put(TwoNodes.service(client, portOf(place), Reach.CLUSTER, TwoNodes.seenFromSecond(backends)));
            }
        }
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    static Stream<Arguments> everyPlace() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void anyNode_leadsToEveryPlace(Client client, Place place) {
        for (Peer door : List.of(
                Door.NODE_PORT.at(client, portOf(place)),
                new Peer(client.either("192.168.7.2", "fd07::2"), portOf(place)),
                Door.EXTERNAL_IP.at(client, portOf(place)))) {
            assertThat(client.ask(nodes.outside().traffic(), door)).startsWith(place + "@");
        }
    }

    @ParameterizedTest
    @MethodSource("everyPod")
    void podsOfBothNodes_reachPodsOfBoth(Client client, Place place) {
        for (Traffic pod : List.of(
                nodes.near().traffic(), nodes.sandboxed().traffic(), nodes.far().traffic())) {
            for (Peer door : List.of(
                    Door.CLUSTER_IP.at(client, portOf(place)),
                    Door.NODE_PORT.at(client, portOf(place)),
                    new Peer(client.either("192.168.7.2", "fd07::2"), portOf(place)))) {
                assertThat(client.ask(pod, door)).startsWith(place + "@");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("everyPod")
    void theNodesThemselves_reachPodsOfBoth(Client client, Place place) {
        for (Traffic node :
                List.of(nodes.first().node().traffic(), nodes.second().node().traffic())) {
            assertThat(client.ask(node, Door.CLUSTER_IP.at(client, portOf(place))))
                    .startsWith(place + "@");
        }
    }

    static Stream<Arguments> everyPod() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Place.NEAR, Place.FAR).map(place -> Arguments.of(client, place)));
    }
}
