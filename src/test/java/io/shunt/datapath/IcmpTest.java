package io.shunt.datapath;

import static io.shunt.datapath.NodeFixture.assertFails;
import static io.shunt.datapath.TwoNodes.portOf;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
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

/** What the way to a backend, or the backend, tells the client by ICMP. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class IcmpTest {
    /** Nobody listens there. */
    private static final int DISCARD = 9;

    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = TwoNodes.serving(between, DISCARD);
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    static Stream<Arguments> everyPlace() {
        return Stream.of(Client.UDP4_CONNECTED, Client.UDP6_CONNECTED)
                .flatMap(client -> Stream.of(Place.values()).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void aPortWhereNobodyListens_refusesTheClient(Client client, Place place) {
        assertFails("ECONNREFUSED", () -> {
            try (Socket socket = client.socket(nodes.outside().traffic())) {
                socket.connect(Door.NODE_PORT.at(client, portOf(place)));
                socket.send("hello");
                socket.receive();
            }
        });
    }

    static Stream<Arguments> everyPlaceElsewhere() {
        return Stream.of(Client.UDP4_CONNECTED, Client.UDP6_CONNECTED)
                .flatMap(client ->
                        Stream.of(Place.NEAR, Place.FAR, Place.OTHER_NODE).map(place -> Arguments.of(client, place)));
    }

    @ParameterizedTest
    @MethodSource("everyPlaceElsewhere")
    void aPacketThatMayGoNoFurther_isReported(Client client, Place place) {
        assertFails("EHOSTUNREACH", () -> {
            try (Socket socket = client.socket(nodes.outside().traffic())) {
                socket.hops(1);
                socket.connect(Door.NODE_PORT.at(client, portOf(place)));
                socket.send("hello");
                socket.receive();
            }
        });
    }
}
