package io.shunt.datapath;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketModel.Talk;
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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;

/** Services and packets by chance, for the node of {@link PacketLab}: most packets belong together, and some are broken. */
final class RandomPackets {
    private static final List<Protocol> PROTOCOLS = List.of(Protocol.values());
    private static final Protocol[] BY_WEIGHT = {
        Protocol.TCP, Protocol.TCP, Protocol.TCP, Protocol.UDP, Protocol.UDP, Protocol.SCTP
    };
    private static final Access[] ACCESSES = {
        new Access(Reach.CLUSTER, Reach.CLUSTER, false, true),
        new Access(Reach.CLUSTER, Reach.LOCAL, false, true),
        new Access(Reach.CLUSTER, Reach.CLUSTER, false, false),
        new Access(Reach.LOCAL, Reach.CLUSTER, false, false),
        new Access(Reach.CLUSTER, Reach.CLUSTER, true, true),
        new Access(Reach.CLUSTER, Reach.LOCAL, true, true),
        new Access(Reach.CLUSTER, Reach.LOCAL, false, true),
        new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true),
        new Access(Reach.CLUSTER, Reach.CLUSTER, true, true, true),
    };
    /** Those of the services that are node ports. */
    private static final Access[] NODE_PORTS = {ACCESSES[0], ACCESSES[1], ACCESSES[7]};

    private static final int[] DIRECT = {7, 8, ACCESSES.length + 2};
    private static final int SERVICES = ACCESSES.length + NODE_PORTS.length;
    private static final int[] EXTENSIONS = {
        Draft.HOP_BY_HOP, Draft.ROUTING, Draft.FRAGMENT, Draft.AUTHENTICATION, Draft.DESTINATION_OPTIONS
    };

    private final RandomGenerator random;
    private final PacketSettings settings;
    private final Address[][] pods = family("10.1.0.", "fd00:1::", 2, 4);
    private final Address[][] far = family("10.2.0.", "fd00:2::", 2, 2);
    private final Address[][] narrow = family("10.3.0.", "fd00:3::", 2, 2);
    private final Address[][] node = family("192.168.7.", "fd07::", 1, 1);
    private final Address[][] clients = family("203.0.113.", "2001:db8::", 1, 90);
    private final Address[][] routers = family("192.168.7.", "fd07::", 2, 3);
    private final Address[][] clusters = family("10.96.0.", "fd96::", 10, SERVICES);
    private final Address[][] externals = family("198.51.100.", "2001:db8:2::", 10, SERVICES);
    private final Map<String, VirtualService> services = new HashMap<>();
    private Hook hook = Hook.OUTSIDE;

    RandomPackets(RandomGenerator random, PacketSettings settings) {
        this.random = random;
        this.settings = settings;
    }

    /** So many addresses of both families from that one on. */
    private static Address[][] family(String v4, String v6, int first, int count) {
        Address[][] both = new Address[2][count];
        for (int i = 0; i < count; i++) {
            both[0][i] = Address.of(v4 + (first + i));
            both[1][i] = Address.of(v6 + (first + i));
        }
        return both;
    }

    private boolean oneIn(int n) {
        return random.nextInt(n) == 0;
    }

    private Address any(Address[][] of, int family) {
        return of[family][random.nextInt(of[family].length)];
    }

    /** Services of all kinds, each with some backends or none. */
    List<VirtualService> services() {
        services.clear();
        List<VirtualService> all = new ArrayList<>();
        for (int family = 0; family < 2; family++) {
            for (Protocol protocol : PROTOCOLS) {
                for (int i = 0; i < SERVICES; i++) {
                    VirtualService service = service(family, protocol, i);
                    services.put(service.name(), service);
                    all.add(service);
                }
            }
        }
        return all;
    }

    private VirtualService service(int family, Protocol protocol, int number) {
        Access access = ACCESSES[number % ACCESSES.length];
        Frontend frontend;
        if (number >= ACCESSES.length) {
            access = NODE_PORTS[number - ACCESSES.length];
            frontend = Frontend.ofNode(family == 0 ? IpFamily.IPV4 : IpFamily.IPV6, 30_000 + number, protocol);
        } else {
            Address address = access.external() ? externals[family][number] : clusters[family][number];
            frontend = new Frontend(address, number == 6 ? 8080 : 80, protocol);
        }
        List<Prefix> ranges = access.restricted()
                ? List.of(
                        Prefix.parse(family == 0 ? "203.0.113.0/26" : "2001:db8::/123")
                                .orElseThrow(),
                        Prefix.of(any(pods, family)))
                : List.of();
        return new VirtualService(
                protocol + "-" + family + "-" + number,
                Map.of(frontend, access),
                backends(family, oneIn(12) ? 0 : 1 + random.nextInt(4)),
                ranges,
                oneIn(4) ? 10_000 : 0,
                tableSize());
    }

    /** Some services choose by hash; a few have more backends than slots. */
    private int tableSize() {
        return switch (random.nextInt(8)) {
            case 0, 1 -> 31;
            case 2 -> 2;
            default -> 0;
        };
    }

    private List<Backend> backends(int family, int count) {
        Map<Address, Backend> backends = new HashMap<>();
        for (int i = 0; i < count; i++) {
            int kind = random.nextInt(10);
            Address address = any(kind < 5 ? pods : kind < 8 ? far : kind < 9 ? narrow : node, family);
            boolean here = kind < 5 || kind == 9;
            Backend.State state = oneIn(6) ? Backend.State.values()[random.nextInt(5)] : Backend.State.of(true, here);
            backends.put(address, new Backend(address, 8080, state, oneIn(3) ? 1 + random.nextInt(5) : 1));
        }
        return List.copyOf(backends.values());
    }

    /** One of the services, with other backends or with others in another state, or that chooses otherwise. */
    VirtualService changed() {
        List<VirtualService> all = List.copyOf(services.values());
        VirtualService old = all.get(random.nextInt(all.size()));
        Frontend frontend = old.frontends().keySet().iterator().next();
        int family = frontend.address().isV4() ? 0 : 1;
        Map<Address, Backend> backends = new HashMap<>();
        backends(family, random.nextInt(3)).forEach(each -> backends.put(each.address(), each));
        old.backends().stream().filter(each -> !oneIn(3)).forEach(each -> backends.put(each.address(), each));
        VirtualService service = new VirtualService(
                old.name(),
                old.frontends(),
                List.copyOf(backends.values()),
                old.sourceRanges(),
                old.affinitySeconds(),
                oneIn(4) ? tableSize() : old.tableSize());
        services.put(service.name(), service);
        return service;
    }

    /** By where the packet comes that was made last. */
    Hook hook() {
        return hook;
    }

    /** The next packet, from the Ethernet header on. */
    byte[] next(List<Talk> talks) {
        byte[] frame = (talks.isEmpty() ? first() : any(talks)).bytes();
        System.arraycopy(oneIn(200) ? PacketLab.DELIVERED : PacketLab.DEVICE, 0, frame, 0, 6);
        System.arraycopy(PacketLab.SENDER, 0, frame, 6, 6);
        if (oneIn(40)) {
            hook = Hook.values()[random.nextInt(4)];
        }
        return oneIn(10) ? broken(frame) : frame;
    }

    private Packet any(List<Talk> talks) {
        int kind = random.nextInt(100);
        if (kind < 20) {
            return oneIn(5) ? arriving() : first();
        }
        // Mostly of those that began last.
        int back = oneIn(3) ? random.nextInt(talks.size()) : random.nextInt(Math.min(200, talks.size()));
        Talk talk = talks.get(talks.size() - 1 - back);
        boolean isReply = random.nextBoolean();
        if (talk.tunnel == PacketModel.Tunnel.INTO && !oneIn(20)) {
            // Nobody answers by here, and so errors come from the client's side only.
            isReply = kind >= 88;
        }
        if (kind >= 97) {
            return ping();
        }
        Packet packet = kind < 88 ? more(talk, isReply) : error(talk, isReply);
        boolean fromClient = isReply == kind >= 88;
        return talk.tunnel == PacketModel.Tunnel.OUT_OF && fromClient && !oneIn(20)
                ? within(packet, talk.to.destination())
                : packet;
    }

    /** As another node sends it. */
    private Packet within(Packet packet, Address backend) {
        hook = Hook.OUTSIDE;
        return packet.within(any(routers, backend.isV4() ? 0 : 1), backend);
    }

    /** As another node sends it to a backend here, or to one that is none. */
    private Packet arriving() {
        int family = random.nextInt(2);
        int number = oneIn(10) ? random.nextInt(SERVICES) : DIRECT[random.nextInt(DIRECT.length)];
        boolean nodePort = number >= ACCESSES.length;
        Tuple tuple = new Tuple(
                any(oneIn(10) ? narrow : clients, family),
                1024 + random.nextInt(3000),
                nodePort ? any(routers, family) : externals[family][number],
                nodePort ? 30_000 + number : number == 6 ? 8080 : 80,
                BY_WEIGHT[random.nextInt(BY_WEIGHT.length)]);
        Draft draft = oneIn(5) ? Draft.more(tuple) : Draft.first(tuple);
        return within(dressed(draft.payload(length())), any(oneIn(8) ? far : oneIn(8) ? node : pods, family));
    }

    private Packet first() {
        int family = random.nextInt(2);
        Protocol protocol = BY_WEIGHT[random.nextInt(BY_WEIGHT.length)];
        Address source;
        int kind = random.nextInt(10);
        if (kind < 6) {
            hook = Hook.OUTSIDE;
            source = any(clients, family);
        } else if (kind < 9) {
            hook = Hook.POD;
            source = any(pods, family);
        } else {
            hook = Hook.HOST;
            source = node[family][0];
        }
        int sourcePort =
                oneIn(20) ? settings.firstPort() + random.nextInt(settings.ports()) : 1024 + random.nextInt(3000);
        int number = random.nextInt(SERVICES);
        Address destination;
        int port = number == 6 ? 8080 : 80;
        if (number >= ACCESSES.length) {
            destination = node[family][0];
            port = 30_000 + number;
        } else {
            destination = ACCESSES[number].external() ? externals[family][number] : clusters[family][number];
        }
        if (oneIn(30)) {
            port += 1 + random.nextInt(5);
        }
        Tuple tuple = new Tuple(source, sourcePort, destination, port, protocol);
        Draft draft = oneIn(25) ? Draft.more(tuple).flags(random.nextInt(64)) : Draft.first(tuple);
        return dressed(draft.payload(length()));
    }

    private int length() {
        return switch (random.nextInt(30)) {
            case 0 -> 1200 + random.nextInt(280);
            case 1 -> random.nextInt(1000);
            default -> random.nextInt(40);
        };
    }

    private Packet more(Talk talk, boolean isReply) {
        Tuple tuple = isReply ? talk.replies() : talk.from;
        hook = hookOf(talk, isReply);
        Draft draft = Draft.more(tuple);
        if (tuple.protocol() == Protocol.TCP) {
            draft = draft.flags(flags(isReply));
        } else if (tuple.protocol() == Protocol.SCTP) {
            draft = draft.chunk(oneIn(8) ? Draft.SCTP_INIT : random.nextInt(15));
        }
        return dressed(draft.payload(length()));
    }

    private int flags(boolean isReply) {
        return switch (random.nextInt(16)) {
            case 0 -> Packet.TCP_SYN | (isReply ? Packet.TCP_ACK : 0);
            case 1, 2 -> Packet.TCP_FIN | Packet.TCP_ACK;
            case 3 -> oneIn(2) ? Packet.TCP_RST : Packet.TCP_RST | Packet.TCP_ACK;
            case 4 -> random.nextInt(256);
            default -> Packet.TCP_ACK;
        };
    }

    private Hook hookOf(Talk talk, boolean isReply) {
        Address source = isReply ? talk.to.destination() : talk.from.source();
        int family = source.isV4() ? 0 : 1;
        if (source.equals(node[family][0])) {
            return Hook.HOST;
        }
        for (Address pod : pods[family]) {
            if (pod.equals(source)) {
                return Hook.POD;
            }
        }
        return Hook.OUTSIDE;
    }

    /** With what else a packet may have, now and then. */
    private Packet dressed(Draft plain) {
        Draft draft = plain;
        if (oneIn(20)) {
            draft = draft.ttl(random.nextInt(3));
        }
        if (oneIn(10)) {
            draft = draft.mayFragment();
        }
        if (oneIn(15)) {
            draft = draft.unsummed();
        }
        if (oneIn(15)) {
            draft = oneIn(2)
                    ? draft.tcpOptions(new int[4 * random.nextInt(11)])
                    : draft.tcpOptions(2, 4, random.nextInt(12), random.nextInt(256));
        }
        boolean v4 = draft.tuple().source().isV4();
        if (v4 && oneIn(15)) {
            draft = draft.options(4 * random.nextInt(11));
        }
        while (!v4 && oneIn(12)) {
            int kind = EXTENSIONS[random.nextInt(EXTENSIONS.length)];
            draft = draft.extension(kind, kind == Draft.FRAGMENT ? 8 : 8 * (1 + random.nextInt(3)));
        }
        if (oneIn(20)) {
            List<Packet> fragments = draft.id(random.nextInt(500))
                    .payload(60 + random.nextInt(100))
                    .fragments(8 * (1 + random.nextInt(8)));
            return fragments.get(oneIn(2) ? 0 : random.nextInt(fragments.size()));
        }
        return draft.packet();
    }

    /** About a packet that went to the backend, or about a reply. */
    private Packet error(Talk talk, boolean aboutReply) {
        Tuple quoted = aboutReply ? talk.from.turnedRound() : talk.to;
        boolean v4 = quoted.source().isV4();
        hook = oneIn(2) ? Hook.OUTSIDE : hookOf(talk, !aboutReply);
        Address reporter = switch (random.nextInt(3)) {
            case 0 -> quoted.destination();
            case 1 -> any(routers, v4 ? 0 : 1);
            default -> any(clients, v4 ? 0 : 1);
        };
        byte[] quote =
                dressed(Draft.more(quoted).payload(random.nextInt(60))).quoted(oneIn(6) ? random.nextInt(120) : 600);
        int[] types = v4 ? new int[] {3, 11, 12, 3, 4, 5, 0} : new int[] {1, 2, 3, 4, 1, 5, 129};
        return Packet.icmp(
                reporter,
                quoted.source(),
                oneIn(30) ? 1 : 60,
                types[random.nextInt(types.length)] << 8 | random.nextInt(5),
                random.nextInt(1500),
                quote);
    }

    private Packet ping() {
        int family = random.nextInt(2);
        hook = Hook.values()[random.nextInt(3)];
        Address[][] of = oneIn(2) ? externals : oneIn(3) ? node : clusters;
        return Packet.icmp(
                any(hook == Hook.POD ? pods : clients, family),
                any(of, family),
                64,
                family == 0 ? 0x0800 : 0x8000,
                random.nextInt(),
                new byte[random.nextInt(64)]);
    }

    /** Some bytes changed, cut, or padded; but always with a whole IP header, which the kernel asks for. */
    private byte[] broken(byte[] whole) {
        byte[] frame = whole;
        switch (random.nextInt(6)) {
            case 0 -> frame = Arrays.copyOf(frame, 14 + random.nextInt(frame.length - 13));
            case 1 -> frame = Arrays.copyOf(frame, frame.length + 1 + random.nextInt(40));
            case 2 -> frame[random.nextInt(14)] ^= (byte) (1 << random.nextInt(8));
            default -> {
                for (int i = random.nextInt(3); i >= 0; i--) {
                    frame[14 + random.nextInt(Math.min(oneIn(2) ? 80 : 26, frame.length - 14))] =
                            (byte) (oneIn(2) ? random.nextInt() : random.nextInt(4));
                }
            }
        }
        int type = (frame[12] & 0xff) << 8 | frame[13] & 0xff;
        int least = type == 0x0800 ? 34 : type == 0x86dd ? 54 : 14;
        return frame.length < least ? Arrays.copyOf(frame, least) : frame;
    }
}
