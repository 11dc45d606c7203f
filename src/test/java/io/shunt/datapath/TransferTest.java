package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.testbed.Traffic;
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

/** Large transfers both ways at once, as the kernel hands them on: in segments far larger than the wire's packets. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class TransferTest {
    private static final int BYTES = 32 << 20;

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

    static Stream<Arguments> everyPlace() {
        return TwoNodes.byTcp(Place.values());
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void fromOutside_allBytesArriveAsTheyWere(Client client, Place place) {
        transfer(nodes.outside().traffic(), client, Door.NODE_PORT, place);
    }

    static Stream<Arguments> everyPod() {
        return TwoNodes.byTcp(Place.NEAR, Place.FAR);
    }

    @ParameterizedTest
    @MethodSource("everyPod")
    void fromASandboxedPod_allBytesArriveAsTheyWere(Client client, Place place) {
        transfer(nodes.sandboxed().traffic(), client, Door.CLUSTER_IP, place);
    }

    @ParameterizedTest
    @MethodSource("everyPod")
    void fromTheNode_allBytesArriveAsTheyWere(Client client, Place place) {
        transfer(nodes.first().node().traffic(), client, Door.CLUSTER_IP, place);
    }

    private static void transfer(Traffic traffic, Client client, Door door, Place place) {
        TwoNodes.transfer(traffic, client, door, place, BYTES);
    }
}
