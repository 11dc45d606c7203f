package io.shunt.datapath;

import static io.shunt.datapath.Draft.first;
import static io.shunt.datapath.Draft.more;
import static io.shunt.datapath.PacketTable.ANYWHERE;
import static io.shunt.datapath.PacketTable.BACKEND_PORT;
import static io.shunt.datapath.PacketTable.CLIENT_PORT;
import static io.shunt.datapath.PacketTable.NODE_PORT;
import static io.shunt.datapath.PacketTable.SERVICE_PORT;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Direction;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Reason;
import io.shunt.datapath.PacketCase.State;
import io.shunt.datapath.PacketCase.Verdict;
import io.shunt.datapath.PacketTable.Net;
import io.shunt.datapath.PacketTable.Talk;
import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The part of the {@link PacketTable} where backends answer clients themselves: both at the node that a client asks, and at the backend's. */
final class DirectTable {
    private static final Access DIRECT = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true);
    private static final Access RESTRICTED = new Access(Reach.CLUSTER, Reach.CLUSTER, true, true, true);

    private final List<PacketCase> cases = new ArrayList<>();
    private final Talk talk;
    private final Net net;
    /** The client asks this node. */
    private final Tuple asks;
    /** From here to where the backend is; the port tells which of its own it is. */
    private final Tuple across;
    /** Another node, and what a client asks of it. */
    private final Address node;

    private final Tuple asked;
    /** The same, as the backend hears it. */
    private final Tuple heard;

    private DirectTable(Talk talk) {
        this.talk = talk;
        net = talk.net();
        asks = talk.asks();
        across = talk.heard(net.node, CLIENT_PORT, net.far);
        node = Address.of(net.v4() ? "192.168.7.2" : "fd07::2");
        asked = talk.between(net.client, CLIENT_PORT, node, NODE_PORT);
        heard = talk.heard(net.client, CLIENT_PORT, net.pod);
        there();
        changes();
        ways();
        here();
        refusals();
        strangers();
        errors();
        if (talk.protocol() == Protocol.TCP) {
            ends();
            segments();
        }
    }

    static List<PacketCase> cases() {
        List<PacketCase> all = new ArrayList<>();
        for (Net net : Net.values()) {
            for (Protocol protocol : Protocol.values()) {
                all.addAll(new DirectTable(new Talk(net, protocol)).cases);
            }
        }
        return all;
    }

    private PacketCase add(String description) {
        PacketCase each =
                new PacketCase(talk.protocol() + " " + (net.v4() ? "IPv4" : "IPv6") + ", direct: " + description);
        cases.add(each);
        return each;
    }

    private Packet sent(Draft draft) {
        return draft.ttl(63).packet().within(net.node, net.far);
    }

    private Packet received(Draft draft) {
        return draft.packet().within(node, net.pod);
    }

    private void there() {
        add("to a backend on another node, as it is")
                .given(talk.nodePort(DIRECT, talk.far()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, sent(first(asks)))
                .counts(1, 0)
                .knowsOneWay(asks, across, State.OPENING);
        add("who goes on has been answered")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, sent(more(asks)))
                .counts(1, 0)
                .knowsOneWay(asks, across, State.CONFIRMED);
        add("who begins again has not")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, sent(first(asks)))
                .counts(1, 0)
                .knowsOneWay(asks, across, talk.protocol() == Protocol.UDP ? State.CONFIRMED : State.OPENING);
        add("goes on without an end")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.OUTSIDE, more(asks))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, sent(more(asks)))
                .knowsOneWay(asks, across, State.CONFIRMED);
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT);
        add("by an external IP")
                .given(talk.service(talk.at(net.external), DIRECT, talk.far()))
                .in(Hook.OUTSIDE, first(external))
                .becomes(Verdict.FORWARD, sent(first(external)));
        add("to a backend here, in the client's own name")
                .given(talk.nodePort(DIRECT, talk.here()))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(talk.heard(net.client, CLIENT_PORT, net.pod)))
                .knows(asks, talk.heard(net.client, CLIENT_PORT, net.pod), State.OPENING);
        add("to the client itself, in the node's name")
                .given(talk.nodePort(DIRECT, Talk.backend(net.client, Backend.State.CLUSTER)))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).forwarded(talk.masqueraded(net.node, net.client)));
        Tuple inside = talk.between(net.otherPod, CLIENT_PORT, net.external, SERVICE_PORT);
        add("from a pod here, in the node's name")
                .given(talk.service(talk.at(net.external), DIRECT, talk.far()))
                .in(Hook.POD, first(inside))
                .becomes(Verdict.FORWARD, first(inside).forwarded(talk.masqueraded(net.node, net.far)));
        if (net.v4()) {
            Draft urgent = first(asks);
            add("how urgent it is can be seen, and that a router was congested cannot")
                    .given(talk.nodePort(DIRECT, talk.far()))
                    .in(Hook.OUTSIDE, urgent.packet().with(1, 0xbb))
                    .becomes(
                            Verdict.FORWARD,
                            urgent.ttl(63).packet().with(1, 0xbb).within(net.node, net.far));
        }
        List<Packet> in = first(asks).payload(1200).fragments(480);
        List<Packet> out = first(asks).payload(1200).ttl(63).fragments(480);
        add("the first fragment")
                .given(talk.nodePort(DIRECT, talk.far()))
                .in(Hook.OUTSIDE, in.get(0))
                .becomes(Verdict.FORWARD, out.get(0).within(net.node, net.far));
        add("a later fragment, which is no second packet")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, in.get(0))
                .in(Hook.OUTSIDE, in.get(2))
                .becomes(Verdict.FORWARD, out.get(2).within(net.node, net.far))
                .knowsOneWay(asks, across, State.OPENING);
    }

    private void changes() {
        Address another = Address.of(net.v4() ? "10.2.0.3" : "fd00:2::3");
        VirtualService moved = talk.nodePort(DIRECT, Talk.backend(another, Backend.State.CLUSTER));
        add("the backend is gone: who begins goes to another")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .given(moved)
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, first(asks).ttl(63).packet().within(net.node, another))
                .counts(2, 0)
                .knowsOneWay(asks, talk.heard(net.node, CLIENT_PORT, another), State.OPENING);
        add("the backend drains: who has it keeps it")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .given(talk.nodePort(
                        DIRECT,
                        Talk.backend(net.far, Backend.State.DRAINING),
                        Talk.backend(another, Backend.State.CLUSTER)))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, sent(more(asks)));
        add("no longer direct: who is there stays as he was")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .given(talk.nodePort(ANYWHERE, talk.far()))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, sent(more(asks)));
    }

    private void ways() {
        int exceeded = net.v4() ? 0x0b00 : 0x0300;
        Packet last = first(asks).ttl(1).packet();
        add("a packet that may make no hop more")
                .given(talk.nodePort(DIRECT, talk.far()))
                .in(Hook.OUTSIDE, last)
                .becomes(Verdict.REPLY, talk.answer(last, asks, exceeded, 0))
                .counts(Reason.TTL, Direction.TO_BACKEND);
        if (!net.v4()) {
            add("less would be left of the way than everyone has to let through: in the node's name")
                    .given(talk.nodePort(DIRECT, talk.narrow()))
                    .in(Hook.OUTSIDE, first(asks))
                    .becomes(Verdict.FORWARD, first(asks).forwarded(talk.masqueraded(net.tunnel, net.narrow)))
                    .knows(asks, talk.masqueraded(net.tunnel, net.narrow), State.OPENING);
        }
        int mtu = net.v4() ? PacketLab.NARROW_MTU - 20 : 1500 - 40;
        Backend backend = net.v4() ? talk.narrow() : talk.far();
        Address from = net.v4() ? net.tunnel : net.node;
        int most = mtu
                - (net.v4() ? 20 : 40)
                - switch (talk.protocol()) {
                    case TCP -> 20;
                    case UDP -> 8;
                    case SCTP -> 16;
                };
        add("just not too big for the way")
                .given(talk.nodePort(DIRECT, backend))
                .in(Hook.OUTSIDE, first(asks).payload(most))
                .becomes(
                        Verdict.FORWARD,
                        first(asks).payload(most).ttl(63).packet().within(from, backend.address()));
        int tooBig = net.v4() ? 0x0304 : 0x0200;
        Packet big = first(asks).payload(most + 4).packet();
        add("too big once it is within another: its sender is told how big it may be")
                .given(talk.nodePort(DIRECT, backend))
                .in(Hook.OUTSIDE, big)
                .becomes(Verdict.REPLY, talk.answer(big, asks, tooBig, mtu))
                .counts(Reason.TOO_BIG, Direction.TO_BACKEND);
        if (net.v4()) {
            Packet divisible = first(asks).payload(most + 4).mayFragment().packet();
            add("too big, and nobody can cut it any more: its sender is told")
                    .given(talk.nodePort(DIRECT, backend))
                    .in(Hook.OUTSIDE, divisible)
                    .becomes(Verdict.REPLY, talk.answer(divisible, asks, tooBig, mtu))
                    .counts(Reason.TOO_BIG, Direction.TO_BACKEND);
        }
    }

    private void here() {
        VirtualService service = talk.nodePort(DIRECT, talk.here());
        add("from another node to a backend here")
                .given(service)
                .in(Hook.OUTSIDE, received(first(asked)))
                .becomes(Verdict.FORWARD, first(asked).forwarded(heard))
                .counts(0, 0)
                .knows(asked, heard, State.OPENING);
        add("the backend answers the client itself, by the other node's address")
                .given(service)
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(Hook.POD, more(heard.turnedRound()))
                .becomes(Verdict.FORWARD, more(heard.turnedRound()).forwarded(asked.turnedRound()))
                .knows(asked, heard, State.ANSWERED);
        add("the client goes on by the other node")
                .given(service)
                .after(Hook.OUTSIDE, received(first(asked)))
                .after(Hook.POD, more(heard.turnedRound()))
                .in(Hook.OUTSIDE, received(more(asked)))
                .becomes(Verdict.FORWARD, more(asked).forwarded(heard))
                .knows(asked, heard, State.CONFIRMED);
        Tuple external = talk.between(net.client, CLIENT_PORT, net.external, SERVICE_PORT);
        add("from another node by an external IP")
                .given(talk.service(talk.at(net.external), DIRECT, talk.here()))
                .in(Hook.OUTSIDE, received(first(external)))
                .becomes(Verdict.FORWARD, first(external).forwarded(heard));
        add("to a backend that is the node itself, up the stack")
                .given(talk.nodePort(DIRECT, Talk.backend(net.node, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, first(asked).packet().within(node, net.node))
                .becomes(Verdict.CONTINUE, first(asked).between(talk.heard(net.client, CLIENT_PORT, net.node)));
        add("of a conversation that this node has forgotten")
                .given(service)
                .in(Hook.OUTSIDE, received(more(asked)))
                .becomes(Verdict.FORWARD, more(asked).forwarded(heard))
                .knows(asked, heard, State.OPENING);
        add("to a backend that takes nobody new, of which the other node has not heard")
                .given(service, talk.nodePort(DIRECT, Talk.backend(net.pod, Backend.State.DRAINING)))
                .in(Hook.OUTSIDE, received(first(asked)))
                .becomes(Verdict.FORWARD, first(asked).forwarded(heard));
        add("the other node has chosen another backend here")
                .given(talk.nodePort(DIRECT, talk.here(), Talk.backend(net.otherPod, Backend.State.BOTH)))
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(Hook.OUTSIDE, first(asked).packet().within(node, net.otherPod))
                .becomes(Verdict.FORWARD, first(asked).forwarded(talk.heard(net.client, CLIENT_PORT, net.otherPod)))
                .knows(asked, talk.heard(net.client, CLIENT_PORT, net.otherPod), State.OPENING);
        Tuple twin = talk.between(net.client, CLIENT_PORT, net.node, NODE_PORT);
        add("the client has asked this node too from the same port: by another")
                .given(service)
                .after(Hook.OUTSIDE, first(twin))
                .in(Hook.OUTSIDE, received(first(asked)))
                .becomes(Verdict.FORWARD, first(asked).forwarded(talk.masqueraded(net.client, net.pod)))
                .knows(twin, heard, State.OPENING);
        VirtualService restricted = new VirtualService(
                "web",
                Map.of(talk.at(net.external), RESTRICTED),
                List.of(talk.here()),
                List.of(Prefix.of(net.other)),
                0);
        add("from another node, but the client is in none of the source ranges")
                .given(restricted)
                .in(Hook.OUTSIDE, received(first(external)))
                .dropped(Reason.SOURCE_RANGE, Direction.TO_BACKEND)
                .knowsNothingOf(external);
        List<Packet> in = first(asked).payload(1200).fragments(480);
        Tuple same = talk.between(net.client, CLIENT_PORT, net.external, BACKEND_PORT);
        List<Packet> parts = first(same).payload(1200).fragments(480);
        VirtualService unchangedPort = talk.service(
                new io.shunt.table.Frontend(net.external, BACKEND_PORT, talk.protocol()), DIRECT, talk.here());
        for (int i : List.of(1, 2)) {
            add("fragment " + i + " from another node after the first")
                    .given(unchangedPort)
                    .after(Hook.OUTSIDE, parts.get(0).within(node, net.pod))
                    .in(Hook.OUTSIDE, parts.get(i).within(node, net.pod))
                    .becomes(
                            Verdict.FORWARD,
                            first(same)
                                    .payload(1200)
                                    .forwarded(heard)
                                    .fragments(480)
                                    .get(i));
        }
        add("a later fragment from another node without the first")
                .given(service)
                .in(Hook.OUTSIDE, in.get(1).within(node, net.pod))
                .passes();
    }

    /** The kernel's forwarding tells the client, who is not behind the device that they come by. */
    private void refusals() {
        add("from another node with no hop more to make: up the stack, which says so")
                .given(talk.nodePort(DIRECT, talk.here()))
                .in(Hook.OUTSIDE, received(first(asked).ttl(1)))
                .becomes(Verdict.CONTINUE, first(asked).ttl(1).between(heard));
        Draft big = first(asked).payload(PacketLab.NARROW_MTU);
        add("from another node, and too big for the way to the backend here: up the stack, which says so")
                .given(talk.nodePort(DIRECT, Talk.backend(net.narrow, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, big.packet().within(node, net.narrow))
                .becomes(Verdict.CONTINUE, big.between(talk.heard(net.client, CLIENT_PORT, net.narrow)));
        // Behind another device than the one that the tunnel's packets come by.
        Tuple elsewhere = talk.between(net.narrow, CLIENT_PORT, node, NODE_PORT);
        Draft tooBig = first(elsewhere).payload(1500);
        add("the same of a client who comes by another device: as by that one, or the stack would not take it in")
                .given(talk.nodePort(DIRECT, talk.here()))
                .in(Hook.OUTSIDE, tooBig.packet().within(node, net.pod))
                .becomes(Verdict.DELIVER, tooBig.between(talk.heard(net.narrow, CLIENT_PORT, net.pod)));
        add("from a client who comes by another device, to a backend that is the node itself")
                .given(talk.nodePort(DIRECT, Talk.backend(net.node, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, first(elsewhere).packet().within(node, net.node))
                .becomes(Verdict.DELIVER, first(elsewhere).between(talk.heard(net.narrow, CLIENT_PORT, net.node)));
        add("the stack says so: the client hears it from the service")
                .given(talk.nodePort(DIRECT, talk.here()))
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(
                        Hook.HOST,
                        Packet.icmp(
                                net.node,
                                net.client,
                                64,
                                net.v4() ? 0x0304 : 0x0200,
                                1280,
                                more(heard).packet().quoted(600)))
                .becomes(
                        Verdict.CONTINUE,
                        Packet.icmp(
                                net.node,
                                net.client,
                                64,
                                net.v4() ? 0x0304 : 0x0200,
                                1280,
                                PacketTable.untouched(
                                        more(asked).packet(), more(heard).packet())));
    }

    private void strangers() {
        VirtualService service = talk.nodePort(DIRECT, talk.here());
        Packet wrapped = received(first(asked));
        add("a tunnel's packet to a backend on another node")
                .given(talk.nodePort(DIRECT, talk.far()))
                .in(Hook.OUTSIDE, first(asked).packet().within(node, net.far))
                .passes();
        add("a tunnel's packet to no backend")
                .given(service)
                .in(Hook.OUTSIDE, first(asked).packet().within(node, net.node))
                .passes();
        add("a tunnel's packet to a backend of a service that is not direct")
                .given(talk.nodePort(ANYWHERE, talk.here()))
                .in(Hook.OUTSIDE, wrapped)
                .passes();
        Tuple unknown = talk.between(net.client, CLIENT_PORT, node, NODE_PORT + 1);
        add("a tunnel's packet that asks no service")
                .given(service)
                .in(Hook.OUTSIDE, received(first(unknown)))
                .passes();
        add("a tunnel's packet to a backend that is gone")
                .given(service, talk.nodePort(DIRECT, Talk.backend(net.otherPod, Backend.State.BOTH)))
                .in(Hook.OUTSIDE, wrapped)
                .passes();
        add("a tunnel's packet to a backend that is not ready")
                .given(service, talk.nodePort(DIRECT, Talk.backend(net.pod, Backend.State.UNREADY)))
                .in(Hook.OUTSIDE, wrapped)
                .passes();
        add("a tunnel's packet from a pod").given(service).in(Hook.POD, wrapped).passes();
        add("a tunnel's packet from the node itself")
                .given(service)
                .in(Hook.HOST, wrapped)
                .passes();
        add("a tunnel's packet of which the rest is missing")
                .given(service)
                .in(Hook.OUTSIDE, wrapped.cut(net.v4() ? 20 + 21 : 40 + 41))
                .passes();
        add("a tunnel's packet that says it is longer than it is")
                .given(service)
                .in(Hook.OUTSIDE, wrapped.with(net.v4() ? 2 : 4, 0x10))
                .passes();
        add("a tunnel's packet with options")
                .given(service)
                .in(Hook.OUTSIDE, net.v4() ? wrapped.with(0, 0x46) : wrapped.with(6, Draft.DESTINATION_OPTIONS))
                .passes();
        for (int nobody : net.v4() ? List.of(127, 224) : List.of(0xff)) {
            add("a tunnel's packet from " + nobody + "...")
                    .given(service)
                    .in(Hook.OUTSIDE, wrapped.with(net.v4() ? 12 : 8, nobody))
                    .passes();
        }
        add("a tunnel's packet in which nobody asks")
                .given(service)
                .in(
                        Hook.OUTSIDE,
                        received(first(talk.between(
                                Address.of(net.v4() ? "127.0.0.1" : "::1"), CLIENT_PORT, node, NODE_PORT))))
                .passes();
        add("a tunnel's packet with another one")
                .given(service)
                .in(Hook.OUTSIDE, wrapped.within(node, net.pod))
                .passes();
        add("a tunnel's packet with a ping")
                .given(service)
                .in(
                        Hook.OUTSIDE,
                        Packet.icmp(net.client, node, 60, net.v4() ? 0x0800 : 0x8000, 7, new byte[8])
                                .within(node, net.pod))
                .passes();
        Net otherNet = net.v4() ? Net.V6 : Net.V4;
        Talk other = new Talk(otherNet, talk.protocol());
        add("a tunnel's packet of the other family")
                .given(service)
                .in(
                        Hook.OUTSIDE,
                        Packet.ip(
                                node,
                                net.pod,
                                net.v4() ? 41 : 4,
                                64,
                                first(other.asks()).packet().quoted(2_000)))
                .passes();
        if (net.v4()) {
            add("a tunnel's packet in fragments")
                    .given(service)
                    .in(Hook.OUTSIDE, wrapped.with(6, 0x20))
                    .passes();
        }
    }

    private void errors() {
        int tooBig = net.v4() ? 0x0304 : 0x0200;
        Packet replied = more(asks.turnedRound()).packet();
        Packet error = Packet.icmp(net.router, net.node, 60, tooBig, 1400, replied.quoted(600));
        add("a router towards the client says that replies are too big: the backend's node hears it")
                .given(talk.nodePort(DIRECT, talk.far()))
                .after(Hook.OUTSIDE, first(asks))
                .in(Hook.OUTSIDE, error)
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(net.router, net.node, 59, tooBig, 1400, replied.quoted(600))
                                .within(net.node, net.far));
        Packet told = Packet.icmp(
                net.router,
                node,
                60,
                tooBig,
                1400,
                more(asked.turnedRound()).packet().quoted(600));
        add("another node passes on what a router towards the client says")
                .given(talk.nodePort(DIRECT, talk.here()))
                .after(Hook.OUTSIDE, received(first(asked)))
                .after(Hook.POD, more(heard.turnedRound()))
                .in(Hook.OUTSIDE, told.within(node, net.pod))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(
                                net.router,
                                net.pod,
                                59,
                                tooBig,
                                1400,
                                PacketTable.untouched(
                                        more(heard.turnedRound()).packet(),
                                        more(asked.turnedRound()).packet())));
        add("another node passes on an error about what nobody knows")
                .given(talk.nodePort(DIRECT, talk.here()))
                .in(Hook.OUTSIDE, told.within(node, net.pod))
                .passes();
        int unreachable = net.v4() ? 0x0303 : 0x0104;
        Packet toPod = first(asked).forwarded(heard).packet();
        add("the backend says that nobody listens: the client hears it from the service")
                .given(talk.nodePort(DIRECT, talk.here()))
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(Hook.POD, Packet.icmp(net.pod, net.client, 60, unreachable, 0, toPod.quoted(60)))
                .becomes(
                        Verdict.FORWARD,
                        Packet.icmp(
                                node,
                                net.client,
                                59,
                                unreachable,
                                0,
                                PacketTable.cut(
                                        PacketTable.untouched(
                                                first(asked).forwarded(asked).packet(), toPod),
                                        60)));
    }

    /** Of a way of 1,500 bytes. */
    private void segments() {
        VirtualService service = talk.nodePort(DIRECT, talk.here());
        int most = 1500 - (net.v4() ? 2 * 20 : 2 * 40) - 20;
        Draft reply =
                more(heard.turnedRound()).flags(Packet.TCP_SYN | Packet.TCP_ACK).payload(0);
        for (int said : List.of(9000, 1460, most + 1, most, 536)) {
            int kept = Math.min(said, most);
            add("the backend takes segments of " + said + " bytes: " + kept + " of them fit into another packet")
                    .given(service)
                    .after(Hook.OUTSIDE, received(first(asked)))
                    .in(Hook.POD, reply.tcpOptions(2, 4, said >> 8, said & 255, 1, 1, 4, 2))
                    .becomes(
                            Verdict.FORWARD,
                            reply.tcpOptions(2, 4, kept >> 8, kept & 255, 1, 1, 4, 2)
                                    .forwarded(asked.turnedRound()));
        }
        add("the backend says nothing of segments")
                .given(service)
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(Hook.POD, reply.payload(4))
                .becomes(Verdict.FORWARD, reply.payload(4).forwarded(asked.turnedRound()));
        Address near = Address.of(net.v4() ? "192.168.7.77" : "fd07::77");
        Tuple nearby = talk.between(near, CLIENT_PORT, node, NODE_PORT);
        Draft nearReply = more(talk.heard(near, CLIENT_PORT, net.pod).turnedRound())
                .flags(Packet.TCP_SYN | Packet.TCP_ACK)
                .payload(0);
        add("the backend takes long segments, and the neighbour to the client is not known yet")
                .given(service)
                .after(Hook.OUTSIDE, received(first(nearby)))
                .in(Hook.POD, nearReply.tcpOptions(2, 4, 1460 >> 8, 1460 & 255))
                .becomes(
                        Verdict.FORWARD,
                        nearReply.tcpOptions(2, 4, most >> 8, most & 255).forwarded(nearby.turnedRound()));
        Draft options = reply.tcpOptions(1, 1, 1, 1, 2, 4, 5, 180);
        add("the backend says something else first")
                .given(service)
                .after(Hook.OUTSIDE, received(first(asked)))
                .in(Hook.POD, options)
                .becomes(Verdict.FORWARD, options.forwarded(asked.turnedRound()));
    }

    private void ends() {
        VirtualService service = talk.nodePort(DIRECT, talk.far());
        add("the client ends it, and nobody sees whether the backend does")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.OUTSIDE, more(asks))
                .in(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .becomes(Verdict.FORWARD, sent(more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK)))
                .knowsOneWay(asks, across, State.CLOSED);
        add("the client hears on after its end")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.OUTSIDE, more(asks))
                .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .in(Hook.OUTSIDE, more(asks))
                .becomes(Verdict.FORWARD, sent(more(asks)))
                .knowsOneWay(asks, across, State.CLOSED);
        add("the client begins anew after its end")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.OUTSIDE, more(asks))
                .after(Hook.OUTSIDE, more(asks).flags(Packet.TCP_FIN | Packet.TCP_ACK))
                .in(Hook.OUTSIDE, first(asks))
                .becomes(Verdict.FORWARD, sent(first(asks)))
                .counts(2, 0)
                .knowsOneWay(asks, across, State.OPENING);
        add("the client breaks it off")
                .given(service)
                .after(Hook.OUTSIDE, first(asks))
                .after(Hook.OUTSIDE, more(asks))
                .in(Hook.OUTSIDE, more(asks).flags(Packet.TCP_RST))
                .becomes(Verdict.FORWARD, sent(more(asks).flags(Packet.TCP_RST)))
                .knowsOneWay(asks, across, State.RESET);
        add("a segment of a connection that this node does not know")
                .given(service)
                .in(Hook.OUTSIDE, more(asks))
                .passes();
    }
}
