package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Reach;
import io.shunt.testbed.Load;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Many connections by few ports. With the 120 s that netfilter keeps them in TIME_WAIT these would last for as many. */
@Tag("kernel")
class PortReuseTest {
    private static final int PORT = 30080;
    private static final int NO_PORT = 4;
    private static final Client CLIENT = Client.TCP4;

    @Test
    void aPort_isFreeAtOnceWhenItsConnectionHasClosed() {
        try (TwoNodes nodes = new TwoNodes(Between.ROUTES)) {
            nodes.first().install(Ground.SIZES, new PacketSettings(40_000, 8, false, true, List.of(), true));
            nodes.first()
                    .put(TwoNodes.service(CLIENT, PORT, Reach.CLUSTER, TwoNodes.backends(CLIENT, ECHO, Place.NEAR)));
            Peer service = Door.NODE_PORT.at(CLIENT, PORT);
            for (int i = 0; i < 500; i++) {
                try (Socket socket = CLIENT.socket(nodes.outside().traffic())) {
                    socket.connect(service);
                    socket.transfer(1);
                }
            }
            // These are reset.
            Load load = nodes.outside().traffic().load(Load.Kind.CONNECT, service.address(), service.port(), 4_000, 1);
            assertThat(load.outcomes()).containsOnlyKeys("ok");
            // One that meets the backend's old socket before that has heard the last acknowledgement begins twice.
            assertThat(nodes.first().connections()).isGreaterThanOrEqualTo(4_500);
            assertThat(nodes.first().drops(NO_PORT)).isZero();
        }
    }
}
