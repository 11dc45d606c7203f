package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.ECHO;
import static io.shunt.datapath.TwoNodes.portOf;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.net.Protocol;
import io.shunt.table.Reach;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * kube-proxy has left its rules, which nobody took away, and there are connections by them. Rules of its shape
 * (pkg/proxy/iptables/proxier.go, pkg/proxy/nftables/proxier.go); without comments.
 */
@Tag("kernel")
@ParameterizedClass
@EnumSource
class FirstInstallTest {
    private static final List<Client> CLIENTS =
            List.of(Client.TCP4, Client.TCP6, Client.UDP4_CONNECTED, Client.UDP6_CONNECTED);

    /** The CNI's policy lets no node forward to another. */
    private static final List<Place> PLACES = List.of(Place.NEAR, Place.FAR, Place.NODE);

    private enum Mode {
        IPTABLES,
        NFTABLES
    }

    @Parameter
    private Between between;

    @TempDir
    private Path directory;

    private void writeIptables(TwoNodes nodes, Client family) throws IOException {
        StringBuilder rules = new StringBuilder("""
                *filter
                :KUBE-FORWARD - [0:0]
                -A FORWARD -j KUBE-FORWARD
                -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
                -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
                -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
                COMMIT
                *nat
                :KUBE-SERVICES - [0:0]
                :KUBE-NODEPORTS - [0:0]
                :KUBE-POSTROUTING - [0:0]
                :KUBE-MARK-MASQ - [0:0]
                -A PREROUTING -j KUBE-SERVICES
                -A OUTPUT -j KUBE-SERVICES
                -A POSTROUTING -j KUBE-POSTROUTING
                -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
                -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
                -A KUBE-POSTROUTING -j MASQUERADE --random-fully
                -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
                """);
        for (Place place : PLACES) {
            for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
                String name = protocol + "-" + place;
                String address = place.address(family);
                String transport = protocol.name().toLowerCase(Locale.ROOT);
                rules.append("""
                        :KUBE-EXT-%1$s - [0:0]
                        :KUBE-SVC-%1$s - [0:0]
                        :KUBE-SEP-%1$s - [0:0]
                        -A KUBE-SERVICES -d %2$s -p %3$s -m %3$s --dport %4$d -j KUBE-SVC-%1$s
                        -A KUBE-NODEPORTS -p %3$s -m %3$s --dport %4$d -j KUBE-EXT-%1$s
                        -A KUBE-EXT-%1$s -j KUBE-MARK-MASQ
                        -A KUBE-EXT-%1$s -j KUBE-SVC-%1$s
                        -A KUBE-SVC-%1$s -j KUBE-SEP-%1$s
                        -A KUBE-SEP-%1$s -s %5$s -j KUBE-MARK-MASQ
                        -A KUBE-SEP-%1$s -p %3$s -m %3$s -j DNAT --to-destination %6$s:%7$d
                        """.formatted(
                                name,
                                Door.CLUSTER_IP.at(family, 0).address(),
                                transport,
                                portOf(place),
                                address,
                                family.either(address, "[" + address + "]"),
                                ECHO));
            }
        }
        rules.append("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\nCOMMIT\n");
        Path file = Files.writeString(directory.resolve(family.either("rules4", "rules6")), rules);
        nodes.first()
                .node()
                .namespace()
                .run(family.either("iptables-restore", "ip6tables-restore"), "--noflush", file.toString());
    }

    private void writeNftables(TwoNodes nodes, Client family) throws IOException {
        String ip = family.either("ip", "ip6");
        StringBuilder chains = new StringBuilder();
        List<String> clusterIps = new ArrayList<>();
        List<String> nodePorts = new ArrayList<>();
        for (Place place : PLACES) {
            for (Protocol protocol : List.of(Protocol.TCP, Protocol.UDP)) {
                String name = protocol + "-" + place;
                String address = place.address(family);
                String transport = protocol.name().toLowerCase(Locale.ROOT);
                clusterIps.add("%s . %s . %d : goto service-%s"
                        .formatted(Door.CLUSTER_IP.at(family, 0).address(), transport, portOf(place), name));
                nodePorts.add("%s . %d : goto external-%s".formatted(transport, portOf(place), name));
                chains.append(
                        """
                        chain endpoint-%1$s {
                          %2$s saddr %3$s jump mark-for-masquerade
                          meta l4proto %4$s dnat to %5$s:%6$d
                        }
                        chain service-%1$s { numgen random mod 1 vmap { 0 : goto endpoint-%1$s }; }
                        chain external-%1$s {
                          jump mark-for-masquerade
                          goto service-%1$s
                        }
                        """.formatted(name, ip, address, transport, family.either(address, "[" + address + "]"), ECHO));
            }
        }
        String rules = """
                table %1$s kube-proxy {
                  %2$s
                  map service-ips {
                    type %3$s . inet_proto . inet_service : verdict
                    elements = { %4$s }
                  }
                  map service-nodeports {
                    type inet_proto . inet_service : verdict
                    elements = { %5$s }
                  }
                  set nodeport-ips {
                    type %3$s
                    elements = { %6$s }
                  }
                  chain mark-for-masquerade { mark set mark or 0x4000; }
                  chain masquerading {
                    mark and 0x4000 == 0 return
                    mark set mark xor 0x4000
                    masquerade fully-random
                  }
                  chain services {
                    %1$s daddr . meta l4proto . th dport vmap @service-ips
                    %1$s daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
                  }
                  chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
                  chain nat-output { type nat hook output priority -100; jump services; }
                  chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
                }
                """.formatted(
                        ip,
                        chains,
                        family.either("ipv4_addr", "ipv6_addr"),
                        String.join(", ", clusterIps),
                        String.join(", ", nodePorts),
                        Door.NODE_PORT.at(family, 0).address());
        Path file = Files.writeString(directory.resolve(ip), rules);
        nodes.first().node().namespace().run("nft", "-f", file.toString());
    }

    @ParameterizedTest
    @EnumSource
    void connectionsByItsRulesGoOn_andNewOnesComeToUs(Mode mode) throws IOException {
        try (TwoNodes nodes = new TwoNodes(between)) {
            for (Client family : List.of(Client.TCP4, Client.TCP6)) {
                if (mode == Mode.IPTABLES) {
                    writeIptables(nodes, family);
                } else {
                    writeNftables(nodes, family);
                }
            }
            List<Socket> streams = converse(nodes, Client.TCP4, Client.TCP6);
            List<Socket> datagrams = converse(nodes, Client.UDP4_CONNECTED, Client.UDP6_CONNECTED);
            nodes.first().install();
            for (Client client : CLIENTS) {
                for (Place place : PLACES) {
                    nodes.first()
                            .put(TwoNodes.service(
                                    client, portOf(place), Reach.CLUSTER, TwoNodes.backends(client, ECHO, place)));
                }
            }
            streams.forEach(socket -> socket.transfer(100_000));
            assertThat(nodes.first().connections()).isZero();
            datagrams.forEach(socket -> socket.transfer(1_000));
            converse(nodes, Client.TCP4, Client.TCP6);
            // By UDP what went on is not told from what begins.
            assertThat(nodes.first().connections()).isEqualTo(datagrams.size() + streams.size());
            streams.forEach(socket -> socket.transfer(100_000));
        }
    }

    /** One conversation with each place by a node port, and with each pod from another by a cluster IP. */
    private static List<Socket> converse(TwoNodes nodes, Client... clients) {
        List<Socket> sockets = new ArrayList<>();
        for (Client client : clients) {
            for (Place place : PLACES) {
                sockets.add(converse(nodes.outside().traffic(), client, Door.NODE_PORT.at(client, portOf(place))));
            }
            for (Place place : List.of(Place.NEAR, Place.FAR)) {
                sockets.add(converse(nodes.sandboxed().traffic(), client, Door.CLUSTER_IP.at(client, portOf(place))));
            }
        }
        return sockets;
    }

    private static Socket converse(Traffic traffic, Client client, Peer door) {
        Socket socket = client.socket(traffic);
        socket.connect(door);
        socket.transfer(1_000);
        return socket;
    }
}
