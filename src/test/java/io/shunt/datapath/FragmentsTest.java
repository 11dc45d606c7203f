package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Traffic.Socket;
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

/** Datagrams that are larger than any packet, both ways. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class FragmentsTest {
    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = TwoNodes.serving(between, ECHO);
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    static Stream<Arguments> everyPlaceAndSize() {
        return Stream.of(Client.UDP4_CONNECTED, Client.UDP6_CONNECTED)
                .flatMap(client -> Stream.of(Place.values())
                        .flatMap(place ->
                                Stream.of(3_000, 9_000, 60_000).map(size -> Arguments.of(client, place, size))));
    }

    @ParameterizedTest
    @MethodSource("everyPlaceAndSize")
    void allOfThem_goTheWayOfTheFirst(Client client, Place place, int size) {
        try (Socket socket = client.socket(nodes.outside().traffic())) {
            socket.connect(Door.NODE_PORT.at(client, portOf(place)));
            // Of a tunnel on the way the client knows when it has been told once.
            await().ignoreExceptionsMatching(e -> e instanceof CallFailedException failed
                            && failed.errno().equals("EMSGSIZE"))
                    .untilAsserted(() -> socket.transfer(size));
        }
    }
}
