package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static io.shunt.datapath.TwoNodes.SERVER;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.table.Reach;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** First packets that nobody means, from everywhere, in the way of a service. */
@Tag("kernel")
class SynFloodTest {
    private static final int FLOODED = 30080;
    private static final int BESIDE = 30081;
    private static final int SYNS = 60_000;
    /** Fewer than a flood can hold on to: on a small node that is 16,384, an entry for each. */
    private static final PacketSettings FEW_PORTS = new PacketSettings(1024, 8_000, false, true, List.of(), true);

    private static final int NO_PORT = 4;

    private TwoNodes nodes;
    private Traffic attacker;

    @BeforeEach
    void start() {
        nodes = new TwoNodes(Between.ROUTES);
        attacker = Traffic.start(nodes.outside().cgroup(), nodes.outside().namespace());
        // A device that gets no processor time drops good first packets with the others.
        nodes.outside().namespace().run("sysctl", "-qw", "net.ipv4.tcp_syn_retries=4");
    }

    @AfterEach
    void stop() {
        attacker.close();
        nodes.close();
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void aFloodThatTakesAllPorts_stopsNobodyWhoIsEstablishedOrElsewhere_andNewOnesForAWhile(Client client) {
        nodes.first().install(Ground.SIZES, FEW_PORTS);
        putServices(client);
        Traffic good = nodes.outside().traffic();
        try (Socket established = client.socket(good)) {
            established.connect(Door.NODE_PORT.at(client, FLOODED));
            established.transfer(1);
            CompletableFuture<Void> flood =
                    CompletableFuture.runAsync(() -> attacker.flood(Door.NODE_PORT.at(client, FLOODED), SYNS));
            do {
                established.transfer(10_000);
            } while (!flood.isDone());
            flood.join();
            assertThat(nodes.first().drops(NO_PORT)).isPositive();
            assertThat(client.ask(good, Door.NODE_PORT.at(client, BESIDE))).startsWith("NEAR@");
            established.transfer(10_000);
        }
        // Ports that were promised to nobody are free again soon.
        await().ignoreExceptions().untilAsserted(() -> {
            try (Socket next = client.socket(good)) {
                next.connect(Door.NODE_PORT.at(client, FLOODED));
                next.transfer(1);
            }
        });
    }

    /** What it takes it gives back to the next: with more ports than it can hold on to nobody is refused. */
    @ParameterizedTest
    @EnumSource(names = {"TCP4", "TCP6"})
    void aFloodBesideAllPorts_stopsNoNewOnesEither(Client client) {
        nodes.first().install();
        putServices(client);
        Traffic good = nodes.outside().traffic();
        CompletableFuture<Void> flood =
                CompletableFuture.runAsync(() -> attacker.flood(Door.NODE_PORT.at(client, FLOODED), SYNS));
        do {
            assertThat(client.ask(good, Door.NODE_PORT.at(client, BESIDE))).startsWith("NEAR@");
        } while (!flood.isDone());
        flood.join();
        assertThat(nodes.first().drops(NO_PORT)).isZero();
    }

    private void putServices(Client client) {
        nodes.first()
                .put(TwoNodes.service(client, FLOODED, Reach.CLUSTER, TwoNodes.backends(client, ECHO, Place.NEAR)));
        nodes.first().put(TwoNodes.service(client, BESIDE, Reach.LOCAL, TwoNodes.backends(client, SERVER, Place.NEAR)));
    }
}
