package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import io.shunt.snapshot.Status.StaleSocketsView;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Kind;
import io.shunt.testbed.Traffic.Socket;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Clients that are connected to a backend when it leaves. */
@Tag("kernel")
@Tag("process")
class StaleClientsTest {
    private static final String VIP = "10.96.0.10";

    private Site site;
    private List<NodePod> servers;

    @BeforeEach
    void prepare() {
        site = new Site();
        servers = site.servers(2);
        serveFrom(servers.getFirst());
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private void serveFrom(NodePod server) {
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "dns 53 UDP", "http 80 TCP"),
                Manifest.slice(
                        "web", "IPv4", List.of(server.v4()), "dns " + Site.DNS + " UDP", "http " + Site.HTTP + " TCP"));
    }

    private static Socket connected(Traffic traffic) {
        Socket socket = traffic.socket(Kind.UDP4);
        socket.connect(VIP, 53);
        assertThat(exchange(socket)).isEqualTo("web-0");
        return socket;
    }

    private static String exchange(Socket socket) {
        socket.send("?");
        return socket.receive();
    }

    @Test
    void theyAreTold_andConnectAgain_inPodsAndOnTheHost() {
        DaemonProcess daemon = site.start().awaitReady();
        List<Socket> clients = new ArrayList<>();
        clients.add(connected(site.node().traffic()));
        clients.add(connected(site.node().pod("client").traffic()));
        clients.add(connected(servers.getFirst().traffic()));
        assertThat(daemon.status().staleSockets()).isEqualTo(new StaleSocketsView("on for UDP", 0, 0));

        serveFrom(servers.getLast());
        await().untilAsserted(() -> assertThat(daemon.status().staleSockets())
                .isEqualTo(new StaleSocketsView("on for UDP", clients.size(), 0)));
        for (Socket client : clients) {
            assertEnded(client);
            client.connect(VIP, 53);
            assertThat(exchange(client)).isEqualTo("web-1");
        }
        assertThat(daemon.metric("shunt_stale_sockets_ended_total{protocol=\"UDP\"}"))
                .isEqualTo(clients.size());
    }

    @Test
    void tcpClientsToo_ifAskedFor() {
        Socket client = site.node().pod("client").traffic().socket(Kind.TCP4);
        for (boolean asked : List.of(false, true)) {
            serveFrom(servers.getFirst());
            DaemonProcess daemon = site.start("--end-stale-tcp=" + asked).awaitReady();
            if (!asked) {
                client.connect(VIP, 80);
            }
            // Whatever else is to be ended is so when this is.
            Socket datagrams = connected(site.node().traffic());
            serveFrom(servers.getLast());
            await().untilAsserted(() -> assertThat(daemon.status().staleSockets())
                    .isEqualTo(new StaleSocketsView("on for UDP" + (asked ? " and TCP" : ""), 1, asked ? 1 : 0)));
            assertEnded(datagrams);
            if (asked) {
                assertEnded(client);
            } else {
                assertThat(client.peerName()).hasToString(VIP + " 80");
            }
            daemon.terminate();
        }
    }

    private static void assertEnded(Socket socket) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(socket::receive)
                .extracting(CallFailedException::errno)
                .isEqualTo("ECONNABORTED");
    }

    @Test
    void withoutTheRightToEnterTheirNamespaces_theyAreLeftAlone_andItSaysSo() {
        Launcher launcher =
                Launcher.plain().under("setpriv", "--bounding-set=-all,+bpf,+net_admin,+perfmon", "--inh-caps=-all");
        DaemonProcess daemon = site.start(launcher, "file:" + site.manifests()).awaitReady();
        Socket client = connected(site.node().pod("client").traffic());

        serveFrom(servers.getLast());
        await().untilAsserted(() ->
                assertThat(site.table().toString()).contains(servers.getLast().v4()));
        assertThat(daemon.status().healthy()).as(daemon.log()).isTrue();
        assertThat(daemon.status().staleSockets())
                .isEqualTo(new StaleSocketsView(
                        "off: entering network namespaces needs CAP_SYS_ADMIN and CAP_SYS_PTRACE", 0, 0));
        assertThat(daemon.log().lines().filter(line -> line.contains("CAP_SYS_PTRACE")))
                .hasSize(1);
        assertThat(exchange(client)).isEqualTo("web-0");
    }
}
