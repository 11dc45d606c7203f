package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Node.NodePod;
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

/** Links on the way that let less through than those at both ends: whoever sends is told by ICMP, through the service address. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class PathMtuTest {
    private static final int BYTES = 4 << 20;
    private static final int POD_MTU = 1300;

    private static TwoNodes nodes;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) {
        nodes = TwoNodes.serving(between, ECHO);
        narrow(nodes.first().node().namespace(), nodes.near());
        narrow(nodes.second().node().namespace(), nodes.far());
    }

    @AfterParameterizedClassInvocation
    static void stop() {
        nodes.close();
    }

    /** The pod's link lets less through than the pod says that it takes. */
    private static void narrow(Namespace node, NodePod pod) {
        node.ip("link", "set", "veth2", "mtu", String.valueOf(POD_MTU));
        pod.namespace().ip("link", "set", "eth0", "mtu", String.valueOf(POD_MTU));
        for (String gateway :
                new String[] {pod.v4().replaceAll("2$", "1"), pod.v6().replaceAll("2$", "1")}) {
            pod.namespace().ip("route", "change", "default", "via", gateway, "advmss", "1440");
        }
    }

    static Stream<Arguments> everyPod() {
        return TwoNodes.byTcp(Place.NEAR, Place.FAR);
    }

    @ParameterizedTest
    @MethodSource("everyPod")
    void narrowAtThePod_theClientIsTold(Client client, Place place) {
        transfer(nodes.outside().traffic(), client, Door.NODE_PORT, place);
    }

    static Stream<Arguments> everyPlace() {
        return TwoNodes.byTcp(Place.values());
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void narrowBeforeTheClient_theBackendIsTold(Client client, Place place) {
        transfer(nodes.beyond().traffic(), client, Door.NODE_PORT, place);
    }

    @ParameterizedTest
    @MethodSource("everyPlace")
    void narrowBeforeTheClient_theBackendIsToldThroughAnExternalIp(Client client, Place place) {
        transfer(nodes.beyond().traffic(), client, Door.EXTERNAL_IP, place);
    }

    private static void transfer(Traffic traffic, Client client, Door door, Place place) {
        TwoNodes.transfer(traffic, client, door, place, BYTES);
    }
}
