package io.shunt.datapath;

import static io.shunt.datapath.Draft.first;
import static io.shunt.datapath.Draft.more;
import static io.shunt.datapath.PacketCase.PORT;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Direction;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Reason;
import io.shunt.datapath.PacketCase.State;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** What becomes of packets on the node of {@link PacketLab}, whichever program looks at them. */
final class PacketTable {
    static final int NODE_PORT = 30_080;
    static final int CLIENT_PORT = 40_000;
    static final int SERVICE_PORT = 80;
    static final int BACKEND_PORT = 8080;

    /** Everyone anywhere, by an address for clients from elsewhere. */
    static final Access ANYWHERE = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true);

    /** Clients from elsewhere to this node's backends only. */
    static final Access HERE = new Access(Reach.CLUSTER, Reach.LOCAL, false, true);

    static final Access RESTRICTED = new Access(Reach.CLUSTER, Reach.CLUSTER, true, true);

    private static final int QUOTE = 128;
    private static final int ANSWER_TTL = 64;

    private final List<PacketCase> cases = new ArrayList<>();

    private PacketTable() {
        for (Net net : Net.values()) {
            for (Protocol protocol : Protocol.values()) {
                Talk talk = new Talk(net, protocol);
                toBackends(talk);
                replies(talk);
                refusals(talk);
                policies(talk);
                insiders(talk);
                settings(talk);
                ports(talk);
                conversations(talk);
                changes(talk);
                errors(talk);
                ways(talk);
                fragments(talk);
                cutShort(talk);
                strangers(talk);
            }
            tcp(new Talk(net, Protocol.TCP));
            sctp(new Talk(net, Protocol.SCTP));
            udp(new Talk(net, Protocol.UDP));
            badErrors(new Talk(net, Protocol.TCP));
        }
        headersOfIp4(new Talk(Net.V4, Protocol.TCP));
        headersOfIp6(new Talk(Net.V6, Protocol.TCP));
        badIp4(new Talk(Net.V4, Protocol.TCP));
        badIp6(new Talk(Net.V6, Protocol.TCP));
        otherFrames();
    }

    static List<PacketCase> cases() {
        return Stream.concat(new PacketTable().cases.stream(), DirectTable.cases().stream())
                .toList();
    }

    /** Who is who, in each family. */
    enum Net {
        V4(
                "203.0.113.5",
                "203.0.113.77",
                "192.168.7.1",
                "10.1.0.1",
                "10.3.0.1",
                "10.1.0.2",
                "10.1.0.3",
                "10.2.0.2",
                "10.3.0.2",
                "10.96.0.10",
                "198.51.100.10",
                "192.168.7.254"),
        V6(
                "2001:db8::5",
                "2001:db8:1::77",
                "fd07::1",
                "fd00:1::1",
                "fd00:3::1",
                "fd00:1::2",
                "fd00:1::3",
                "fd00:2::2",
                "fd00:3::2",
                "fd96::10",
                "2001:db8:2::10",
                "fd07::fe");

        final Address client;
        final Address other;
        final Address node;
        /** Where the node speaks to its pods from. */
        final Address bridge;
        /** Where it speaks into the narrow device from. */
        final Address tunnel;

        final Address pod;
        final Address otherPod;
        /** A backend on another node. */
        final Address far;
        /** The same, behind the narrow device. */
        final Address narrow;

        final Address cluster;
        final Address external;
        final Address router;

        Net(String... all) {
            List<Address> each = Arrays.stream(all).map(Address::of).toList();
            client = each.get(0);
            other = each.get(1);
            node = each.get(2);
            bridge = each.get(3);
            tunnel = each.get(4);
            pod = each.get(5);
            otherPod = each.get(6);
            far = each.get(7);
            narrow = each.get(8);
            cluster = each.get(9);
            external = each.get(10);
            router = each.get(11);
        }

        boolean v4() {
            return this == V4;
        }
    }

    /** A family and a protocol. */
    record Talk(Net net, Protocol protocol) {
        Tuple between(Address source, int sourcePort, Address destination, int destinationPort) {
            return new Tuple(source, sourcePort, destination, destinationPort, protocol);
        }

        /** The client asks the node. */
        Tuple asks() {
            return between(net.client, CLIENT_PORT, net.node, NODE_PORT);
        }

        /** What a backend hears from whoever speaks there. */
        Tuple heard(Address source, int port, Address backend) {
            return between(source, port, backend, BACKEND_PORT);
        }

        /** The same in the name of the node. */
        Tuple masqueraded(Address source, Address backend) {
            return heard(source, PORT, backend);
        }

        Frontend nodePort() {
            return Frontend.ofNode(net.v4() ? IpFamily.IPV4 : IpFamily.IPV6, NODE_PORT, protocol);
        }

        Frontend at(Address address) {
            return new Frontend(address, SERVICE_PORT, protocol);
        }

        VirtualService service(Frontend frontend, Access access, Backend... backends) {
            return new VirtualService("web", Map.of(frontend, access), List.of(backends), List.of(), 0);
        }

        VirtualService nodePort(Access access, Backend... backends) {
            return service(nodePort(), access, backends);
        }

        Backend here() {
            return backend(net.pod, Backend.State.BOTH);
        }

        Backend far() {
            return backend(net.far, Backend.State.CLUSTER);
        }

        Backend narrow() {
            return backend(net.narrow, Backend.State.CLUSTER);
        }

        static Backend backend(Address address, Backend.State state) {
            return new Backend(address, BACKEND_PORT, state);
        }

        /** Its sender is told at once that nobody is there. */
        Packet refusal(Packet packet, Tuple asked) {
            if (protocol != Protocol.TCP) {
                return answer(packet, asked, net.v4() ? 0x0303 : 0x0104, 0);
            }
            // A reset acknowledges what it refuses (RFC 9293, 3.10.7.1), and is empty here.
            return first(asked.turnedRound()).reset(0x01020305).packet();
        }

        /** An ICMP error about a packet, from where it was sent to. */
        Packet answer(Packet packet, Tuple asked, int typeAndCode, int rest) {
            byte[] quote = packet.quoted(QUOTE);
            Packet answer = Packet.icmp(
                    asked.destination(),
                    asked.source(),
                    ANSWER_TTL,
                    typeAndCode,
                    rest,
                    Arrays.copyOf(quote, quote.length / 4 * 4));
            return net.v4() ? answer.with(4, 0).with(5, 0).with(6, 0) : answer;
        }
    }

    private PacketCase add(Talk talk, String description) {
        PacketCase each = new PacketCase(talk.protocol + " " + (talk.net.v4() ? "IPv4" : "IPv6") + ": " + description);
        cases.add(each);
        return each;
    }

    private void toBackends(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        add(talk, "by the node port to a backend here, in the node's name")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(talk.masqueraded(net.bridge, net.pod)))
                .counts(1, 0)
                .knows(asks, talk.masqueraded(net.bridge, net.pod), State.OPENING);
        add(talk, "by the node port to a backend on another node, in this one's name")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(talk.masqueraded(net.node, net.far)))
                .counts(1, 0);
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT);
        add(talk, "by an external IP, in the node's name")
                .given(talk.service(talk.at(net.external), ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(talk.masqueraded(net.bridge, net.pod)));
        add(talk, "by an external IP, in the client's own name where the policy is Local")
                .given(talk.service(talk.at(net.external), HERE, talk.here()))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(talk.heard(net.client, CLIENT_PORT, net.pod)));
        Tuple cluster = talk.between(net.client, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "by a cluster IP from elsewhere, in the client's own name")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.OUTSIDE, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(talk.heard(net.client, CLIENT_PORT, net.pod)));
        Backend onNode = Talk.backend(net.node, Backend.State.BOTH);
        add(talk, "to a backend that is the node itself, in the client's own name, up the stack")
                .given(talk.nodePort(ANYWHERE, onNode))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.CONTINUE, first(asks).between(talk.heard(net.client, CLIENT_PORT, net.node)));
        Tuple elsewhere = talk.between(net.client, CLIENT_PORT, net.far, NODE_PORT);
        add(talk, "to a node port at an address that is none of the node's")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(elsewhere))
                .passes()
                .counts(0, 0);
        Tuple unknown = talk.between(net.client, CLIENT_PORT, net.node, NODE_PORT + 1);
        add(talk, "to a port of the node's that no service has")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(unknown))
                .passes();
        Tuple closed = talk.between(net.client, CLIENT_PORT, net.cluster, SERVICE_PORT + 1);
        Packet packet = first(closed).packet();
        add(talk, "to a port of a cluster IP that the service does not have: refused")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, closed))
                .counts(Reason.NO_SERVICE, Direction.TO_BACKEND)
                .counts(0, 0)
                .knowsNothingOf(closed);
        Tuple open = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT + 1);
        add(talk, "to a port of an external IP that the service does not have: it may be another's")
                .given(talk.service(talk.at(net.external), ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(open))
                .passes();
        Talk another = new Talk(net, talk.protocol == Protocol.TCP ? Protocol.UDP : Protocol.TCP);
        add(talk, "to a node port of another protocol")
                .given(another.nodePort(ANYWHERE, another.here()))
                .in(Hook.OUTSIDE, first(asks))
                .passes();
        Tuple loopback = talk.between(net.client, CLIENT_PORT, Address.of(net.v4() ? "127.0.0.1" : "::1"), NODE_PORT);
        add(talk, "to a node port at a loopback address, which is never on the wire")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(loopback))
                .passes();
        Tuple unspecified = talk.between(
                net.client, CLIENT_PORT, Address.unspecified(net.v4() ? IpFamily.IPV4 : IpFamily.IPV6), NODE_PORT);
        add(talk, "to a node port at the unspecified address")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(unspecified))
                .passes();
    }

    private void replies(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple heard = talk.masqueraded(net.bridge, net.pod);
        add(talk, "a backend here replies")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.POD, more(heard.turnedRound()))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).forwarded(asks.turnedRound()))
                .counts(1, 0)
                .knows(asks, heard, State.ANSWERED);
        Tuple far = talk.masqueraded(net.node, net.far);
        add(talk, "a backend on another node replies")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, more(far.turnedRound()))
                .becomes(Verdict.FORWARD, more(far.turnedRound()).forwarded(asks.turnedRound()));
        Tuple own = talk.heard(net.client, CLIENT_PORT, net.pod);
        add(talk, "a backend replies to whom it knows by his own name")
                .given(talk.nodePort(HERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.POD, more(own.turnedRound()))
                .becomes(Verdict.FORWARD, more(own.turnedRound()).forwarded(asks.turnedRound()));
        Tuple onNode = talk.heard(net.client, CLIENT_PORT, net.node);
        add(talk, "a backend that is the node itself replies")
                .given(talk.nodePort(ANYWHERE, Talk.backend(net.node, Backend.State.BOTH)))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.HOST, more(onNode.turnedRound()))
                .becomes(Verdict.CONTINUE, more(onNode.turnedRound()).between(asks.turnedRound()));
        add(talk, "a pod speaks to a client of its own accord")
                .given(talk.nodePort(HERE, talk.here()))
                .in(Hook.POD, more(own.turnedRound()))
                .passes();
    }

    private void refusals(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Packet packet = first(asks).packet();
        add(talk, "no backend: refused at once")
                .given(talk.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND)
                .counts(0, 1)
                .knowsNothingOf(asks);
        add(talk, "no backend, and the policy is Local: refused, not dropped")
                .given(talk.nodePort(HERE))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND)
                .counts(0, 1);
        Tuple fromPod = talk.between(net.otherPod, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Packet podPacket = first(fromPod).packet();
        add(talk, "no backend for a pod")
                .given(talk.service(talk.at(net.cluster), Access.OPEN))
                .in(Hook.POD, podPacket)
                .becomes(Verdict.REPLY, talk.refusal(podPacket, fromPod))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
        Tuple fromHost = talk.between(net.node, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Packet hostPacket = first(fromHost).packet();
        add(talk, "no backend for the node itself")
                .given(talk.service(talk.at(net.cluster), Access.OPEN))
                .in(Hook.HOST, hostPacket)
                .becomes(Verdict.REPLY, talk.refusal(hostPacket, fromHost))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
        add(talk, "only backends that drain are none to begin with")
                .given(talk.nodePort(ANYWHERE, Talk.backend(net.pod, Backend.State.DRAINING)))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
        add(talk, "only backends that are not ready are none")
                .given(talk.nodePort(ANYWHERE, Talk.backend(net.pod, Backend.State.UNREADY)))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
    }

    private void policies(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple own = talk.heard(net.client, CLIENT_PORT, net.pod);
        add(talk, "policy Local: to a backend here, in the client's own name, and to no other")
                .given(talk.nodePort(HERE, talk.here(), talk.far()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(own))
                .knows(asks, own, State.OPENING);
        add(talk, "policy Local without a backend here: dropped, as kube-proxy does")
                .given(talk.nodePort(HERE, talk.far()))
                .in(Hook.OUTSIDE, first(asks))
                .dropped(Reason.NO_LOCAL_BACKEND, Direction.TO_BACKEND)
                .counts(0, 0)
                .knowsNothingOf(asks);
        Tuple fromPod = talk.between(net.otherPod, CLIENT_PORT, net.node, NODE_PORT);
        add(talk, "policy Local, a pod of this node: anywhere, in its own name")
                .given(talk.nodePort(HERE, talk.far()))
                .in(Hook.POD, first(fromPod))
                .becomes(Verdict.FORWARD, first(fromPod).forwarded(talk.heard(net.otherPod, CLIENT_PORT, net.far)));
        Tuple fromHost = talk.between(net.node, CLIENT_PORT, net.external, SERVICE_PORT);
        add(talk, "policy Local, the node itself: anywhere")
                .given(talk.service(talk.at(net.external), HERE, talk.far()))
                .in(Hook.HOST, first(fromHost))
                .becomes(Verdict.FORWARD, first(fromHost).between(talk.heard(net.node, CLIENT_PORT, net.far)));
        Access inside = new Access(Reach.LOCAL, Reach.CLUSTER, false, false);
        Tuple cluster = talk.between(net.otherPod, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "internal policy Local: a pod gets to a backend here")
                .given(talk.service(talk.at(net.cluster), inside, talk.here(), talk.far()))
                .in(Hook.POD, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(talk.heard(net.otherPod, CLIENT_PORT, net.pod)));
        add(talk, "internal policy Local without a backend here")
                .given(talk.service(talk.at(net.cluster), inside, talk.far()))
                .in(Hook.POD, first(cluster))
                .dropped(Reason.NO_LOCAL_BACKEND, Direction.TO_BACKEND);
        ranges(talk);
        affinity(talk);
    }

    private void ranges(Talk talk) {
        Net net = talk.net;
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT);
        Tuple heard = talk.masqueraded(net.bridge, net.pod);
        add(talk, "from within a source range")
                .given(restricted(talk, net.v4() ? "203.0.113.0/26" : "2001:db8::/64"))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(heard));
        add(talk, "from the one address that is a source range")
                .given(restricted(
                        talk, net.client + (net.v4() ? "/32" : "/128"), net.v4() ? "10.9.0.0/16" : "fd99::/16"))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(heard));
        Tuple outside = talk.between(net.other, CLIENT_PORT, net.external, SERVICE_PORT);
        add(talk, "from outside all source ranges")
                .given(restricted(talk, net.v4() ? "203.0.113.0/26" : "2001:db8::/64"))
                .in(Hook.OUTSIDE, first(outside))
                .dropped(Reason.SOURCE_RANGE, Direction.TO_BACKEND)
                .counts(0, 0)
                .knowsNothingOf(outside);
        Tuple fromPod = talk.between(net.otherPod, CLIENT_PORT, net.external, SERVICE_PORT);
        add(talk, "source ranges hold for pods too")
                .given(restricted(talk, net.v4() ? "203.0.113.0/26" : "2001:db8::/64"))
                .in(Hook.POD, first(fromPod))
                .dropped(Reason.SOURCE_RANGE, Direction.TO_BACKEND);
        Tuple asks = talk.asks();
        VirtualService both = new VirtualService(
                "web",
                Map.of(talk.at(net.external), RESTRICTED, talk.nodePort(), ANYWHERE),
                List.of(talk.here()),
                List.of(prefix(net.v4() ? "10.9.0.0/16" : "fd99::/16")),
                0);
        add(talk, "source ranges do not hold for the same service's node port")
                .given(both)
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(heard));
    }

    private static VirtualService restricted(Talk talk, String... ranges) {
        return new VirtualService(
                "web",
                Map.of(talk.at(talk.net.external), RESTRICTED),
                List.of(talk.here()),
                Arrays.stream(ranges).map(PacketTable::prefix).toList(),
                0);
    }

    private static Prefix prefix(String text) {
        return Prefix.parse(text).orElseThrow();
    }

    private void affinity(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Backend twin = Talk.backend(net.otherPod, Backend.State.BOTH);
        Tuple again = talk.between(net.client, CLIENT_PORT + 1, net.node, NODE_PORT);
        add(talk, "a client stays with its backend")
                .given(clinging(talk, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .given(clinging(talk, twin, twin(talk, 4), twin(talk, 5), twin(talk, 6), talk.here()))
                .in(Hook.OUTSIDE, first(again))
                .becomes(Verdict.FORWARD, first(again).forwarded(talk.heard(net.client, CLIENT_PORT + 1, net.pod)))
                .counts(2, 0);
        add(talk, "a client does not stay with a backend that drains")
                .given(clinging(talk, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .given(clinging(talk, twin, Talk.backend(net.pod, Backend.State.DRAINING)))
                .in(Hook.OUTSIDE, first(again))
                .becomes(
                        Verdict.FORWARD, first(again).forwarded(talk.heard(net.client, CLIENT_PORT + 1, net.otherPod)));
        add(talk, "a client does not stay with a backend that is gone")
                .given(clinging(talk, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .given(clinging(talk, twin))
                .in(Hook.OUTSIDE, first(again))
                .becomes(
                        Verdict.FORWARD, first(again).forwarded(talk.heard(net.client, CLIENT_PORT + 1, net.otherPod)));
    }

    private static Backend twin(Talk talk, int host) {
        return Talk.backend(Address.of((talk.net.v4() ? "10.1.0." : "fd00:1::") + host), Backend.State.BOTH);
    }

    private static VirtualService clinging(Talk talk, Backend... backends) {
        return new VirtualService("web", Map.of(talk.nodePort(), HERE), List.of(backends), List.of(), 3600);
    }

    private void insiders(Talk talk) {
        Net net = talk.net;
        Tuple cluster = talk.between(net.otherPod, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Tuple heard = talk.heard(net.otherPod, CLIENT_PORT, net.pod);
        add(talk, "a pod by a cluster IP, in its own name")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.POD, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(heard));
        add(talk, "the backend's reply to that pod")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .after(Hook.POD, first(cluster))
                .in(Hook.POD, more(heard.turnedRound()))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).forwarded(cluster.turnedRound()));
        Tuple hairpin = talk.between(net.pod, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Tuple itself = talk.masqueraded(net.bridge, net.pod);
        add(talk, "a pod that gets to itself, in the node's name")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.POD, first(hairpin))
                .becomes(Verdict.FORWARD, first(hairpin).forwarded(itself));
        add(talk, "the reply of a pod to itself")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .after(Hook.POD, first(hairpin))
                .in(Hook.POD, more(itself.turnedRound()))
                .becomes(Verdict.FORWARD, more(itself.turnedRound()).forwarded(hairpin.turnedRound()));
        Tuple nodePort = talk.between(net.otherPod, CLIENT_PORT, net.node, NODE_PORT);
        add(talk, "a pod by the node port, in the node's name")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .in(Hook.POD, first(nodePort))
                .becomes(Verdict.FORWARD, first(nodePort).forwarded(talk.masqueraded(net.node, net.far)));
        Tuple host = talk.between(net.node, CLIENT_PORT, net.cluster, SERVICE_PORT);
        VirtualService here = talk.service(talk.at(net.cluster), Access.OPEN, talk.here());
        Tuple toPod = talk.masqueraded(net.bridge, net.pod);
        add(talk, "the node itself by a cluster IP, from where it speaks to its pods")
                .given(here)
                .in(Hook.HOST, first(host))
                .becomes(Verdict.FORWARD, first(host).between(toPod))
                .counts(1, 0)
                .knows(host, toPod, State.OPENING);
        add(talk, "a pod's reply to the node itself, which waits for it at the device that it has spoken on")
                .given(here)
                .after(Hook.HOST, first(host))
                .in(Hook.POD, more(toPod.turnedRound()))
                .becomes(Verdict.DELIVER, more(toPod.turnedRound()).between(host.turnedRound()))
                .knows(host, toPod, State.ANSWERED);
        add(talk, "the node itself goes on")
                .given(here)
                .after(Hook.HOST, first(host))
                .after(Hook.POD, more(toPod.turnedRound()))
                .in(Hook.HOST, more(host))
                .becomes(Verdict.FORWARD, more(host).between(toPod))
                .counts(1, 0)
                .knows(host, toPod, State.CONFIRMED);
        VirtualService far = talk.service(talk.at(net.cluster), Access.OPEN, talk.far());
        Tuple toFar = talk.heard(net.node, CLIENT_PORT, net.far);
        add(talk, "the node itself keeps its port where it speaks from the address that it has chosen")
                .given(far)
                .in(Hook.HOST, first(host))
                .becomes(Verdict.FORWARD, first(host).between(toFar))
                .knows(host, toFar, State.OPENING);
        add(talk, "a backend's reply to the node itself, by the device that it has spoken on")
                .given(far)
                .after(Hook.HOST, first(host))
                .in(Hook.OUTSIDE, more(toFar.turnedRound()))
                .becomes(Verdict.CONTINUE, more(toFar.turnedRound()).between(host.turnedRound()));
        add(talk, "the node itself into the tunnel, from the tunnel's address")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.narrow()))
                .in(Hook.HOST, first(host))
                .becomes(Verdict.FORWARD, first(host).between(talk.masqueraded(net.tunnel, net.narrow)));
        Tuple external = talk.between(net.node, CLIENT_PORT, net.external, SERVICE_PORT);
        add(talk, "policy Local, the node itself to a pod: from where it speaks to its pods")
                .given(talk.service(talk.at(net.external), HERE, talk.here()))
                .in(Hook.HOST, first(external))
                .becomes(Verdict.FORWARD, first(external).between(toPod));
        VirtualService onNode =
                talk.service(talk.at(net.cluster), Access.OPEN, Talk.backend(net.node, Backend.State.BOTH));
        add(talk, "the node itself by way of a device to itself: the kernel would take it for a forgery")
                .given(onNode)
                .in(Hook.HOST, first(host))
                .dropped(Reason.NO_SOURCE, Direction.TO_BACKEND);
        add(talk, "a frame for the node itself that these programs have sent, at the network: it was seen to")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(talk.asks()))
                .addressed(PacketLab.DELIVERED)
                .passes()
                .counts(0, 0);
        add(talk, "a frame for the node itself that these programs have sent, at the pods: it was seen to")
                .given(here)
                .in(Hook.POD, first(cluster))
                .addressed(PacketLab.DELIVERED)
                .passes()
                .counts(0, 0);
        add(talk, "what the node forwards was seen to where it came in")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.FORWARDED, first(host))
                .passes();
    }

    private void settings(Talk talk) {
        Net net = talk.net;
        Tuple cluster = talk.between(net.otherPod, CLIENT_PORT, net.cluster, SERVICE_PORT);
        VirtualService service = talk.service(talk.at(net.cluster), Access.OPEN, talk.here());
        Tuple masqueraded = talk.masqueraded(net.bridge, net.pod);
        add(talk, "masqueradeAll: a pod by a cluster IP, in the node's name")
                .with(PacketCase.settings(true, false, List.of()))
                .given(service)
                .in(Hook.POD, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(masqueraded));
        Tuple outside = talk.between(net.client, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "told by the device: from elsewhere by a cluster IP, in the node's name")
                .with(PacketCase.settings(false, true, List.of()))
                .given(service)
                .in(Hook.OUTSIDE, first(outside))
                .becomes(Verdict.FORWARD, first(outside).forwarded(masqueraded));
        add(talk, "told by the device: a pod by a cluster IP, in its own name")
                .with(PacketCase.settings(false, true, List.of()))
                .given(service)
                .in(Hook.POD, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(talk.heard(net.otherPod, CLIENT_PORT, net.pod)));
        PacketSettings byRange =
                PacketCase.settings(false, true, List.of(prefix("10.1.0.0/16"), prefix("fd00:1::/32")));
        add(talk, "told by address: a pod by a cluster IP, in its own name")
                .with(byRange)
                .given(service)
                .in(Hook.POD, first(cluster))
                .becomes(Verdict.FORWARD, first(cluster).forwarded(talk.heard(net.otherPod, CLIENT_PORT, net.pod)));
        Tuple stranger = talk.between(net.other, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "told by address: another by a cluster IP, in the node's name, even from where pods are")
                .with(byRange)
                .given(service)
                .in(Hook.POD, first(stranger))
                .becomes(Verdict.FORWARD, first(stranger).forwarded(masqueraded));
        add(talk, "told by addresses of the other family: nobody is told from anybody")
                .with(PacketCase.settings(false, true, List.of(prefix(net == Net.V4 ? "fd00:1::/32" : "10.1.0.0/16"))))
                .given(service)
                .in(Hook.OUTSIDE, first(outside))
                .becomes(Verdict.FORWARD, first(outside).forwarded(talk.heard(net.client, CLIENT_PORT, net.pod)));
        Tuple asks = talk.asks();
        add(talk, "where the kernel does not tell its source, the device's")
                .with(new PacketSettings(PORT, 1, false, false, List.of(), false))
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(talk.masqueraded(net.node, net.far)));
        Tuple host = talk.between(net.node, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "where the kernel does not tell its source, the device's, for the node itself too")
                .with(new PacketSettings(PORT, 1, false, false, List.of(), false))
                .given(service)
                .in(Hook.HOST, first(host))
                .becomes(Verdict.FORWARD, first(host).between(masqueraded));
    }

    private void ports(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        VirtualService service = talk.nodePort(ANYWHERE, talk.here());
        Tuple masqueraded = talk.masqueraded(net.bridge, net.pod);
        Tuple other = talk.between(net.other, CLIENT_PORT, net.node, NODE_PORT);
        add(talk, "no port is free towards the backend")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, first(other))
                .dropped(Reason.NO_PORT, Direction.TO_BACKEND)
                .counts(1, 0)
                .knows(asks, masqueraded, State.OPENING)
                .knowsNothingOf(other);
        add(talk, "a port is free once nobody has spoken for long who was not answered")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .silent(6)
                .in(Hook.OUTSIDE, first(other))
                .becomes(Verdict.FORWARD, first(other).forwarded(masqueraded))
                .counts(2, 0)
                .knows(other, masqueraded, State.OPENING)
                .knowsNothingOf(asks);
        add(talk, "a port is free once nobody has spoken for long who was answered and has not come back")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(masqueraded.turnedRound()))
                .silent(6)
                .in(Hook.OUTSIDE, first(other))
                .becomes(Verdict.FORWARD, first(other).forwarded(masqueraded))
                .knows(other, masqueraded, State.OPENING)
                .knowsNothingOf(asks);
        add(talk, "who has not been answered for some seconds keeps his port")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .silent(3)
                .in(Hook.OUTSIDE, first(other))
                .dropped(Reason.NO_PORT, Direction.TO_BACKEND)
                .knows(asks, masqueraded, State.OPENING)
                .knowsNothingOf(other);
        add(talk, "who has spoken again keeps his port")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .silent(6)
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, first(other))
                .dropped(Reason.NO_PORT, Direction.TO_BACKEND)
                .counts(1, 0)
                .knows(asks, masqueraded, State.OPENING);
        add(talk, "a conversation keeps its port however silent it is")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(masqueraded.turnedRound()))
                .after(Hook.OUTSIDE, more(asks))
                .silent(60)
                .in(Hook.OUTSIDE, first(other))
                .dropped(Reason.NO_PORT, Direction.TO_BACKEND)
                .knows(asks, masqueraded, State.CONFIRMED);
        add(talk, "who was silent for long and has lost his port begins anew")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .silent(6)
                .after(Hook.OUTSIDE, first(other))
                .silent(6)
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(masqueraded))
                .counts(3, 0)
                .knows(asks, masqueraded, State.OPENING)
                .knowsNothingOf(other);
        Tuple fitting = talk.between(net.client, PORT, net.node, NODE_PORT);
        add(talk, "a client's port that is one of the node's own is kept")
                .given(service)
                .in(Hook.OUTSIDE, first(fitting))
                .becomes(Verdict.FORWARD, first(fitting).forwarded(masqueraded));
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT);
        VirtualService elsewhere =
                new VirtualService("other", Map.of(talk.at(net.external), ANYWHERE), List.of(talk.far()), List.of(), 0);
        add(talk, "one port serves as many conversations as there are backends")
                .given(service, elsewhere)
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(talk.masqueraded(net.node, net.far)))
                .knows(asks, masqueraded, State.OPENING);
        VirtualService second =
                new VirtualService("other", Map.of(talk.at(net.external), HERE), List.of(talk.here()), List.of(), 0);
        add(talk, "a client that gets to one backend by two ways from one port speaks from another")
                .given(talk.nodePort(HERE, talk.here()), second)
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, first(external).forwarded(talk.heard(net.client, PORT, net.pod)));
        if (talk.protocol == Protocol.TCP) {
            add(talk, "a port is free as soon as its conversation has ended")
                    .given(service)
                    .after(Hook.OUTSIDE, first(asks))
                    .after(Hook.POD, more(masqueraded.turnedRound()).flags(Packet.TCP_SYN | Packet.TCP_ACK))
                    .after(Hook.OUTSIDE, more(asks))
                    .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                    .after(Hook.POD, more(masqueraded.turnedRound()).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                    .in(Hook.OUTSIDE, first(other))
                    .becomes(Verdict.FORWARD, first(other).forwarded(masqueraded))
                    .counts(2, 0)
                    .knows(other, masqueraded, State.OPENING)
                    .knowsNothingOf(asks);
            add(talk, "a port is free as soon as its conversation was broken off before it was one")
                    .given(service)
                    .after(Hook.OUTSIDE, first(asks))
                    .after(Hook.POD, more(masqueraded.turnedRound()).flags(Packet.TCP_RST | Packet.TCP_ACK))
                    .in(Hook.OUTSIDE, first(other))
                    .becomes(Verdict.FORWARD, first(other).forwarded(masqueraded))
                    .knows(other, masqueraded, State.OPENING);
            add(talk, "who was broken off has no part in the conversation that has his port now")
                    .given(service)
                    .after(Hook.OUTSIDE, first(asks))
                    .after(Hook.POD, more(masqueraded.turnedRound()).flags(Packet.TCP_RST | Packet.TCP_ACK))
                    .after(Hook.OUTSIDE, first(other))
                    .in(Hook.OUTSIDE, more(asks))
                    .passes()
                    .knows(other, masqueraded, State.OPENING)
                    .knowsNothingOf(asks);
        }
        add(talk, "whose port has become another's, as half of his conversation was forgotten, has no part in that one")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(masqueraded.turnedRound()))
                .forgotten(masqueraded.turnedRound())
                .after(Hook.OUTSIDE, first(other))
                .in(Hook.OUTSIDE, more(asks))
                .dropped(Reason.FLOWS_FULL, Direction.TO_BACKEND)
                .knows(other, masqueraded, State.OPENING)
                .knowsNothingOf(asks);
        add(talk, "the client's half of a conversation is made anew from the backend's")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .forgotten(asks)
                .in(Hook.POD, more(masqueraded.turnedRound()))
                .becomes(Verdict.FORWARD, more(masqueraded.turnedRound()).forwarded(asks.turnedRound()))
                .knows(asks, masqueraded, State.ANSWERED);
        add(talk, "the backend's half of a conversation is made anew from the client's")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(masqueraded.turnedRound()))
                .forgotten(masqueraded.turnedRound())
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(masqueraded))
                .knows(asks, masqueraded, State.CONFIRMED);
    }

    private void conversations(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple heard = talk.masqueraded(net.bridge, net.pod);
        VirtualService service = talk.nodePort(ANYWHERE, talk.here());
        add(talk, "the client goes on, and is known from then on")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(heard.turnedRound()))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(heard))
                .counts(1, 0)
                .knows(asks, heard, State.CONFIRMED);
        add(talk, "a first packet that comes once more gets to the same backend")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .given(talk.nodePort(ANYWHERE, talk.far(), talk.here()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(heard))
                .counts(1, 0)
                .knows(asks, heard, State.OPENING);
        add(talk, "the backend goes on in a conversation that is known")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(heard.turnedRound()))
                .after(Hook.OUTSIDE, more(asks))
                .in(Hook.POD, more(heard.turnedRound()).payload(700))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).payload(700).forwarded(asks.turnedRound()))
                .knows(asks, heard, State.CONFIRMED);
    }

    /** The table changes while they speak. */
    private void changes(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple heard = talk.heard(net.client, CLIENT_PORT, net.pod);
        Tuple anew = talk.heard(net.client, CLIENT_PORT, net.otherPod);
        Backend twin = Talk.backend(net.otherPod, Backend.State.BOTH);
        Backend draining = Talk.backend(net.pod, Backend.State.DRAINING);
        Backend unready = Talk.backend(net.pod, Backend.State.UNREADY);
        boolean udp = talk.protocol == Protocol.UDP;
        talking(talk, "goes on with a backend that drains")
                .given(talk.nodePort(HERE, twin, draining))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(heard));
        talking(talk, udp ? "goes on elsewhere when its backend is gone" : "stays with a backend that is gone")
                .given(talk.nodePort(HERE, twin))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(udp ? anew : heard))
                .knows(asks, udp ? anew : heard, udp ? State.OPENING : State.CONFIRMED);
        talking(
                        talk,
                        udp
                                ? "goes on elsewhere when its backend is not ready"
                                : "stays with a backend that is not ready")
                .given(talk.nodePort(HERE, twin, unready))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(udp ? anew : heard));
        talking(talk, "begins anew elsewhere when its backend is gone")
                .given(talk.nodePort(HERE, twin))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(anew))
                .knows(asks, anew, State.OPENING)
                .knowsNothingOf(heard.turnedRound());
        talking(talk, "begins anew when its backend is gone and came back")
                .given(talk.nodePort(HERE, twin))
                .given(talk.nodePort(HERE, Talk.backend(net.pod, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(heard))
                .counts(2, 0)
                .knows(asks, heard, State.OPENING);
        Packet packet = first(asks).packet();
        talking(talk, "begins anew, and is refused, when all backends are gone")
                .given(talk.nodePort(HERE))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND)
                .knowsNothingOf(asks);
        talking(talk, "the reply of a backend that is gone still gets to the client")
                .given(talk.nodePort(HERE, twin))
                .in(Hook.POD, more(heard.turnedRound()))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).forwarded(asks.turnedRound()));
    }

    /** With a backend here, in the client's own name, confirmed. */
    private PacketCase talking(Talk talk, String description) {
        Tuple asks = talk.asks();
        Tuple heard = talk.heard(talk.net.client, CLIENT_PORT, talk.net.pod);
        return add(talk, description)
                .given(talk.nodePort(HERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(heard.turnedRound()))
                .after(Hook.OUTSIDE, more(asks));
    }

    private void tcp(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple heard = talk.heard(net.client, CLIENT_PORT, net.pod);
        Map<String, Integer> notFirst = Map.of(
                "ACK",
                Packet.TCP_ACK,
                "SYN and ACK",
                Packet.TCP_SYN | Packet.TCP_ACK,
                "RST",
                Packet.TCP_RST,
                "FIN",
                Packet.TCP_FIN,
                "SYN and FIN",
                Packet.TCP_SYN | Packet.TCP_FIN,
                "SYN and RST",
                Packet.TCP_SYN | Packet.TCP_RST,
                "no flag",
                0);
        notFirst.forEach((name, flags) -> add(talk, "out of the blue, with " + name)
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).flags(flags))
                .passes()
                .counts(0, 0)
                .knowsNothingOf(asks));
        add(talk, "a SYN with ECN's flags is a SYN")
                .given(talk.nodePort(HERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).flags(Packet.TCP_SYN | 0xc0))
                .becomes(
                        Verdict.FORWARD,
                        first(asks).flags(Packet.TCP_SYN | 0xc0).forwarded(heard));
        add(talk, "a SYN that comes once more, after its answer, confirms nothing")
                .given(talk.nodePort(HERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_SYN | Packet.TCP_ACK))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(heard))
                .knows(asks, heard, State.ANSWERED);
        talking(talk, "one FIN closes half")
                .in(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .becomes(
                        Verdict.FORWARD,
                        more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK).forwarded(heard))
                .knows(asks, heard, State.HALF_CLOSED);
        talking(talk, "both FINs close")
                .after(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .in(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .becomes(
                        Verdict.FORWARD,
                        more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK).forwarded(heard))
                .knows(asks, heard, State.CLOSED);
        talking(talk, "the last ACK gets through after both FINs")
                .after(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .in(Hook.POD, more(heard.turnedRound()))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).forwarded(asks.turnedRound()))
                .knows(asks, heard, State.CLOSED);
        Backend twin = Talk.backend(net.otherPod, Backend.State.BOTH);
        Tuple anew = talk.heard(net.client, CLIENT_PORT, net.otherPod);
        talking(talk, "a SYN after both FINs chooses anew")
                .after(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .given(talk.nodePort(HERE, twin, Talk.backend(net.pod, Backend.State.DRAINING)))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(anew))
                .counts(2, 0)
                .knows(asks, anew, State.OPENING);
        talking(talk, "a SYN to a backend that drains stays with it while the conversation is not over")
                .given(talk.nodePort(HERE, twin, Talk.backend(net.pod, Backend.State.DRAINING)))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(heard));
        talking(talk, "a RST from the client breaks off")
                .in(Hook.OUTSIDE, more(asks).flags(Packet.TCP_RST))
                .becomes(Verdict.FORWARD, more(asks).flags(Packet.TCP_RST).forwarded(heard))
                .knows(asks, heard, State.RESET);
        talking(talk, "a RST from the backend breaks off")
                .in(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_RST))
                .becomes(
                        Verdict.FORWARD,
                        more(heard.turnedRound()).flags(Packet.TCP_RST).forwarded(asks.turnedRound()))
                .knows(asks, heard, State.RESET);
        talking(talk, "who speaks on after a RST was not broken off")
                .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_RST))
                .after(Hook.POD, more(heard.turnedRound()))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, more(asks).forwarded(heard))
                .knows(asks, heard, State.CONFIRMED);
        talking(talk, "a SYN after a RST chooses anew")
                .after(Hook.POD, more(heard.turnedRound()).flags(Packet.TCP_RST))
                .given(talk.nodePort(HERE, twin))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(anew))
                .knows(asks, anew, State.OPENING);
        Draft options = first(asks).tcpOptions(2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7);
        add(talk, "TCP options go through unread")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, options)
                .becomes(Verdict.FORWARD, options.forwarded(talk.masqueraded(net.bridge, net.pod)));
        Packet withOptions = options.packet();
        int[] padding = new int[20];
        Arrays.fill(padding, 1);
        Draft reset = first(asks.turnedRound()).reset(0x01020305).tcpOptions(padding);
        // The link layer's padding is behind it, where the header would end.
        Packet lying = first(asks).payload(8).packet();
        Packet padded = lying.with((net.v4() ? 20 : 40) + 12, 0x80).cut(lying.bytes().length - Packet.ETHERNET + 6);
        add(talk, "a SYN whose header is longer than the packet gets no reset")
                .given(talk.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, padded)
                .dropped(Reason.REFUSED, Direction.TO_BACKEND);
        add(talk, "a SYN with options is refused by a reset of its length")
                .given(talk.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, withOptions)
                .becomes(Verdict.REPLY, reset)
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
    }

    private void sctp(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        for (int chunk : List.of(Draft.SCTP_DATA, Draft.SCTP_INIT_ACK, 4, 6, 10, 11, 14)) {
            add(talk, "out of the blue, with chunk " + chunk)
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks).chunk(chunk))
                    .passes()
                    .knowsNothingOf(asks);
        }
        Tuple masqueraded = talk.masqueraded(net.bridge, net.pod);
        Tuple other = talk.between(net.other, CLIENT_PORT, net.node, NODE_PORT);
        Tuple heard = talk.heard(net.client, CLIENT_PORT, net.pod);
        Map<String, Integer> ends =
                Map.of("ABORT", Draft.SCTP_ABORT, "SHUTDOWN COMPLETE", Draft.SCTP_SHUTDOWN_COMPLETE);
        ends.forEach((name, chunk) -> {
            add(talk, "a port is free as soon as its conversation has ended by " + name)
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .after(Hook.OUTSIDE, first(asks))
                    .after(Hook.POD, more(masqueraded.turnedRound()))
                    .after(Hook.OUTSIDE, more(asks))
                    .after(Hook.OUTSIDE, more(asks).chunk(chunk))
                    .in(Hook.OUTSIDE, first(other))
                    .becomes(Verdict.FORWARD, first(other).forwarded(masqueraded))
                    .counts(2, 0)
                    .knows(other, masqueraded, State.OPENING)
                    .knowsNothingOf(asks);
            talking(talk, "the backend's " + name + " gets to the client, and is the last")
                    .in(Hook.POD, more(heard.turnedRound()).chunk(chunk))
                    .becomes(
                            Verdict.FORWARD,
                            more(heard.turnedRound()).chunk(chunk).forwarded(asks.turnedRound()))
                    .knows(asks, heard, State.RESET);
            talking(talk, "who speaks on after " + name + " was not broken off")
                    .after(Hook.OUTSIDE, more(asks).chunk(chunk))
                    .after(Hook.POD, more(heard.turnedRound()))
                    .in(Hook.OUTSIDE, more(asks))
                    .becomes(Verdict.FORWARD, more(asks).forwarded(heard))
                    .knows(asks, heard, State.CONFIRMED);
        });
        add(talk, "a checksum that the device is to fill in is left alone")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).unsummed())
                .becomes(Verdict.FORWARD, first(asks).unsummed().forwarded(masqueraded));
        for (int length : List.of(0, 1, 3, 4, 100, 1000, 1400)) {
            add(talk, "CRC32c over " + length + " bytes of payload")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks).payload(length))
                    .becomes(Verdict.FORWARD, first(asks).payload(length).forwarded(masqueraded));
        }
        // RFC 3720, B.4: CRC32c of 32 times zero, 32 times one, and 0 to 31, here behind a header.
        for (int pattern = 0; pattern < 3; pattern++) {
            byte[] bytes = new byte[32];
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) (pattern == 0 ? 0 : pattern == 1 ? 0xff : i);
            }
            add(talk, "CRC32c over known bytes, " + pattern)
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks).payload(bytes))
                    .becomes(Verdict.FORWARD, first(asks).payload(bytes).forwarded(masqueraded));
        }
        List<Packet> fragments = first(asks).payload(1200).fragments(800);
        add(talk, "a fragment whose port changes cannot be mended")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, fragments.getFirst())
                .dropped(Reason.FRAGMENT, Direction.TO_BACKEND);
    }

    private void udp(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple masqueraded = talk.masqueraded(net.bridge, net.pod);
        add(talk, "a datagram without a checksum stays without")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).unsummed())
                .becomes(Verdict.FORWARD, first(asks).unsummed().forwarded(masqueraded));
        for (int length : List.of(0, 1, 2, 999, 1000)) {
            add(talk, "a datagram of " + length + " bytes")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks).payload(length))
                    .becomes(Verdict.FORWARD, first(asks).payload(length).forwarded(masqueraded));
        }
        // The two bytes that make the checksum of the translated datagram zero, which has to be written as ones.
        Draft zero = summingToZero(first(masqueraded));
        add(talk, "a checksum that would be zero is written as ones")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, zero.between(asks))
                .becomes(Verdict.FORWARD, zero.between(asks).forwarded(masqueraded));
        Packet packet = first(asks).payload(1001).packet();
        add(talk, "a refusal quotes 128 bytes")
                .given(talk.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, talk.refusal(packet, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
        Packet empty = first(asks).payload(0).packet();
        add(talk, "a refusal quotes an empty datagram")
                .given(talk.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, empty)
                .becomes(Verdict.REPLY, talk.refusal(empty, asks))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
    }

    private static Draft summingToZero(Draft draft) {
        int transport = draft.tuple().source().isV4() ? 20 : 40;
        byte[] bytes = draft.payload(new byte[] {0, 0}).packet().bytes();
        int at = Packet.ETHERNET + transport + 6;
        // It was complemented: as payload it makes the sum all ones.
        return draft.payload(new byte[] {bytes[at], bytes[at + 1]});
    }

    private void errors(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Packet toBackend =
                more(asks).forwarded(talk.masqueraded(net.node, net.far)).packet();
        Packet asked = more(asks).forwarded(asks).packet();
        Map<String, int[]> kinds = net.v4()
                ? Map.of(
                        "too big",
                        new int[] {0x0304, 1400},
                        "time exceeded",
                        new int[] {0x0b00, 0},
                        "host unreachable",
                        new int[] {0x0301, 0},
                        "parameter problem",
                        new int[] {0x0c00, 0})
                : Map.of(
                        "too big",
                        new int[] {0x0200, 1400},
                        "time exceeded",
                        new int[] {0x0300, 0},
                        "host unreachable",
                        new int[] {0x0103, 0},
                        "parameter problem",
                        new int[] {0x0400, 0});
        kinds.forEach((name, kind) -> {
            add(talk, "a router towards the backend says " + name)
                    .given(talk.nodePort(ANYWHERE, talk.far()))
                    .after(Hook.OUTSIDE, first(asks))
                    .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, kind[0], kind[1], toBackend.quoted(600)))
                    .becomes(
                            Verdict.FORWARD,
                            Packet.icmp(net.router, net.client, 59, kind[0], kind[1], untouched(asked, toBackend)));
            Tuple reply = asks.turnedRound();
            Packet replied = more(reply).packet();
            Packet own = more(talk.heard(net.client, CLIENT_PORT, net.pod).turnedRound())
                    .packet();
            add(talk, "a router towards a client that the backend knows says " + name)
                    .given(talk.nodePort(HERE, talk.here()))
                    .after(Hook.OUTSIDE, first(asks))
                    .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, kind[0], kind[1], replied.quoted(600)))
                    .becomes(
                            Verdict.FORWARD,
                            Packet.icmp(net.router, net.pod, 59, kind[0], kind[1], untouched(own, replied)));
        });
        int unreachable = net.v4() ? 0x0303 : 0x0104;
        add(talk, "the backend says that nobody listens: the client hears it from the service")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.far, net.node, 60, unreachable, 0, toBackend.quoted(60)))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(net.node, net.client, 59, unreachable, 0, cut(untouched(asked, toBackend), 60)));
        Packet masquerading =
                more(talk.masqueraded(net.node, net.far).turnedRound()).packet();
        Packet replied = more(asks.turnedRound()).packet();
        add(talk, "the client says that nobody listens: the backend hears it from the node")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.client, net.node, 60, unreachable, 0, replied.quoted(60)))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(net.node, net.far, 59, unreachable, 0, cut(untouched(masquerading, replied), 60)));
        add(talk, "a router towards a client that the backend does not know: the backend hears it from the node")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, replied.quoted(60)))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(net.node, net.far, 59, unreachable, 0, cut(untouched(masquerading, replied), 60)));
        add(talk, "an error about a conversation that nobody knows")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, toBackend.quoted(600)))
                .passes();
        add(talk, "nobody is told about an error that has come too far")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 1, unreachable, 0, toBackend.quoted(600)))
                .dropped(Reason.TTL, Direction.TO_CLIENT);
        byte[] ports = toBackend.quoted((net.v4() ? 20 : 40) + 8);
        add(talk, "an error that quotes eight bytes of the transport")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, ports))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(
                                net.router,
                                net.client,
                                59,
                                unreachable,
                                0,
                                cut(untouched(asked, toBackend), ports.length)));
    }

    /** A quoted packet between others, whose transport's checksum is left as it was: nobody looks at it. */
    static byte[] untouched(Packet between, Packet before) {
        byte[] bytes = between.quoted(600);
        byte[] old = before.quoted(600);
        int transport = between.isV4() ? 20 : 40;
        int[] checksum = switch (between.tuple().protocol()) {
            case TCP -> new int[] {16, 2};
            case UDP -> new int[] {6, 2};
            case SCTP -> new int[] {8, 4};
        };
        System.arraycopy(old, transport + checksum[0], bytes, transport + checksum[0], checksum[1]);
        return bytes;
    }

    static byte[] cut(byte[] bytes, int length) {
        return Arrays.copyOf(bytes, Math.min(length, bytes.length));
    }

    private void badErrors(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Packet toBackend =
                more(asks).between(talk.masqueraded(net.node, net.far)).packet();
        int unreachable = net.v4() ? 0x0303 : 0x0104;
        int header = net.v4() ? 20 : 40;
        for (int length : List.of(0, 1, header - 1, header, header + 3)) {
            add(talk, "an error that quotes only " + length + " bytes")
                    .given(talk.nodePort(ANYWHERE, talk.far()))
                    .after(Hook.OUTSIDE, first(asks))
                    .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, toBackend.quoted(length)))
                    .passes();
        }
        add(talk, "an error about a packet that its receiver did not send")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.client, 60, unreachable, 0, toBackend.quoted(600)))
                .passes();
        add(talk, "an error about an error")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(
                        Hook.OUTSIDE,
                        Packet.icmp(
                                net.router,
                                net.node,
                                60,
                                unreachable,
                                0,
                                Packet.icmp(net.node, net.router, 60, unreachable, 0, toBackend.quoted(600))
                                        .quoted(600)))
                .passes();
        byte[] wrongVersion = toBackend.quoted(600);
        wrongVersion[0] = (byte) (net.v4() ? 0x65 : 0x45);
        add(talk, "an error that quotes the other family")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, wrongVersion))
                .passes();
        byte[] later = net.v4()
                ? toBackend.with(6, 0).with(7, 10).quoted(600)
                : more(asks)
                        .between(talk.masqueraded(net.node, net.far))
                        .payload(100)
                        .fragments(40)
                        .get(1)
                        .quoted(600);
        add(talk, "an error about a later fragment")
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, unreachable, 0, later))
                .passes();
        for (int type : net.v4() ? List.of(0, 4, 5, 8, 13) : List.of(0, 5, 128, 129, 135, 136)) {
            add(talk, "ICMP of type " + type + " is no error")
                    .given(talk.nodePort(ANYWHERE, talk.far()))
                    .after(Hook.OUTSIDE, first(asks))
                    .in(Hook.OUTSIDE, Packet.icmp(net.router, net.node, 60, type << 8, 0, toBackend.quoted(600)))
                    .passes();
        }
        pings(talk);
        add(talk, "a ping of the other family's ICMP")
                .given(talk.service(talk.at(net.cluster), Access.OPEN))
                .in(Hook.OUTSIDE, ping(net, net.client, net.cluster).with(net.v4() ? 9 : 6, net.v4() ? 58 : 1))
                .passes();
        add(talk, "half a ping")
                .given(talk.service(talk.at(net.cluster), Access.OPEN))
                .in(Hook.OUTSIDE, Packet.ip(net.client, net.cluster, net.v4() ? 1 : 58, 60, new byte[] {
                    (byte) (net.v4() ? 8 : 128), 0, 0, 0
                }))
                .passes();
        add(talk, "an ICMP message without a type")
                .in(Hook.OUTSIDE, Packet.ip(net.router, net.node, net.v4() ? 1 : 58, 60, new byte[0]))
                .passes();
        add(talk, "an error without a body")
                .in(
                        Hook.OUTSIDE,
                        Packet.icmp(net.router, net.node, 60, unreachable, 0, new byte[0])
                                .cut(header + 4))
                .passes();
    }

    private void pings(Talk talk) {
        Net net = talk.net;
        VirtualService external = talk.service(talk.at(net.external), ANYWHERE, talk.here());
        VirtualService cluster = talk.service(talk.at(net.cluster), Access.OPEN);
        add(talk, "a ping to a cluster IP is answered")
                .given(cluster)
                .in(Hook.OUTSIDE, ping(net, net.client, net.cluster))
                .becomes(Verdict.REPLY, pong(net, net.cluster, net.client));
        add(talk, "a pod's ping to a cluster IP is answered")
                .given(cluster)
                .in(Hook.POD, ping(net, net.pod, net.cluster))
                .becomes(Verdict.REPLY, pong(net, net.cluster, net.pod));
        add(talk, "the node's own ping to a cluster IP is answered")
                .given(cluster)
                .in(Hook.HOST, ping(net, net.node, net.cluster))
                .becomes(Verdict.REPLY, pong(net, net.cluster, net.node));
        add(talk, "a ping from elsewhere to an external IP is answered")
                .given(external)
                .in(Hook.OUTSIDE, ping(net, net.client, net.external))
                .becomes(Verdict.REPLY, pong(net, net.external, net.client));
        add(talk, "a pod's ping to an external IP, which may be another machine's")
                .given(external)
                .in(Hook.POD, ping(net, net.pod, net.external))
                .passes();
        add(talk, "a ping to the node")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, ping(net, net.client, net.node))
                .passes();
        add(talk, "a ping to nobody")
                .given(cluster)
                .in(Hook.OUTSIDE, ping(net, net.client, net.external))
                .passes();
    }

    private static Packet ping(Net net, Address source, Address destination) {
        return Packet.icmp(source, destination, 60, net.v4() ? 0x0800 : 0x8000, 0x00070001, new byte[56]);
    }

    private static Packet pong(Net net, Address source, Address destination) {
        return Packet.icmp(source, destination, ANSWER_TTL, net.v4() ? 0 : 0x8100, 0x00070001, new byte[56]);
    }

    private void ways(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        int exceeded = net.v4() ? 0x0b00 : 0x0300;
        for (int hops : List.of(0, 1)) {
            Packet last = first(asks).ttl(hops).packet();
            add(talk, "a packet from elsewhere that may make " + hops + " hops more")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, last)
                    .becomes(Verdict.REPLY, talk.answer(last, asks, exceeded, 0))
                    .counts(Reason.TTL, Direction.TO_BACKEND);
        }
        Tuple heard = talk.masqueraded(net.bridge, net.pod);
        Packet lastReply = more(heard.turnedRound()).ttl(1).packet();
        add(talk, "a reply that has come too far")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.POD, lastReply)
                .becomes(Verdict.REPLY, talk.answer(lastReply, heard.turnedRound(), exceeded, 0))
                .counts(Reason.TTL, Direction.TO_CLIENT);
        add(talk, "to the node itself, the last hop is good")
                .given(talk.nodePort(ANYWHERE, Talk.backend(net.node, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, first(asks).ttl(1))
                .becomes(Verdict.CONTINUE, first(asks).ttl(1).between(talk.heard(net.client, CLIENT_PORT, net.node)));
        Tuple host = talk.between(net.node, CLIENT_PORT, net.cluster, SERVICE_PORT);
        add(talk, "from the node itself, one hop is enough to a pod")
                .given(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()))
                .in(Hook.HOST, first(host).ttl(1))
                .becomes(Verdict.FORWARD, first(host).ttl(1).between(heard));
        int tooBig = net.v4() ? 0x0304 : 0x0200;
        int overhead = (net.v4() ? 20 : 40)
                + switch (talk.protocol) {
                    case TCP -> 20;
                    case UDP -> 8;
                    case SCTP -> 16;
                };
        int most = PacketLab.NARROW_MTU - overhead;
        Tuple narrow = talk.masqueraded(net.tunnel, net.narrow);
        add(talk, "just not too big for the way")
                .given(talk.nodePort(ANYWHERE, talk.narrow()))
                .in(Hook.OUTSIDE, first(asks).payload(most))
                .becomes(Verdict.FORWARD, first(asks).payload(most).forwarded(narrow));
        Packet big = first(asks).payload(most + 4).packet();
        add(talk, "too big for the way: its sender is told how big it may be")
                .given(talk.nodePort(ANYWHERE, talk.narrow()))
                .in(Hook.OUTSIDE, big)
                .becomes(Verdict.REPLY, talk.answer(big, asks, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND)
                .knows(asks, narrow, State.OPENING);
        add(talk, "after a first packet that was too big, in the node's name too")
                .given(talk.nodePort(ANYWHERE, talk.narrow()))
                .after(Hook.OUTSIDE, big)
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(narrow))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND);
        Packet laterBig = more(asks).payload(most + 4).packet();
        add(talk, "too big later on")
                .given(talk.nodePort(ANYWHERE, talk.narrow()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, laterBig)
                .becomes(Verdict.REPLY, talk.answer(laterBig, asks, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND);
        VirtualService inside = talk.service(talk.at(net.cluster), Access.OPEN, talk.narrow());
        Packet hostBig = first(host).payload(most + 4).packet();
        add(talk, "from the node itself, too big for the way")
                .given(inside)
                .in(Hook.HOST, hostBig)
                .becomes(Verdict.REPLY, talk.answer(hostBig, host, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND)
                .knows(host, narrow, State.OPENING);
        if (net.v4()) {
            divisible(talk, most + 4);
        }
    }

    /** Too large for the narrow way, but it may be cut. */
    private void divisible(Talk talk, int payload) {
        Net net = talk.net;
        int tooBig = 0x0304;
        VirtualService inside = talk.service(talk.at(net.cluster), Access.OPEN, talk.narrow());
        Tuple cluster = talk.between(net.client, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Draft own = first(cluster).payload(payload).mayFragment();
        add(talk, "too big, but it may be cut, in the client's own name: the kernel does")
                .given(inside)
                .in(Hook.OUTSIDE, own)
                .becomes(Verdict.CONTINUE, own.between(talk.heard(net.client, CLIENT_PORT, net.narrow)));
        Tuple asks = talk.asks();
        Tuple narrow = talk.masqueraded(net.tunnel, net.narrow);
        Packet masqueraded = first(asks).payload(payload).mayFragment().packet();
        add(talk, "too big, but it may be cut, in the node's name: the kernel would take it for a forgery")
                .given(talk.nodePort(ANYWHERE, talk.narrow()))
                .in(Hook.OUTSIDE, masqueraded)
                .becomes(Verdict.REPLY, talk.answer(masqueraded, asks, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND)
                .knows(asks, narrow, State.OPENING);
        Tuple host = talk.between(net.node, CLIENT_PORT, net.cluster, SERVICE_PORT);
        Packet fromHost = first(host).payload(payload).mayFragment().packet();
        add(talk, "too big, but it may be cut, from the node itself")
                .given(inside)
                .in(Hook.HOST, fromHost)
                .becomes(Verdict.REPLY, talk.answer(fromHost, host, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND)
                .knows(host, narrow, State.OPENING);
        Tuple back = talk.between(net.narrow, CLIENT_PORT, net.node, NODE_PORT);
        Tuple heard = talk.masqueraded(net.bridge, net.pod).turnedRound();
        Packet reply = more(heard).payload(payload).mayFragment().packet();
        add(talk, "a reply too big, but it may be cut: it seems to come from the service")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .after(Hook.OUTSIDE, first(back))
                .in(Hook.POD, reply)
                .becomes(Verdict.REPLY, talk.answer(reply, heard, tooBig, PacketLab.NARROW_MTU))
                .counts(Reason.TOO_BIG, Direction.TO_CLIENT);
        if (talk.protocol == Protocol.UDP) {
            List<Packet> pieces = first(asks).payload(3_000).fragments(1_400);
            add(talk, "the first fragment, too big, in the node's name")
                    .given(talk.nodePort(ANYWHERE, talk.narrow()))
                    .in(Hook.OUTSIDE, pieces.get(0))
                    .becomes(Verdict.REPLY, talk.answer(pieces.get(0), asks, tooBig, PacketLab.NARROW_MTU))
                    .counts(Reason.TOO_BIG, Direction.TO_BACKEND)
                    .knows(asks, narrow, State.OPENING);
            add(talk, "a later fragment, too big, in the node's name: its sender has been told")
                    .given(talk.nodePort(ANYWHERE, talk.narrow()))
                    .after(Hook.OUTSIDE, pieces.get(0))
                    .in(Hook.OUTSIDE, pieces.get(1))
                    .dropped(Reason.TOO_BIG, Direction.TO_BACKEND)
                    .counts(Reason.TOO_BIG, Direction.TO_BACKEND);
        }
    }

    private void fragments(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        // Without masquerading to the same port, so that SCTP's checksum stays.
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, BACKEND_PORT);
        Tuple heard = talk.heard(net.client, CLIENT_PORT, net.pod);
        VirtualService service =
                talk.service(new Frontend(net.external, BACKEND_PORT, talk.protocol), HERE, talk.here());
        Draft whole = first(external).payload(1200);
        List<Packet> in = whole.fragments(480);
        List<Packet> out = whole.forwarded(heard).fragments(480);
        add(talk, "the first fragment")
                .given(service)
                .in(Hook.OUTSIDE, in.get(0))
                .becomes(Verdict.FORWARD, out.get(0));
        for (int i : List.of(1, 2)) {
            add(talk, "fragment " + i + " after the first")
                    .given(service)
                    .after(Hook.OUTSIDE, in.get(0))
                    .in(Hook.OUTSIDE, in.get(i))
                    .becomes(Verdict.FORWARD, out.get(i))
                    .counts(1, 0);
            add(talk, "fragment " + i + " without the first")
                    .given(service)
                    .in(Hook.OUTSIDE, in.get(i))
                    .passes()
                    .counts(0, 0);
        }
        List<Packet> foreign = whole.id(0x4321).fragments(480);
        add(talk, "a fragment of another datagram")
                .given(service)
                .after(Hook.OUTSIDE, in.get(0))
                .in(Hook.OUTSIDE, foreign.get(1))
                .passes();
        if (talk.protocol != Protocol.SCTP) {
            Draft reply =
                    more(talk.masqueraded(net.bridge, net.pod).turnedRound()).payload(1200);
            Draft replied = reply.forwarded(asks.turnedRound());
            add(talk, "the first fragment of a reply")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .after(Hook.OUTSIDE, first(asks))
                    .in(Hook.POD, reply.fragments(480).get(0))
                    .becomes(Verdict.FORWARD, replied.fragments(480).get(0));
            add(talk, "a later fragment of a reply")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .after(Hook.OUTSIDE, first(asks))
                    .after(Hook.POD, reply.fragments(480).get(0))
                    .in(Hook.POD, reply.fragments(480).get(2))
                    .becomes(Verdict.FORWARD, replied.fragments(480).get(2));
            Draft masqueraded = first(asks).payload(1200);
            add(talk, "the first fragment in the node's name")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, masqueraded.fragments(480).get(0))
                    .becomes(
                            Verdict.FORWARD,
                            masqueraded
                                    .forwarded(talk.masqueraded(net.bridge, net.pod))
                                    .fragments(480)
                                    .get(0));
            Packet refused = first(asks).payload(1200).fragments(480).get(0);
            if (talk.protocol == Protocol.UDP) {
                add(talk, "the first fragment is refused")
                        .given(talk.nodePort(ANYWHERE))
                        .in(Hook.OUTSIDE, refused)
                        .becomes(Verdict.REPLY, talk.refusal(refused, asks))
                        .counts(Reason.REFUSED, Direction.TO_BACKEND);
            }
        }
        Packet tiny = whole.fragments(8).get(0);
        if (talk.protocol != Protocol.UDP) {
            add(talk, "a first fragment too small for the transport's header")
                    .given(service)
                    .in(Hook.OUTSIDE, tiny)
                    .passes()
                    .knowsNothingOf(external);
        }
    }

    /** Cut at each byte within the headers, with a length that says so. */
    private void cutShort(Talk talk) {
        Tuple asks = talk.asks();
        int ip = talk.net.v4() ? 20 : 40;
        Packet whole = first(asks).packet();
        int header = switch (talk.protocol) {
            case TCP -> 20;
            case UDP -> 8;
            case SCTP -> 16;
        };
        for (int length = 0; length < header; length++) {
            Packet cut = whole.cut(ip + length);
            Packet told =
                    talk.net.v4() ? cut.with(3, ip + length) : cut.with(4, 0).with(5, length);
            add(talk, "a packet that ends after " + length + " bytes of the transport's header")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, told)
                    .passes()
                    .counts(0, 0)
                    .knowsNothingOf(asks);
        }
        for (int length : List.of(0, 1, ip / 2, ip - 1)) {
            add(talk, "a packet that ends after " + length + " bytes of IP")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, whole.cut(length))
                    .passes();
        }
        Packet longer = first(asks).payload(100).packet();
        add(talk, "a packet shorter than it says")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, longer.cut(longer.bytes().length - Packet.ETHERNET - 1))
                .passes()
                .counts(0, 0)
                .knowsNothingOf(asks);
        Packet out = first(asks)
                .forwarded(talk.masqueraded(talk.net.bridge, talk.net.pod))
                .packet();
        add(talk, "a packet that the link layer has padded")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, whole.cut(whole.bytes().length - Packet.ETHERNET + 6))
                .becomes(Verdict.FORWARD, out.cut(out.bytes().length - Packet.ETHERNET + 6));
    }

    /** Sources that nobody may send from. */
    private void strangers(Talk talk) {
        Net net = talk.net;
        List<String> sources = net.v4()
                ? List.of("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255")
                : List.of("::1", "::", "ff02::1");
        for (String source : sources) {
            Tuple asks = talk.between(Address.of(source), CLIENT_PORT, net.node, NODE_PORT);
            add(talk, "from " + source + ", which is nobody's on the wire")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks))
                    .passes()
                    .knowsNothingOf(asks);
        }
    }

    private void headersOfIp4(Talk talk) {
        Net net = talk.net;
        Tuple asks = talk.asks();
        Tuple heard = talk.masqueraded(net.bridge, net.pod);
        for (int options : List.of(4, 8, 40)) {
            add(talk, options + " bytes of IP options")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(asks).options(options))
                    .becomes(Verdict.FORWARD, first(asks).options(options).forwarded(heard));
        }
        Talk udp = new Talk(net, Protocol.UDP);
        Packet packet = first(udp.asks()).options(40).packet();
        add(udp, "a refusal quotes IP options")
                .given(udp.nodePort(ANYWHERE))
                .in(Hook.OUTSIDE, packet)
                .becomes(Verdict.REPLY, udp.refusal(packet, udp.asks()))
                .counts(Reason.REFUSED, Direction.TO_BACKEND);
    }

    private void headersOfIp6(Talk talk) {
        Net net = talk.net;
        for (Protocol protocol : Protocol.values()) {
            Talk each = new Talk(net, protocol);
            Tuple asks = each.asks();
            Tuple heard = each.masqueraded(net.bridge, net.pod);
            Map<String, int[]> kinds = Map.of(
                    "hop-by-hop options", new int[] {Draft.HOP_BY_HOP, 8},
                    "long hop-by-hop options", new int[] {Draft.HOP_BY_HOP, 64},
                    "destination options", new int[] {Draft.DESTINATION_OPTIONS, 16},
                    "a routing header", new int[] {Draft.ROUTING, 24},
                    "an authentication header", new int[] {Draft.AUTHENTICATION, 24},
                    "a fragment header of a whole packet", new int[] {Draft.FRAGMENT, 8});
            kinds.forEach((name, kind) -> {
                Draft draft = first(asks).extension(kind[0], kind[1]);
                add(each, "behind " + name)
                        .given(each.nodePort(ANYWHERE, each.here()))
                        .in(Hook.OUTSIDE, draft)
                        .becomes(Verdict.FORWARD, draft.forwarded(heard));
            });
            Draft chain = first(asks)
                    .extension(Draft.HOP_BY_HOP, 8)
                    .extension(Draft.DESTINATION_OPTIONS, 8)
                    .extension(Draft.ROUTING, 24)
                    .extension(Draft.FRAGMENT, 8)
                    .extension(Draft.AUTHENTICATION, 16)
                    .extension(Draft.DESTINATION_OPTIONS, 8);
            add(each, "behind six headers")
                    .given(each.nodePort(ANYWHERE, each.here()))
                    .in(Hook.OUTSIDE, chain)
                    .becomes(Verdict.FORWARD, chain.forwarded(heard));
            add(each, "behind seven headers")
                    .given(each.nodePort(ANYWHERE, each.here()))
                    .in(Hook.OUTSIDE, chain.extension(Draft.DESTINATION_OPTIONS, 8))
                    .passes();
        }
        Tuple asks = talk.asks();
        Draft optioned = first(asks).extension(Draft.DESTINATION_OPTIONS, 16);
        for (int length : List.of(40, 41, 47, 48, 55)) {
            add(talk, "an extension header cut after " + (length - 40) + " bytes")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, optioned.packet().cut(length).with(5, length - 40))
                    .passes();
        }
        add(talk, "an extension header that leads beyond the packet")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, optioned.packet().with(41, 255))
                .passes();
        add(talk, "an encrypted packet")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).packet().with(6, 50))
                .passes();
        add(talk, "no next header")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, first(asks).packet().with(6, 59))
                .passes();
    }

    private void badIp4(Talk talk) {
        Tuple asks = talk.asks();
        Packet packet = first(asks).packet();
        VirtualService service = talk.nodePort(ANYWHERE, talk.here());
        for (int length : List.of(0, 1, 4)) {
            add(talk, "a header of " + length + " words")
                    .given(service)
                    .in(Hook.OUTSIDE, packet.with(0, 0x40 | length))
                    .passes();
        }
        for (int version : List.of(0, 3, 5, 6, 15)) {
            add(talk, "version " + version)
                    .given(service)
                    .in(Hook.OUTSIDE, packet.with(0, version << 4 | 5))
                    .passes();
        }
        for (int total : List.of(0, 1, 19)) {
            add(talk, "a total length of " + total)
                    .given(service)
                    .in(Hook.OUTSIDE, packet.with(2, 0).with(3, total))
                    .passes();
        }
        add(talk, "a total length without the transport's header")
                .given(service)
                .in(Hook.OUTSIDE, packet.with(3, 20))
                .passes();
        add(talk, "options longer than the packet")
                .given(service)
                .in(Hook.OUTSIDE, packet.with(0, 0x4f))
                .passes();
        add(talk, "a protocol that services do not have")
                .given(service)
                .in(Hook.OUTSIDE, packet.with(9, 47))
                .passes();
    }

    private void badIp6(Talk talk) {
        Tuple asks = talk.asks();
        Packet packet = first(asks).packet();
        VirtualService service = talk.nodePort(ANYWHERE, talk.here());
        for (int version : List.of(0, 4, 5, 7, 15)) {
            add(talk, "version " + version)
                    .given(service)
                    .in(Hook.OUTSIDE, packet.with(0, version << 4))
                    .passes();
        }
        add(talk, "a payload length without the transport's header")
                .given(service)
                .in(Hook.OUTSIDE, packet.with(5, 19))
                .passes();
        // They would be looked up as if they were of the other family.
        Packet mapped = packet;
        byte[] source = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, (byte) 203, 0, 113, 5};
        for (int i = 0; i < source.length; i++) {
            mapped = mapped.with(8 + i, source[i]);
        }
        add(talk, "an IPv4-mapped source")
                .given(service)
                .in(Hook.OUTSIDE, mapped)
                .passes();
        Packet to = packet;
        byte[] destination = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, (byte) 192, (byte) 168, 7, 1};
        for (int i = 0; i < destination.length; i++) {
            to = to.with(24 + i, destination[i]);
        }
        Talk v4 = new Talk(Net.V4, talk.protocol);
        add(talk, "an IPv4-mapped destination")
                .given(v4.nodePort(ANYWHERE, v4.here()))
                .in(Hook.OUTSIDE, to)
                .passes();
    }

    private void otherFrames() {
        for (Net net : Net.values()) {
            Talk talk = new Talk(net, Protocol.TCP);
            add(talk, "a frame for somebody else, which a switch has flooded")
                    .given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, first(talk.asks()))
                    .addressed(new byte[] {2, 0, 0, 0, 0, 7})
                    .passes()
                    .counts(0, 0);
            Talk udp = new Talk(net, Protocol.UDP);
            Tuple group = udp.between(net.client, CLIENT_PORT, Address.of(net.v4() ? "224.0.0.251" : "ff02::fb"), 80);
            add(udp, "to a multicast address")
                    .given(udp.service(udp.at(net.external), ANYWHERE, udp.here()))
                    .in(Hook.OUTSIDE, first(group))
                    .passes();
        }
        for (int type : List.of(0x0806, 0x8100, 0x88a8, 0x8847, 0x0026, 0x88cc)) {
            PacketCase each = new PacketCase(String.format("a frame of type %04x", type));
            Talk talk = new Talk(Net.V4, Protocol.TCP);
            byte[] frame = first(talk.asks()).packet().bytes();
            frame[12] = (byte) (type >> 8);
            frame[13] = (byte) type;
            cases.add(each.given(talk.nodePort(ANYWHERE, talk.here()))
                    .in(Hook.OUTSIDE, new Packet(frame))
                    .passes());
        }
    }
}
