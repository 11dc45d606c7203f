package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.SERVER;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.api.Json;
import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.net.IpFamily;
import io.shunt.table.Reach;
import io.shunt.testbed.Peer;
import java.io.IOException;
import java.util.ArrayList;
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
import tools.jackson.databind.JsonNode;

/** Clients that people know, on the outside machine: curl and iperf3. */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class KnownClientsTest {
    private static final int IPERF = 5201;
    private static final int IPERF_PORT = 30_200;
    private static final long TCP_BYTES = 64 << 20;
    /** So few that they find room with a receiver that gets no processor time. */
    private static final long UDP_BYTES = 100_000;

    private static final List<String> UDP = List.of("--udp", "--bitrate", "1M", "--length", "1200");

    private static TwoNodes nodes;
    private static Process server;

    @Parameter
    private Between between;

    @BeforeParameterizedClassInvocation
    static void start(Between between) throws IOException {
        nodes = TwoNodes.serving(between, SERVER);
        for (Client client : TwoNodes.CLIENTS) {
            nodes.first()
                    .put(TwoNodes.service(
                            client, IPERF_PORT, Reach.CLUSTER, TwoNodes.backends(client, IPERF, Place.FAR)));
        }
        server = new ProcessBuilder(
                        "nsenter", "--net=" + nodes.far().namespace().path(), "iperf3", "--server")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        await("iperf3 to listen")
                .until(() -> !nodes.far()
                        .namespace()
                        .run("ss", "-Hltn", "sport = :" + IPERF)
                        .isEmpty());
    }

    @AfterParameterizedClassInvocation
    static void stop() throws InterruptedException {
        server.destroy();
        server.waitFor();
        nodes.close();
    }

    static Stream<Arguments> everyWay() {
        return Stream.of(Client.TCP4, Client.TCP6)
                .flatMap(client -> Stream.of(Door.NODE_PORT, Door.LOAD_BALANCER)
                        .flatMap(door -> Stream.of(Place.values()).map(place -> Arguments.of(client, door, place))));
    }

    @ParameterizedTest
    @MethodSource("everyWay")
    void curl_fetchesAPage(Client client, Door door, Place place) {
        Peer service = door.at(client, portOf(place));
        String url = "http://" + client.either(service.address(), "[" + service.address() + "]") + ":" + service.port();
        assertThat(nodes.outside()
                        .namespace()
                        .run("curl", "--silent", "--show-error", "--fail", "--globoff", "--noproxy", "*", url))
                .singleElement()
                .asString()
                .startsWith(place + "@");
    }

    @ParameterizedTest
    @EnumSource
    void iperf3_sendsAndFetchesByTcp(IpFamily family) {
        for (List<String> flags : List.of(List.<String>of(), List.of("--reverse"))) {
            JsonNode end = iperf3(family, TCP_BYTES, flags).get("end");
            // What is under way when the last byte has been written may not be counted any more.
            assertThat(end.get("sum_received").get("bytes").asLong()).isGreaterThan(TCP_BYTES / 2);
        }
    }

    @ParameterizedTest
    @EnumSource
    void iperf3_sendsAndFetchesByUdp(IpFamily family) {
        for (List<String> flags : List.of(List.<String>of(), List.of("--reverse"))) {
            List<String> udp = new ArrayList<>(UDP);
            udp.addAll(flags);
            JsonNode sum = iperf3(family, UDP_BYTES, udp).get("end").get("sum");
            assertThat(sum.get("packets").asLong()).isPositive();
            assertThat(sum.get("lost_packets").asLong()).isZero();
        }
    }

    private static JsonNode iperf3(IpFamily family, long bytes, List<String> flags) {
        Peer service = Door.NODE_PORT.at(family == IpFamily.IPV4 ? Client.TCP4 : Client.TCP6, IPERF_PORT);
        List<String> command = new ArrayList<>(List.of(
                "iperf3",
                "--json",
                "--client",
                service.address(),
                "--port",
                String.valueOf(service.port()),
                "--bytes",
                String.valueOf(bytes),
                "--connect-timeout",
                "30000"));
        command.addAll(flags);
        // The server may still be ending the test before.
        return await().ignoreExceptionsMatching(
                        e -> String.valueOf(e.getMessage()).contains("the server is busy"))
                .until(
                        () -> Json.MAPPER.readTree(
                                String.join("\n", nodes.outside().namespace().run(command.toArray(String[]::new)))),
                        result -> true);
    }
}
