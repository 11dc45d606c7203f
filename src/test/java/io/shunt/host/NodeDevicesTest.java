package io.shunt.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.host.NodeDevices.Device;
import io.shunt.host.NodeDevices.Found;
import io.shunt.host.NodeDevices.Role;
import io.shunt.libbpf.Rtnetlink.Link;
import io.shunt.libbpf.Rtnetlink.LinkAddress;
import io.shunt.libbpf.Rtnetlink.Route;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class NodeDevicesTest {

    /** A node's network in words: links in the order of their indexes, from 2 on, behind lo. */
    private static final class Network {
        private final List<Link> links = new ArrayList<>(List.of(new Link(1, "lo", true, true, false, 65536, 0, "")));
        private final List<LinkAddress> addresses = new ArrayList<>();
        private final List<Route> routes = new ArrayList<>();

        Network() {
            address("lo", "127.0.0.1/8", 254, 0);
            address("lo", "192.0.2.99/32");
        }

        Network link(String name, String kind) {
            return link(name, kind, "");
        }

        Network link(String name, String kind, String master) {
            boolean isEthernet = !List.of("ipip", "sit", "wireguard").contains(kind);
            int of = master.isEmpty() ? 0 : index(master);
            links.add(new Link(links.size() + 1, name, true, false, isEthernet, 1500, of, kind));
            return this;
        }

        Network down(String name, String kind) {
            links.add(new Link(links.size() + 1, name, false, false, true, 1500, 0, kind));
            return this;
        }

        Network address(String link, String cidr) {
            return address(link, cidr, LinkAddress.GLOBAL, 0);
        }

        Network address(String link, String cidr, int scope, int flags) {
            String[] parts = cidr.split("/");
            addresses.add(new LinkAddress(index(link), ip(parts[0]), Integer.parseInt(parts[1]), scope, flags));
            return this;
        }

        Network gateway(String... links) {
            return defaultRoute("0.0.0.0", links);
        }

        Network defaultRoute(String family, String... links) {
            List<Integer> out = Stream.of(links).map(this::index).toList();
            routes.add(new Route(ip(family), 0, out, true, 254, Route.UNICAST));
            return this;
        }

        Network route(String cidr, String link) {
            return route(cidr, link, false, Route.UNICAST);
        }

        Network route(String cidr, String link, boolean hasGateway, int type) {
            String[] parts = cidr.split("/");
            routes.add(
                    new Route(ip(parts[0]), Integer.parseInt(parts[1]), List.of(index(link)), hasGateway, 254, type));
            return this;
        }

        int index(String name) {
            return links.stream()
                    .filter(link -> link.name().equals(name))
                    .findFirst()
                    .orElseThrow()
                    .index();
        }

        Found among(NodeDevices devices) {
            return devices.among(links, addresses, routes);
        }

        private static InetAddress ip(String text) {
            try {
                return InetAddress.getByName(text);
            } catch (UnknownHostException e) {
                throw new IllegalArgumentException(e);
            }
        }
    }

    private static Network node() {
        return new Network().link("eth0", "").address("eth0", "192.0.2.1/24").gateway("eth0");
    }

    private static Network bridged() {
        return node().link("cni0", "bridge")
                .address("cni0", "10.1.1.1/24")
                .route("10.1.1.0/24", "cni0")
                .link("veth1", "veth", "cni0")
                .link("veth2", "veth", "cni0");
    }

    private static Network bonded() {
        return new Network()
                .link("bond0", "bond")
                .link("eth0", "", "bond0")
                .link("eth1", "", "bond0")
                .address("bond0", "192.0.2.1/24")
                .gateway("bond0");
    }

    private static Arguments of(String title, Network network, String... expected) {
        return Arguments.of(title, network, List.of(expected));
    }

    static Stream<Arguments> networks() {
        return Stream.of(
                of("a node alone", node(), "eth0 NODE"),
                of(
                        "bridge + host-gw",
                        bridged().route("10.1.2.0/24", "eth0", true, Route.UNICAST),
                        "eth0 NODE",
                        "veth1 PODS",
                        "veth2 PODS"),
                of(
                        "flannel vxlan",
                        bridged()
                                .link("flannel.1", "vxlan")
                                .address("flannel.1", "10.1.1.0/32")
                                .route("10.1.2.0/24", "flannel.1", true, Route.UNICAST),
                        "eth0 NODE",
                        "veth1 PODS",
                        "veth2 PODS",
                        "flannel.1 NODE"),
                of(
                        "kata tap in the bridge of the CNI",
                        bridged().link("tap0", "tun", "cni0"),
                        "eth0 NODE",
                        "veth1 PODS",
                        "veth2 PODS",
                        "tap0 PODS"),
                of(
                        "Calico with IPIP",
                        node().link("cali1", "veth")
                                .route("10.1.1.5/32", "cali1")
                                .link("cali2", "veth")
                                .route("fd00::5/128", "cali2")
                                .link("tunl0", "ipip")
                                .address("tunl0", "10.1.1.0/32")
                                .route("10.1.2.0/26", "tunl0", true, Route.UNICAST),
                        "eth0 NODE",
                        "cali1 PODS",
                        "cali2 PODS",
                        "tunl0 NODE"),
                of(
                        "ptp CNI, whose ends have the gateway's address",
                        node().link("veth1", "veth")
                                .address("veth1", "10.1.1.1/32")
                                .route("10.1.1.2/32", "veth1"),
                        "eth0 NODE",
                        "veth1 PODS"),
                of(
                        "kind: eth0 is a veth with the default route, and a host route beside it",
                        new Network()
                                .link("eth0", "veth")
                                .address("eth0", "172.18.0.2/16")
                                .gateway("eth0")
                                .route("172.18.0.1/32", "eth0")
                                .link("veth1", "veth")
                                .route("10.244.0.2/32", "veth1"),
                        "eth0 NODE",
                        "veth1 PODS"),
                of(
                        "a veth with an IPv6 address that is all of its range",
                        node().link("net1", "veth")
                                .address("net1", "fd00::1/128")
                                .route("fd00::1/128", "net1"),
                        "eth0 NODE",
                        "net1 NODE"),
                of("bond", bonded(), "bond0 NODE"),
                of(
                        "VLAN on a bond",
                        new Network()
                                .link("bond0", "bond")
                                .link("eth0", "", "bond0")
                                .link("bond0.100", "vlan")
                                .address("bond0.100", "192.0.2.1/24")
                                .gateway("bond0.100"),
                        "bond0.100 NODE"),
                of(
                        "br-ex with the NIC and a virtual machine as ports",
                        new Network()
                                .link("br-ex", "bridge")
                                .link("eth0", "", "br-ex")
                                .link("vnet0", "tun", "br-ex")
                                .address("br-ex", "192.0.2.1/24")
                                .gateway("br-ex"),
                        "br-ex NODE"),
                of(
                        "a second network of the node on a bridge, without the default route",
                        node().link("br1", "bridge").link("eth1", "", "br1").address("br1", "198.51.100.1/24"),
                        "eth0 NODE",
                        "br1 NODE"),
                of(
                        "wireguard between nodes, a userspace VPN and docker0 without containers",
                        node().link("wg0", "wireguard")
                                .route("10.1.2.0/24", "wg0")
                                .link("tun0", "tun")
                                .address("tun0", "10.8.0.6/32")
                                .route("10.8.0.5/32", "tun0")
                                .link("docker0", "bridge")
                                .address("docker0", "172.17.0.1/16"),
                        "eth0 NODE",
                        "wg0 NODE",
                        "tun0 NODE"),
                of(
                        "an overlay whose tunnel is a port of the pods' bridge",
                        node().link("weave", "bridge")
                                .address("weave", "10.32.0.1/12")
                                .link("vxlan-6784", "vxlan", "weave")
                                .link("vethwepl1", "veth", "weave"),
                        "eth0 NODE",
                        "vxlan-6784 PODS",
                        "vethwepl1 PODS"),
                of(
                        "a tap of a virtual machine with a host route",
                        node().link("tap0", "tun").route("10.1.1.9/32", "tap0"),
                        "eth0 NODE",
                        "tap0 PODS"),
                of(
                        "a VRF, whose parts speak for themselves",
                        new Network()
                                .link("vrf0", "vrf")
                                .link("eth0", "", "vrf0")
                                .address("eth0", "192.0.2.1/24"),
                        "eth0 NODE"),
                of(
                        "two default routes, and one of several ways",
                        node().link("eth1", "")
                                .defaultRoute("::", "eth1")
                                .link("eth2", "")
                                .link("eth3", "")
                                .gateway("eth2", "eth3"),
                        "eth0 NODE",
                        "eth1 NODE",
                        "eth2 NODE",
                        "eth3 NODE"),
                of(
                        "routes that lead nowhere and addresses that are the link's own",
                        node().link("eth1", "")
                                .route("0.0.0.0/0", "eth1", false, 7)
                                .address("eth1", "fe80::1/64", 253, 0)
                                .link("veth1", "veth")
                                .route("10.1.1.9/32", "veth1", false, 2),
                        "eth0 NODE"),
                of("a device that is down", node().down("eth1", "").address("eth1", "198.51.100.1/24"), "eth0 NODE"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("networks")
    void devices_areFound(String title, Network network, List<String> expected) {
        assertThat(roles(network, NodeDevices.found())).isEqualTo(expected);
    }

    private static List<String> roles(Network network, NodeDevices devices) {
        return network.among(devices).devices().stream()
                .map(device -> device.name() + " " + device.role())
                .toList();
    }

    private static NodeDevices named(String... words) {
        return NodeDevices.of(List.of(words));
    }

    @Test
    void names_overrideTheRoleThatTheyAreOf() {
        Network network = bridged().link("eth1", "");
        assertThat(roles(network, named("eth1"))).containsExactly("veth1 PODS", "veth2 PODS", "eth1 NODE");
        assertThat(roles(network, named("pod:veth2"))).containsExactly("eth0 NODE", "veth2 PODS");
        assertThat(roles(network, named("eth?", "pod:v*2"))).containsExactly("eth0 NODE", "veth2 PODS", "eth1 NODE");
        assertThat(roles(network, named("pod:cni0"))).containsExactly("eth0 NODE", "veth1 PODS", "veth2 PODS");
        assertThat(roles(bonded(), named("eth1"))).containsExactly("eth1 NODE");
    }

    @Test
    void name_ofADeviceThatIsNotThereYet_isAwaited() {
        Network network = node();
        assertThat(roles(network, named("wlan0"))).isEmpty();
        network.link("wlan0", "");
        assertThat(roles(network, named("wlan0"))).containsExactly("wlan0 NODE");
    }

    @Test
    void names_thatNoDeviceHas_areTold() {
        assertThat(bridged()
                        .among(named("eth*", "wlan0", "pod:cni0", "pod:tap*"))
                        .unmatched())
                .containsExactly("wlan0", "pod:tap*");
        assertThat(bridged().among(NodeDevices.found()).unmatched()).isEmpty();
    }

    @Test
    void none_findsNoDevice() {
        Found found = bridged().link("none", "").among(named("none").withPodsOfBridge("cni0"));
        assertThat(found.devices()).isEmpty();
        assertThat(found.unmatched()).isEmpty();
    }

    @Test
    void name_isNoRegularExpression() {
        Network network = node().link("eth0.1", "vlan").link("eth0x1", "");
        assertThat(roles(network, named("eth0.1"))).containsExactly("eth0.1 NODE");
    }

    @Test
    void podsOfBridge_areItsPortsAndNoOthers() {
        Network network = bridged().link("docker0", "bridge").link("veth3", "veth", "docker0");
        assertThat(roles(network, NodeDevices.found().withPodsOfBridge("cni0")))
                .containsExactly("eth0 NODE", "veth1 PODS", "veth2 PODS");
    }

    @Test
    void podsOfBridge_thatIsTheNodesOwn_leaveItsWayOut() {
        Network network = new Network()
                .link("br0", "bridge")
                .address("br0", "192.0.2.1/24")
                .gateway("br0")
                .link("eth0", "", "br0")
                .link("veth1", "veth", "br0");
        assertThat(roles(network, NodeDevices.found().withPodsOfBridge("br0")))
                .containsExactly("br0 NODE", "veth1 PODS");
    }

    @Test
    void podsOfPrefix_areWhoIsCalledSo() {
        Network network = bridged().link("azv1", "veth").link("azv2", "");
        assertThat(roles(network, NodeDevices.found().withPodsOfPrefix("azv")))
                .containsExactly("eth0 NODE", "azv1 PODS", "azv2 PODS");
        assertThat(roles(network, named("pod:veth1").withPodsOfPrefix("azv")))
                .containsExactly("eth0 NODE", "veth1 PODS");
    }

    @ParameterizedTest
    @MethodSource("badNames")
    void badName_isRefusedWithFlagAndName(String word, String problem) {
        assertThatThrownBy(() -> named("eth0", word))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("--devices: \"" + word + "\" " + problem);
    }

    static Stream<Arguments> badNames() {
        return Stream.of(
                Arguments.of("", "has no name"),
                Arguments.of("pod:", "has no name"),
                Arguments.of("a-name-of-16-char", "is longer than the 15 characters"),
                Arguments.of("node:eth0", "cannot be the name of a device"),
                Arguments.of("eth0/1", "cannot be the name of a device"),
                Arguments.of("pod:a b", "cannot be the name of a device"),
                Arguments.of("..", "cannot be the name of a device"),
                Arguments.of("lo", "is the loopback device"),
                Arguments.of("none", "stands for no device, and has to stand alone"));
    }

    @Test
    void device_saysHowLongAndOfWhichKindItsFramesAre() {
        Network network = node().link("wg0", "wireguard");
        assertThat(network.among(NodeDevices.found()).devices())
                .containsExactly(
                        new Device(2, "eth0", Role.NODE, 1500, true), new Device(3, "wg0", Role.NODE, 1500, false));
    }

    @Test
    void sources_areTheFirstLastingGlobalAddresses() {
        Network network = bridged()
                .address("eth0", "192.0.2.2/24", 0, LinkAddress.TEMPORARY)
                .address("eth0", "fe80::1/64", 253, 0)
                .address("eth0", "fd00::1/64", 0, LinkAddress.TENTATIVE)
                .address("eth0", "fd00::2/64", 0, LinkAddress.TEMPORARY)
                .address("eth0", "fd00::3/64", 0, LinkAddress.DEPRECATED)
                .address("eth0", "fd00::4/64", 0, LinkAddress.DUPLICATE)
                .address("eth0", "fd00::5/64");
        Found found = network.among(NodeDevices.found());
        assertThat(found.sources())
                .containsOnlyKeys(network.index("eth0"), network.index("cni0"))
                .containsEntry(network.index("eth0"), new AddressPair(Address.of("192.0.2.1"), Address.of("fd00::5")))
                .containsEntry(network.index("cni0"), new AddressPair(Address.of("10.1.1.1"), Address.of("fd00::5")));
    }

    /** As where routers on the hosts announce addresses that stand on loopback. */
    @Test
    void device_withoutAddress_speaksFromTheFirstThatAnyDeviceHas() {
        Network network = new Network()
                .link("eth0", "")
                .gateway("eth0")
                .link("eth1", "")
                .address("eth1", "198.51.100.1/24")
                .address("eth1", "fd00::1/64");
        Found found = network.among(NodeDevices.found());
        assertThat(roles(network, NodeDevices.found())).containsExactly("eth0 NODE", "eth1 NODE");
        assertThat(found.sources())
                .isEqualTo(Map.of(
                        network.index("eth0"), new AddressPair(Address.of("192.0.2.99"), Address.of("fd00::1")),
                        network.index("eth1"), new AddressPair(Address.of("198.51.100.1"), Address.of("fd00::1"))));
    }
}
