package io.shunt.datapath;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Direction;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Reason;
import io.shunt.datapath.PacketCase.State;
import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The rules of the packet programs in plain Java, on the node of {@link PacketLab}: what a packet becomes, and what is
 * remembered of it. Where the programs choose at random, it asks what they chose, and says whether they might have.
 */
final class PacketModel {
    private static final int ETHERNET = Packet.ETHERNET;
    private static final int MOST_EXTENSIONS = 6;
    private static final int ANSWER_TTL = 64;
    private static final int QUOTE = 128;
    private static final int TCP = 6;
    private static final int UDP = 17;
    private static final int SCTP = 132;

    /** What the programs return. */
    static final int UNSPEC = -1;

    static final int SHOT = 2;
    static final int REDIRECT = 7;

    /** One backend of a service for as long as it is one. */
    static final class Target {
        final Address address;
        final int port;
        Backend.State state;
        boolean gone;

        Target(Backend backend) {
            address = backend.address();
            port = backend.port();
            state = backend.state();
        }

        boolean serves() {
            return !gone && state.serves();
        }

        boolean takes(Reach reach) {
            return !gone && state.takes(reach);
        }
    }

    /** A service, and what it has counted. */
    static final class Offer {
        final int id;
        VirtualService service;
        List<Target> targets = List.of();
        /** Those on this node to which other nodes may send clients, if it is direct. */
        Map<Address, Target> here = Map.of();

        long connections;
        long refused;

        Offer(int id, VirtualService service) {
            this.id = id;
            this.service = service;
        }
    }

    /** Of which packets go to another node or come from one, within others. */
    enum Tunnel {
        NONE,
        INTO,
        OUT_OF
    }

    /** A conversation, in both directions. */
    static final class Talk {
        final Tuple from;
        final Tuple to;
        final Offer offer;
        final Target target;
        final boolean fromHost;
        final Tunnel tunnel;
        State state = State.OPENING;
        boolean isConfirmed;
        /** Whether nobody has spoken for so long that its port is free if it is not confirmed. */
        boolean isSilent;

        boolean clientClosed;
        boolean backendClosed;

        Talk(Tuple from, Tuple to, Offer offer, Target target, boolean fromHost, Tunnel tunnel) {
            this.from = from;
            this.to = to;
            this.offer = offer;
            this.target = target;
            this.fromHost = fromHost;
            this.tunnel = tunnel;
        }

        boolean isOver() {
            return state == State.CLOSED || state == State.RESET;
        }

        boolean keepsPort() {
            return !isOver() && (isConfirmed || !isSilent);
        }

        /** What the packets look like that go the other way. */
        Tuple replies() {
            return to.turnedRound();
        }
    }

    /** What may become of a packet. */
    enum Fate {
        PASSED,
        DROPPED,
        PONG,
        RESET,
        TOLD,
        TRANSLATED,
        TRANSLATED_FRAGMENT,
        TRANSLATED_ERROR,
        WRAPPED,
        UNWRAPPED,
    }

    record Count(int service, Reason reason, Direction direction) {}

    private record Way(String device, int mtu, Address v4, Address v6) {}

    private record Client(Address address, Offer offer) {}

    private record Datagram(Address source, Address destination, int id, int protocol) {}

    private record Asked(Offer offer, Access access) {}

    private static final Way NETWORK = new Way("eth0", 1500, Address.of("192.168.7.1"), Address.of("fd07::1"));
    private static final Way PODS = new Way("cni0", 1500, Address.of("10.1.0.1"), Address.of("fd00:1::1"));
    private static final Way TUNNEL =
            new Way("tun0", PacketLab.NARROW_MTU, Address.of("10.3.0.1"), Address.of("fd00:3::1"));
    private static final Map<Prefix, Way> WAYS = Map.of(
            prefix("10.1.0.0/24"), PODS,
            prefix("fd00:1::/64"), PODS,
            prefix("10.3.0.0/24"), TUNNEL,
            prefix("fd00:3::/64"), TUNNEL);
    private static final List<Prefix> LINKS = List.of(
            prefix("10.1.0.0/24"),
            prefix("10.3.0.0/24"),
            prefix("192.168.7.0/24"),
            prefix("fd00:1::/64"),
            prefix("fd00:3::/64"),
            prefix("fd07::/64"));
    private static final Set<Address> OWN = Set.of(NETWORK.v4, NETWORK.v6, PODS.v4, PODS.v6, TUNNEL.v4, TUNNEL.v6);
    private static final Set<Address> NODE = Set.of(NETWORK.v4, NETWORK.v6);
    private static final Prefix LINK_LOCAL = prefix("fe80::/10");
    private static final Prefix MULTICAST4 = prefix("224.0.0.0/4");
    private static final Prefix MULTICAST6 = prefix("ff00::/8");
    private static final Address BROADCAST = Address.of("255.255.255.255");

    private final PacketSettings settings;
    private final Function<Tuple, PacketLab.@Nullable Flow> known;
    private final Map<Frontend, Asked> frontends = new HashMap<>();
    private final Map<Address, Boolean> addresses = new HashMap<>();
    private final Map<String, Offer> offers = new HashMap<>();
    private final Map<Tuple, Talk> talks = new HashMap<>();
    private final List<Talk> all = new ArrayList<>();
    private final Map<Datagram, int[]> fragments = new HashMap<>();
    private final Map<Client, Target> affinity = new HashMap<>();
    /** Who stays with a backend that is not known. */
    private final Set<Client> undecided = new HashSet<>();

    private final Map<Count, Long> drops = new HashMap<>();
    private final Seen packet = new Seen();
    private final long[] fates;
    private long foretold;

    /**
     * @param fates how many packets had each {@link Fate}: counted on
     * @param known what the programs remember of a conversation: for what they choose at random
     */
    PacketModel(PacketSettings settings, long[] fates, Function<Tuple, PacketLab.@Nullable Flow> known) {
        this.settings = settings;
        this.fates = fates;
        this.known = known;
    }

    private static Prefix prefix(String text) {
        return Prefix.parse(text).orElseThrow();
    }

    /** A service as it is from now on. */
    void put(VirtualService service, int id) {
        Offer offer = offers.computeIfAbsent(service.name(), name -> new Offer(id, service));
        List<Target> targets = new ArrayList<>();
        for (Backend backend : service.backends()) {
            Target target = offer.targets.stream()
                    .filter(each -> each.address.equals(backend.address()) && each.port == backend.port())
                    .findAny()
                    .orElseGet(() -> new Target(backend));
            target.state = backend.state();
            targets.add(target);
        }
        offer.targets.stream().filter(each -> !targets.contains(each)).forEach(each -> each.gone = true);
        Map<Address, Target> here = new HashMap<>();
        if (service.frontends().values().stream().anyMatch(Access::direct)) {
            targets.stream()
                    .filter(each -> each.takes(Reach.LOCAL) || each.serves() && offer.here.get(each.address) == each)
                    .forEach(each -> here.put(each.address, each));
        }
        offer.here = here;
        offer.targets = targets;
        offer.service = service;
        service.frontends().forEach((frontend, access) -> {
            frontends.put(frontend, new Asked(offer, access));
            if (!frontend.isOfNode()) {
                addresses.merge(frontend.address(), access.external(), Boolean::logicalAnd);
            }
        });
    }

    /** Nobody speaks for longer than half-open conversations keep their ports. */
    void age() {
        talks.values().forEach(talk -> talk.isSilent = true);
    }

    /** Conversations that were begun, some of them over or forgotten. */
    List<Talk> talks() {
        return all;
    }

    /** All that is known, by what the packets look like. */
    Map<Tuple, PacketLab.Flow> flows() {
        Map<Tuple, PacketLab.Flow> flows = new HashMap<>();
        for (Talk talk : talks.values()) {
            flows.put(talk.from, new PacketLab.Flow(talk.from, talk.to, talk.state, false, talk.isConfirmed));
            if (talk.tunnel != Tunnel.INTO) {
                flows.put(
                        talk.replies(),
                        new PacketLab.Flow(
                                talk.replies(), talk.from.turnedRound(), talk.state, true, talk.isConfirmed));
            }
        }
        return flows;
    }

    Map<Count, Long> drops() {
        return drops;
    }

    Map<String, Offer> offers() {
        return offers;
    }

    int size() {
        return talks.size();
    }

    /** What a packet's headers say. */
    private static final class Seen {
        byte[] bytes = {};
        int size;
        int ip;
        int transport;
        int length;
        int quotedIp;
        int quotedTransport;
        boolean v4;
        boolean fragment;
        boolean later;
        boolean dontFragment;
        boolean echo;
        int id;
        int ttl;
        int protocol;
        int flags;
        Address source = Address.of("::");
        Address destination = source;
        int sourcePort;
        int destinationPort;
        Address reporter = source;

        int u8(int at) {
            return bytes[at] & 0xff;
        }

        int u16(int at) {
            return u8(at) << 8 | u8(at + 1);
        }

        int u32(int at) {
            return u16(at) << 16 | u16(at + 2);
        }

        Address address(int at) {
            if (v4) {
                return new Address(0, 0xffff_0000_0000L | u32(at) & 0xffff_ffffL);
            }
            return new Address(
                    (long) u32(at) << 32 | u32(at + 4) & 0xffff_ffffL,
                    (long) u32(at + 8) << 32 | u32(at + 12) & 0xffff_ffffL);
        }

        int addresses() {
            return addresses(ip);
        }

        int addresses(int header) {
            return header + (v4 ? 12 : 8);
        }

        Tuple tuple() {
            return new Tuple(
                    source,
                    sourcePort,
                    destination,
                    destinationPort,
                    protocol == TCP ? Protocol.TCP : protocol == UDP ? Protocol.UDP : Protocol.SCTP);
        }

        boolean hasPorts() {
            return protocol == TCP || protocol == UDP || protocol == SCTP;
        }

        /** Reads an IP header, and all up to the transport's; false if that cannot be. */
        boolean readIp(int at) {
            return v4 ? readIp4(at) : readIp6(at);
        }

        private boolean readIp4(int at) {
            if (at + 20 > size || u8(at) >> 4 != 4) {
                return false;
            }
            int header = (u8(at) & 15) * 4;
            length = u16(at + 2);
            if (header < 20 || length < header) {
                return false;
            }
            ip = at;
            transport = at + header;
            id = u16(at + 4);
            later = (u16(at + 6) & 0x1fff) != 0;
            fragment = later || (u16(at + 6) & 0x2000) != 0;
            dontFragment = (u16(at + 6) & 0x4000) != 0;
            ttl = u8(at + 8);
            protocol = u8(at + 9);
            source = address(at + 12);
            destination = address(at + 16);
            return true;
        }

        private boolean readIp6(int at) {
            if (at + 40 > size || u8(at) >> 4 != 6) {
                return false;
            }
            ip = at;
            length = 40 + u16(at + 4);
            transport = at + 40;
            protocol = u8(at + 6);
            ttl = u8(at + 7);
            dontFragment = true;
            fragment = false;
            later = false;
            source = address(at + 8);
            destination = address(at + 24);
            for (int i = 0; i < MOST_EXTENSIONS && !later; i++) {
                int units;
                switch (protocol) {
                    case 0, 43, 60 -> units = 8;
                    case 51 -> units = 4;
                    case 44 -> units = 0;
                    default -> {
                        return true;
                    }
                }
                if (transport + 8 > size) {
                    return false;
                }
                protocol = u8(transport);
                if (units == 0) {
                    int offset = u16(transport + 2);
                    later = (offset & 0xfff8) != 0;
                    fragment = later || (offset & 1) != 0;
                    id = u32(transport + 4);
                    transport += 8;
                } else {
                    transport += (u8(transport + 1) + (units == 8 ? 1 : 2)) * units;
                }
            }
            return true;
        }

        /** Whether it is a packet that services may have to do with. */
        boolean read(byte[] frame, int frameSize) {
            bytes = frame;
            size = frameSize;
            quotedIp = 0;
            echo = false;
            flags = 0;
            sourcePort = 0;
            destinationPort = 0;
            int type = u16(12);
            if (type != 0x0800 && type != 0x86dd) {
                return false;
            }
            v4 = type == 0x0800;
            if (!readIp(ETHERNET) || ip + length > size) {
                return false;
            }
            if (!v4 && (source.isV4() || destination.isV4()) || isNobodys(source)) {
                return false;
            }
            if (protocol == (v4 ? 1 : 58)) {
                return !fragment && readIcmp();
            }
            int header = switch (protocol) {
                case TCP -> 20;
                case UDP -> 8;
                case SCTP -> 16;
                default -> 0;
            };
            if (header == 0 || later) {
                return header != 0;
            }
            if (transport + header > ip + length) {
                return false;
            }
            sourcePort = u16(transport);
            destinationPort = u16(transport + 2);
            flags = protocol == TCP ? u8(transport + 13) : protocol == SCTP ? u8(transport + 12) : 0;
            return true;
        }

        /** Whether it has another packet within it, of which {@link #read} knows nothing. */
        boolean isTunnel() {
            int type = u16(12);
            if (type != 0x0800 && type != 0x86dd) {
                return false;
            }
            v4 = type == 0x0800;
            return readIp(ETHERNET)
                    && ip + length <= size
                    && (v4 || !source.isV4() && !destination.isV4())
                    && !isNobodys(source)
                    && protocol == (v4 ? 4 : 41)
                    && !fragment
                    && transport - ip == tunnelHeader();
        }

        int tunnelHeader() {
            return v4 ? 20 : 40;
        }

        /** The packet within. */
        byte[] inner() {
            byte[] inner = Arrays.copyOfRange(bytes, transport - ETHERNET, size);
            System.arraycopy(bytes, 0, inner, 0, ETHERNET);
            return inner;
        }

        private boolean readIcmp() {
            if (transport + 8 > ip + length) {
                return false;
            }
            int type = u8(transport);
            echo = type == (v4 ? 8 : 128);
            if (echo) {
                return true;
            }
            boolean error = v4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
            return error && readQuoted();
        }

        /** Looked up as the answer to the packet that it is about. */
        private boolean readQuoted() {
            int outerIp = ip;
            int outerTransport = transport;
            int outerLength = length;
            int outerTtl = ttl;
            boolean outerDont = dontFragment;
            Address from = source;
            Address to = destination;
            if (!readIp(transport + 8) || !hasPorts() || later || !source.equals(to) || transport + 4 > size) {
                return false;
            }
            reporter = from;
            quotedIp = ip;
            quotedTransport = transport;
            sourcePort = u16(transport + 2);
            destinationPort = u16(transport);
            Address quotedSource = source;
            source = destination;
            destination = quotedSource;
            ip = outerIp;
            transport = outerTransport;
            length = outerLength;
            ttl = outerTtl;
            dontFragment = outerDont;
            fragment = false;
            later = false;
            return true;
        }

        boolean begins() {
            return switch (protocol) {
                case TCP -> (flags & 0x17) == 2;
                case SCTP -> flags == 1;
                default -> true;
            };
        }
    }

    private static boolean isNobodys(Address address) {
        return address.isUnspecified()
                || address.isLoopback()
                || address.equals(BROADCAST)
                || MULTICAST4.contains(address)
                || MULTICAST6.contains(address);
    }

    /** Whether this model knows ways to and from all that such a packet names. */
    static boolean isKnownGround(byte[] frame, int size) {
        Seen seen = new Seen();
        if (!seen.read(frame, size)) {
            if (!seen.isTunnel()) {
                return true;
            }
            byte[] inner = seen.inner();
            if (!seen.read(inner, inner.length)) {
                return true;
            }
        }
        return !LINK_LOCAL.contains(seen.source) && !LINK_LOCAL.contains(seen.destination);
    }

    /** Null: up the stack, since it is the node's own, or nobody's. */
    private static @Nullable Way way(Address to) {
        if (OWN.contains(to) || to.isLoopback() || isNobodys(to)) {
            return null;
        }
        for (Prefix link : LINKS) {
            if (link.contains(to)) {
                // Broadcast, and the anycast address of all routers.
                if (to.isV4() ? (to.low() & 0xff) == 0xff : to.low() == 0) {
                    return null;
                }
            }
        }
        for (Map.Entry<Prefix, Way> each : WAYS.entrySet()) {
            if (each.getKey().contains(to)) {
                return each.getValue();
            }
        }
        return NETWORK;
    }

    /**
     * Whether the program may have done with a packet what it did.
     *
     * @param retval what it returned
     * @param out the packet afterwards
     * @return null if so; else what should have been
     */
    @Nullable
    String judge(Hook hook, byte[] in, int inSize, int retval, byte[] out, int outSize) {
        Outcome outcome = new Outcome(in, inSize, retval, out, outSize);
        if (hook == Hook.FORWARDED || hook == Hook.OUTSIDE && !Arrays.equals(in, 0, 6, PacketLab.DEVICE, 0, 6)) {
            return outcome.passes("is not looked at");
        }
        if (hook == Hook.POD && Arrays.equals(in, 0, 6, PacketLab.DELIVERED, 0, 6)) {
            return outcome.passes("was sent to the node itself by these programs");
        }
        if (!packet.read(in, inSize)) {
            return hook == Hook.OUTSIDE && packet.isTunnel()
                    ? receive(outcome, packet.destination, packet.inner())
                    : outcome.passes("is none of ours");
        }
        if (packet.later && !recallFragment()) {
            return outcome.passes("is a fragment of nothing known");
        }
        if (packet.echo) {
            Boolean external = addresses.get(packet.destination);
            return external == null || external && hook != Hook.OUTSIDE
                    ? outcome.passes("is a ping to somebody else")
                    : outcome.pong();
        }
        Tuple tuple = packet.tuple();
        Talk talk = talks.get(tuple);
        if (talk != null) {
            boolean isReply = !talk.from.equals(tuple);
            if (packet.quotedIp != 0) {
                return goOn(outcome, hook, talk, isReply);
            }
            if (!isOutlived(talk, isReply)) {
                advance(talk, isReply);
                return goOn(outcome, hook, talk, isReply);
            }
            forget(talk);
        }
        if (packet.later || packet.quotedIp != 0 || !packet.begins()) {
            return outcome.passes("goes on with nothing known");
        }
        return begin(outcome, hook, tuple);
    }

    private boolean recallFragment() {
        int[] ports = fragments.get(datagram());
        if (ports != null) {
            packet.sourcePort = ports[0];
            packet.destinationPort = ports[1];
        }
        return ports != null;
    }

    private boolean isOutlived(Talk talk, boolean isReply) {
        return !isReply && packet.begins() && (packet.protocol != UDP && talk.isOver() || !talk.target.serves());
    }

    private boolean isInRange(Offer offer) {
        return offer.service.sourceRanges().stream().anyMatch(range -> range.contains(packet.source));
    }

    /** What has come within another packet, to that address. */
    private @Nullable String receive(Outcome outer, Address to, byte[] inner) {
        if (!packet.read(inner, inner.length) || packet.echo || packet.later && !recallFragment()) {
            return outer.passes("has nothing of ours within it");
        }
        Outcome outcome = new Outcome(inner, inner.length, outer.retval, outer.out, outer.outSize);
        outcome.unwrapped = true;
        Tuple tuple = packet.tuple();
        Talk talk = talks.get(tuple);
        if (talk != null
                && talk.from.equals(tuple)
                && talk.tunnel != Tunnel.INTO
                && talk.to.destination().equals(to)
                && (packet.quotedIp != 0 || !isOutlived(talk, false))) {
            if (packet.quotedIp == 0) {
                advance(talk, false);
            }
            return goOn(outcome, Hook.OUTSIDE, talk, false);
        }
        if (packet.later || packet.quotedIp != 0) {
            return outer.passes("has something within it that goes on with nothing known");
        }
        Asked asked = frontends.get(new Frontend(packet.destination, packet.destinationPort, tuple.protocol()));
        if (asked == null) {
            asked = frontends.get(
                    Frontend.ofNode(packet.destination.family(), packet.destinationPort, tuple.protocol()));
        }
        Target target = asked == null || !asked.access.direct() ? null : asked.offer.here.get(to);
        if (asked == null || target == null || !target.serves()) {
            return outer.passes("is for no backend here");
        }
        if (talk != null) {
            forget(talk);
        }
        Offer offer = asked.offer;
        if (asked.access.restricted() && !isInRange(offer)) {
            count(offer.id, Reason.SOURCE_RANGE, false);
            return outer.drops("comes from outside the source ranges");
        }
        PacketLab.Flow flow = known.apply(tuple);
        Tuple own = new Tuple(packet.source, packet.sourcePort, to, target.port, tuple.protocol());
        if (flow == null) {
            if (!isShort(packet.source, target)) {
                return "should have found a port";
            }
            count(offer.id, Reason.NO_PORT, false);
            return outer.drops("finds no port");
        }
        return begin(outcome, Hook.OUTSIDE, new Talk(tuple, flow.to(), offer, target, true, Tunnel.OUT_OF), own);
    }

    private Datagram datagram() {
        return new Datagram(packet.source, packet.destination, packet.id, packet.protocol);
    }

    private void forget(Talk talk) {
        talks.remove(talk.from, talk);
        talks.remove(talk.replies(), talk);
    }

    private void count(int service, Reason reason, boolean isReply) {
        Direction direction = isReply ? Direction.TO_CLIENT : Direction.TO_BACKEND;
        drops.merge(new Count(service, reason, direction), 1L, Long::sum);
    }

    private void advance(Talk talk, boolean isReply) {
        talk.isSilent = false;
        int flags = packet.protocol == TCP && !packet.later ? packet.flags : 0;
        boolean ends = packet.protocol == SCTP && !packet.later && (packet.flags == 6 || packet.flags == 14);
        if ((flags & 4) != 0 || ends) {
            talk.state = State.RESET;
            talk.isConfirmed = false;
            return;
        }
        if (talk.state == State.RESET) {
            talk.state = talk.isConfirmed ? State.CONFIRMED : State.OPENING;
        }
        boolean into = talk.tunnel == Tunnel.INTO;
        if (into && talk.state == State.OPENING && !packet.later && goesOn()) {
            talk.state = State.CONFIRMED;
        } else if (isReply && talk.state == State.OPENING) {
            talk.state = State.ANSWERED;
        } else if (!isReply && talk.state == State.ANSWERED && (flags & 2) == 0) {
            talk.state = State.CONFIRMED;
        }
        if ((flags & 1) != 0) {
            talk.backendClosed |= isReply || into;
            talk.clientClosed |= !isReply;
        }
        if (talk.clientClosed && talk.backendClosed) {
            talk.state = State.CLOSED;
        } else if (talk.state == State.CONFIRMED && (talk.clientClosed || talk.backendClosed)) {
            talk.state = State.HALF_CLOSED;
        }
        talk.isConfirmed |= talk.state == State.CONFIRMED || talk.state == State.HALF_CLOSED;
        talk.isConfirmed &= !talk.isOver();
    }

    /** Whether who says this has been answered, although that was not seen here. */
    private boolean goesOn() {
        return switch (packet.protocol) {
            case TCP -> (packet.flags & 2) == 0;
            case SCTP -> packet.flags != 1;
            default -> true;
        };
    }

    private @Nullable Asked asked() {
        Protocol protocol = packet.tuple().protocol();
        Asked asked = frontends.get(new Frontend(packet.destination, packet.destinationPort, protocol));
        if (packet.destination.isUnspecified()) {
            return null;
        }
        if (asked == null && NODE.contains(packet.destination)) {
            return frontends.get(Frontend.ofNode(packet.destination.family(), packet.destinationPort, protocol));
        }
        return asked;
    }

    /** Not in a family without a range, if there is one at all. */
    private boolean detectsLocal() {
        return settings.detectsLocal()
                && (settings.localRanges().isEmpty()
                        || settings.localRanges().stream().anyMatch(range -> range.family() == packet.source.family()));
    }

    private boolean isInside(Hook hook) {
        if (hook == Hook.HOST) {
            return true;
        }
        if (detectsLocal() && !settings.localRanges().isEmpty()) {
            return settings.localRanges().stream().anyMatch(range -> range.contains(packet.source));
        }
        return hook == Hook.POD;
    }

    private @Nullable String begin(Outcome outcome, Hook hook, Tuple tuple) {
        Asked asked = asked();
        if (asked == null) {
            if (Boolean.FALSE.equals(addresses.get(packet.destination))) {
                count(0, Reason.NO_SERVICE, false);
                return outcome.refused("asks for a port that no service has");
            }
            return outcome.passes("asks for nothing of ours");
        }
        Offer offer = asked.offer;
        Access access = asked.access;
        if (access.restricted() && !isInRange(offer)) {
            count(offer.id, Reason.SOURCE_RANGE, false);
            return outcome.drops("comes from outside the source ranges");
        }
        boolean inside = isInside(hook);
        Reach reach = inside ? access.inside() : access.outside();
        Client client = new Client(packet.source, offer);
        Target favourite = offer.service.affinitySeconds() == 0 ? null : affinity.get(client);
        if (favourite != null && !favourite.takes(reach)) {
            favourite = null;
        }
        if (favourite == null && offer.targets.stream().noneMatch(target -> target.takes(reach))) {
            if (reach == Reach.LOCAL && offer.targets.stream().anyMatch(target -> target.takes(Reach.CLUSTER))) {
                count(offer.id, Reason.NO_LOCAL_BACKEND, false);
                return outcome.drops("finds no backend here");
            }
            offer.refused++;
            count(offer.id, Reason.REFUSED, false);
            return outcome.refused("finds no backend");
        }
        boolean isHashed = offer.service.tableSize() > 0 && favourite == null && !undecided.contains(client);
        Target foretold = isHashed ? hashed(offer, reach) : favourite;
        PacketLab.Flow flow = known.apply(tuple);
        if (flow == null) {
            return foundNoPort(outcome, hook, client, asked, inside, foretold);
        }
        Address backend = flow.to().destination();
        Target target = offer.targets.stream()
                .filter(each -> each.takes(reach)
                        && each.address.equals(backend)
                        && each.port == flow.to().destinationPort())
                .findAny()
                .orElse(null);
        if (target == null || foretold != null && target != foretold) {
            return "should not have chosen " + backend
                    + (foretold == null
                            ? ""
                            : ", but " + foretold.address + " for " + (favourite == null ? "its hash" : "affinity"));
        }
        if (offer.service.affinitySeconds() != 0) {
            stay(client, target);
        }
        Address source = source(hook, asked, inside, target);
        if (!flow.to().source().equals(source)) {
            return "should speak from " + source + ", not " + flow.to().source();
        }
        Tuple own = new Tuple(source, packet.sourcePort, backend, target.port, tuple.protocol());
        offer.connections++;
        if (isDirect(hook, access, target) && !source.equals(packet.source) && hasRoom(target)) {
            if (!flow.to().equals(own)) {
                return "should go on as it is to " + own;
            }
            Talk talk = new Talk(tuple, own, offer, target, false, Tunnel.INTO);
            talks.put(talk.from, talk);
            all.add(talk);
            return goOn(outcome, hook, talk, false);
        }
        return begin(outcome, hook, new Talk(tuple, flow.to(), offer, target, hook == Hook.HOST, Tunnel.NONE), own);
    }

    /** @param own how it would speak from the port that it has */
    private @Nullable String begin(Outcome outcome, Hook hook, Talk talk, Tuple own) {
        boolean keeps = own.source().equals(packet.source) || isOurs(packet.sourcePort);
        if (keeps && isFree(own) ? !talk.to.equals(own) : !isOurs(talk.to.sourcePort())) {
            return "should not speak from port " + talk.to.sourcePort();
        }
        if (!isFree(talk.to)) {
            return "speaks from a port that another uses: " + talk.to;
        }
        Talk over = talks.get(talk.replies());
        if (over != null) {
            forget(over);
        }
        talks.put(talk.from, talk);
        talks.put(talk.replies(), talk);
        all.add(talk);
        return goOn(outcome, hook, talk, false);
    }

    private boolean isDirect(Hook hook, Access access, Target target) {
        return access.direct() && hook == Hook.OUTSIDE && !packet.source.equals(target.address);
    }

    /** In a packet within another, for the least that everyone has to let through. */
    private boolean hasRoom(Target target) {
        Way way = way(target.address);
        return way == null || way.mtu >= (packet.v4 ? 576 + 20 : 1280 + 40);
    }

    private void stay(Client client, Target target) {
        affinity.put(client, target);
        undecided.remove(client);
    }

    /** Whom the client's address and port choose, the port only if the client does not stay with its backend. */
    private Target hashed(Offer offer, Reach reach) {
        foretold++;
        List<Backend> takers = offer.service.backends().stream()
                .filter(backend -> backend.state().takes(reach))
                .sorted(Comparator.comparing(Backend::address).thenComparingInt(Backend::port))
                .toList();
        int size = offer.service.tableSize();
        int port = offer.service.affinitySeconds() == 0 ? packet.sourcePort : 0;
        int hash = PeerHash.hash(PeerHash.CLIENT_SEED, packet.source, port);
        // Where there are more than slots, each has one place.
        int at = takers.size() > size
                ? PeerHash.place(hash, takers.size())
                : Maglev.table(takers, size)[PeerHash.place(hash, size)];
        Backend chosen = takers.get(at);
        return offer.targets.stream()
                .filter(each -> each.address.equals(chosen.address()) && each.port == chosen.port())
                .findAny()
                .orElseThrow();
    }

    /** How many choices of a backend were foretold because a client's address and port make them. */
    long foretold() {
        return foretold;
    }

    private boolean isOurs(int port) {
        return port >= settings.firstPort() && port < settings.firstPort() + settings.ports();
    }

    private boolean isFree(Tuple to) {
        Talk other = talks.get(to.turnedRound());
        return other == null || !other.keepsPort();
    }

    private Address source(Hook hook, Asked asked, boolean inside, Target target) {
        if (isDirect(hook, asked.access, target) && target.takes(Reach.LOCAL)) {
            return packet.source;
        }
        boolean masquerades = asked.access.external()
                ? asked.access.outside() != Reach.LOCAL
                : settings.masqueradeAll() || detectsLocal() && !inside;
        if (!masquerades && hook != Hook.HOST && !packet.source.equals(target.address)) {
            return packet.source;
        }
        Way way = way(target.address);
        return way == null ? packet.source : packet.v4 ? way.v4 : way.v6;
    }

    /** By chance, 64 times: so at most of a backend that has few ports left. */
    private @Nullable String foundNoPort(
            Outcome outcome, Hook hook, Client client, Asked asked, boolean inside, @Nullable Target foretold) {
        boolean possible = false;
        for (Target target : foretold == null ? asked.offer.targets : List.of(foretold)) {
            possible |= isShort(source(hook, asked, inside, target), target);
        }
        if (!possible) {
            return "should have found a port";
        }
        if (asked.offer.service.affinitySeconds() != 0) {
            if (foretold == null) {
                // It has chosen one, and nobody knows which; it stays with that also where hashes choose from now on.
                affinity.remove(client);
                undecided.add(client);
            } else {
                stay(client, foretold);
            }
        }
        count(asked.offer.id, Reason.NO_PORT, false);
        return outcome.drops("finds no port");
    }

    /** Whether of the ports to speak from to that backend so few are free that none might be found. */
    private boolean isShort(Address source, Target target) {
        int free = 0;
        for (int i = 0; i < settings.ports(); i++) {
            Tuple to = new Tuple(
                    source,
                    settings.firstPort() + i,
                    target.address,
                    target.port,
                    packet.tuple().protocol());
            free += isFree(to) ? 1 : 0;
        }
        return free * 2 < settings.ports();
    }

    /** As it is, within another packet. */
    private @Nullable String goAcross(Outcome outcome, Talk talk) {
        Way way = way(talk.to.destination());
        if (way == null) {
            count(talk.offer.id, Reason.NO_SOURCE, false);
            return outcome.drops("has no way to the backend");
        }
        if (packet.ttl <= 1) {
            count(talk.offer.id, Reason.TTL, false);
            return outcome.told("has come too far", packet.v4 ? 0x0b00 : 0x0300, 0);
        }
        int most = way.mtu - packet.tunnelHeader();
        if (packet.length > most) {
            count(talk.offer.id, Reason.TOO_BIG, false);
            return outcome.told("is too big within another", packet.v4 ? 0x0304 : 0x0200, most);
        }
        return outcome.wrapped(talk.to.source(), talk.to.destination());
    }

    private @Nullable String goOn(Outcome outcome, Hook hook, Talk talk, boolean isReply) {
        if (packet.fragment && !packet.later) {
            fragments.put(datagram(), new int[] {packet.sourcePort, packet.destinationPort});
        }
        if (talk.tunnel == Tunnel.INTO) {
            return goAcross(outcome, talk);
        }
        Tuple from = isReply ? talk.replies() : talk.from;
        Tuple to = isReply ? talk.from.turnedRound() : talk.to;
        boolean unmendable = packet.fragment
                && !packet.later
                && packet.protocol == SCTP
                && (from.sourcePort() != to.sourcePort() || from.destinationPort() != to.destinationPort());
        if (hook == Hook.HOST && to.destination().equals(from.destination())) {
            if (unmendable) {
                count(talk.offer.id, Reason.FRAGMENT, isReply);
                return outcome.drops("cannot be mended");
            }
            return outcome.becomes(UNSPEC, from, to, isReply, packet.ttl);
        }
        Way way = way(to.destination());
        if (way == null && hook == Hook.HOST) {
            count(talk.offer.id, Reason.NO_SOURCE, isReply);
            return outcome.drops("would go from the node to itself");
        }
        if (way != null && !outcome.unwrapped) {
            if (hook != Hook.HOST && packet.ttl <= 1) {
                count(talk.offer.id, Reason.TTL, isReply);
                return outcome.told("has come too far", packet.v4 ? 0x0b00 : 0x0300, 0);
            }
            boolean divisible =
                    !packet.dontFragment && hook != Hook.HOST && to.source().equals(from.source());
            if (packet.length > way.mtu && !divisible) {
                count(talk.offer.id, Reason.TOO_BIG, isReply);
                return outcome.told("is too big", packet.v4 ? 0x0304 : 0x0200, way.mtu);
            }
        }
        if (unmendable) {
            count(talk.offer.id, Reason.FRAGMENT, isReply);
            return outcome.drops("cannot be mended");
        }
        if (outcome.unwrapped && (way == null || packet.length > way.mtu || packet.ttl <= 1)) {
            // As by the way to its sender.
            Way back = way(packet.source);
            return back == null || back == NETWORK
                    ? outcome.becomes(UNSPEC, from, to, isReply, packet.ttl)
                    : outcome.becomes(REDIRECT, PacketLab.DELIVERED, from, to, isReply, packet.ttl);
        }
        if (way != null
                && packet.length <= way.mtu
                && isReply
                && talk.tunnel == Tunnel.OUT_OF
                && packet.protocol == TCP
                && packet.quotedIp == 0
                && !packet.later
                && (packet.flags & 2) != 0) {
            outcome.longestSegment = way.mtu - 2 * packet.tunnelHeader() - 20;
        }
        if (way == null || packet.length > way.mtu) {
            // The node's own device waits for what its own conversation is told.
            return isReply && talk.fromHost && hook == Hook.POD
                    ? outcome.becomes(REDIRECT, PacketLab.DELIVERED, from, to, isReply, packet.ttl)
                    : outcome.becomes(UNSPEC, from, to, isReply, packet.ttl);
        }
        return outcome.becomes(REDIRECT, from, to, isReply, hook == Hook.HOST ? packet.ttl : packet.ttl - 1);
    }

    /** What a program did with one packet, held against what it should have done. */
    private final class Outcome {
        private final byte[] in;
        private final int inSize;
        private final int retval;
        private final byte[] out;
        private final int outSize;
        /** Whether it has come within another packet. */
        private boolean unwrapped;
        /** What it may say of how long segments may be; 0: anything. */
        private int longestSegment;

        Outcome(byte[] in, int inSize, int retval, byte[] out, int outSize) {
            this.in = in;
            this.inSize = inSize;
            this.retval = retval;
            this.out = out;
            this.outSize = outSize;
        }

        @Nullable
        String passes(String why) {
            fates[Fate.PASSED.ordinal()]++;
            return retval == UNSPEC && Arrays.equals(in, 0, inSize, out, 0, outSize) ? null : "should pass: it " + why;
        }

        @Nullable
        String drops(String why) {
            fates[Fate.DROPPED.ordinal()]++;
            return retval == SHOT ? null : "should be dropped: it " + why;
        }

        private byte[] copy() {
            return Arrays.copyOf(in, inSize);
        }

        private @Nullable String is(int expectedRetval, byte[] expected, String what) {
            if (retval != expectedRetval) {
                return what + ": should return " + expectedRetval;
            }
            return Arrays.equals(expected, 0, expected.length, out, 0, outSize)
                    ? null
                    : what + ": should be " + new Packet(expected);
        }

        private void put(byte[] bytes, int at, Address address) {
            if (packet.v4) {
                put32(bytes, at, (int) address.low());
            } else {
                put32(bytes, at, (int) (address.high() >> 32));
                put32(bytes, at + 4, (int) address.high());
                put32(bytes, at + 8, (int) (address.low() >> 32));
                put32(bytes, at + 12, (int) address.low());
            }
        }

        private void put16(byte[] bytes, int at, int value) {
            bytes[at] = (byte) (value >> 8);
            bytes[at + 1] = (byte) value;
        }

        private void put32(byte[] bytes, int at, int value) {
            put16(bytes, at, value >>> 16);
            put16(bytes, at + 2, value);
        }

        private void swapSides(byte[] bytes) {
            System.arraycopy(in, 0, bytes, 6, 6);
            System.arraycopy(in, 6, bytes, 0, 6);
            int size = packet.v4 ? 4 : 16;
            int at = packet.addresses();
            System.arraycopy(in, at, bytes, at + size, size);
            System.arraycopy(in, at + size, bytes, at, size);
        }

        private void setTtl(byte[] bytes, int ttl) {
            bytes[packet.ip + (packet.v4 ? 8 : 7)] = (byte) ttl;
        }

        /** The checksum there, of what lies between, is in the program's packet as right or wrong as it was; it is taken over. */
        private boolean follows(byte[] expected, int checksum, int from, int to, boolean coversAddresses) {
            System.arraycopy(out, checksum, expected, checksum, 2);
            return residue(in, from, to, coversAddresses) == residue(expected, from, to, coversAddresses);
        }

        /** The sum, where all ones is zero: the same packet may be written with either. */
        private int residue(byte[] bytes, int from, int to, boolean coversAddresses) {
            long sum = 0;
            for (int i = from; i < to; i++) {
                sum += (bytes[i] & 0xffL) << ((i - from) % 2 == 0 ? 8 : 0);
            }
            if (coversAddresses) {
                int at = packet.addresses();
                for (int i = 0; i < (packet.v4 ? 8 : 32); i++) {
                    sum += (bytes[at + i] & 0xffL) << (i % 2 == 0 ? 8 : 0);
                }
            }
            return (int) (sum % 0xffff);
        }

        private boolean headerFollows(byte[] expected, int ip) {
            int header = (in[ip] & 15) * 4;
            return !packet.v4 || ip + header > inSize || follows(expected, ip + 10, ip, ip + header, false);
        }

        @Nullable
        String pong() {
            fates[Fate.PONG.ordinal()]++;
            byte[] expected = copy();
            swapSides(expected);
            setTtl(expected, ANSWER_TTL);
            expected[packet.transport] = (byte) (packet.v4 ? 0 : 129);
            if (outSize != inSize
                    || !headerFollows(expected, packet.ip)
                    || !follows(expected, packet.transport + 2, packet.transport, inSize, !packet.v4)) {
                return "should be a pong with right sums";
            }
            return is(REDIRECT, expected, "should be answered");
        }

        @Nullable
        String refused(String why) {
            if (packet.protocol != TCP) {
                return told(why, packet.v4 ? 0x0303 : 0x0104, 0);
            }
            int at = packet.transport;
            int header = (in[at + 12] >> 4 & 15) * 4;
            int payload = packet.length - (at - packet.ip) - header;
            if (header < 20 || payload < 0) {
                return drops(why + ", and has no good header");
            }
            fates[Fate.RESET.ordinal()]++;
            byte[] expected = copy();
            swapSides(expected);
            setTtl(expected, ANSWER_TTL);
            put16(expected, at, packet.destinationPort);
            put16(expected, at + 2, packet.sourcePort);
            put32(expected, at + 4, 0);
            put32(expected, at + 8, packet.u32(at + 4) + 1 + payload);
            expected[at + 12] = (byte) (in[at + 12] & 0xf0);
            expected[at + 13] = 4 | 16;
            put16(expected, at + 14, 0);
            Arrays.fill(expected, at + 20, at + header, (byte) 1);
            int end = packet.ip + packet.length;
            if (outSize != inSize
                    || !headerFollows(expected, packet.ip)
                    || !follows(expected, at + 16, at, end, true)) {
                return "should be a reset with right sums: it " + why;
            }
            return is(REDIRECT, expected, "should be reset: it " + why);
        }

        @Nullable
        String told(String why, int typeAndCode, int rest) {
            if (packet.later || packet.quotedIp != 0) {
                return drops(why + ", and nobody is told");
            }
            fates[Fate.TOLD.ordinal()]++;
            byte[] quote = Arrays.copyOfRange(in, packet.ip, packet.ip + Math.min(QUOTE, packet.length & ~3));
            Packet answer = Packet.icmp(packet.destination, packet.source, ANSWER_TTL, typeAndCode, rest, quote);
            byte[] expected = (packet.v4 ? answer.with(4, 0).with(5, 0).with(6, 0) : answer).bytes();
            System.arraycopy(in, 0, expected, 6, 6);
            System.arraycopy(in, 6, expected, 0, 6);
            return is(REDIRECT, expected, "should be told: it " + why);
        }

        @Nullable
        String becomes(int expectedRetval, Tuple from, Tuple to, boolean isReply, int ttl) {
            return becomes(expectedRetval, Arrays.copyOf(in, 6), from, to, isReply, ttl);
        }

        @Nullable
        String becomes(int expectedRetval, byte[] linkAddress, Tuple from, Tuple to, boolean isReply, int ttl) {
            Fate fate = packet.quotedIp != 0
                    ? Fate.TRANSLATED_ERROR
                    : unwrapped ? Fate.UNWRAPPED : packet.fragment ? Fate.TRANSLATED_FRAGMENT : Fate.TRANSLATED;
            fates[fate.ordinal()]++;
            if (retval != expectedRetval || outSize != inSize) {
                return "should return " + expectedRetval + " and become " + to;
            }
            byte[] expected = copy();
            System.arraycopy(linkAddress, 0, expected, 0, 6);
            boolean follow = packet.quotedIp != 0 ? error(expected, from, to, isReply) : plain(expected, from, to);
            setTtl(expected, ttl);
            if (!follow || !headerFollows(expected, packet.ip)) {
                return "has wrong sums, and should become " + to;
            }
            return is(expectedRetval, expected, "should become " + to);
        }

        @Nullable
        String wrapped(Address from, Address to) {
            fates[Fate.WRAPPED.ordinal()]++;
            int header = packet.tunnelHeader();
            if (outSize != inSize + header) {
                return "should be within another packet to " + to;
            }
            byte[] within = Arrays.copyOfRange(out, header, outSize);
            System.arraycopy(out, 0, within, 0, ETHERNET);
            byte[] whole = Arrays.copyOf(within, packet.ip + packet.length);
            if (!Arrays.equals(
                    new Packet(whole).within(from, to).bytes(),
                    ETHERNET,
                    ETHERNET + header,
                    out,
                    ETHERNET,
                    ETHERNET + header)) {
                return "should be within a packet from " + from + " to " + to;
            }
            return new Outcome(in, inSize, retval, within, within.length).isOneHopFurther();
        }

        private @Nullable String isOneHopFurther() {
            byte[] expected = copy();
            setTtl(expected, packet.ttl - 1);
            return headerFollows(expected, packet.ip)
                    ? is(REDIRECT, expected, "should go on as it is")
                    : "has a wrong sum within";
        }

        private void putAddresses(byte[] bytes, int ip, Address source, Address destination) {
            int at = packet.addresses(ip);
            put(bytes, at, source);
            put(bytes, at + (packet.v4 ? 4 : 16), destination);
        }

        private boolean plain(byte[] expected, Tuple from, Tuple to) {
            putAddresses(expected, packet.ip, to.source(), to.destination());
            if (packet.later) {
                return true;
            }
            int at = packet.transport;
            put16(expected, at, to.sourcePort());
            put16(expected, at + 2, to.destinationPort());
            int end = packet.ip + packet.length;
            if (longestSegment > 0
                    && (expected[at + 12] >> 4 & 15) > 5
                    && at + 24 <= inSize
                    && expected[at + 20] == 2
                    && expected[at + 21] == 4
                    && packet.u16(at + 22) > longestSegment) {
                put16(expected, at + 22, longestSegment);
            }
            if (packet.protocol == SCTP) {
                boolean same = from.sourcePort() == to.sourcePort() && from.destinationPort() == to.destinationPort();
                if (same || packet.u32(at + 8) == 0) {
                    return true;
                }
                System.arraycopy(out, at + 8, expected, at + 8, 4);
                return crcDifference(in, at, end) == crcDifference(expected, at, end);
            }
            int checksum = at + (packet.protocol == TCP ? 16 : 6);
            if (packet.protocol == UDP && packet.u16(checksum) == 0) {
                return true;
            }
            return follows(expected, checksum, at, end, true)
                    && (packet.protocol == TCP || expected[checksum] != 0 || expected[checksum + 1] != 0);
        }

        private int crcDifference(byte[] bytes, int from, int to) {
            byte[] zeroed = Arrays.copyOfRange(bytes, from, to);
            int sum = Integer.reverseBytes(
                    (zeroed[8] & 0xff) << 24 | (zeroed[9] & 0xff) << 16 | (zeroed[10] & 0xff) << 8 | zeroed[11] & 0xff);
            Arrays.fill(zeroed, 8, 12, (byte) 0);
            CRC32C crc = new CRC32C();
            crc.update(zeroed);
            return sum ^ (int) crc.getValue();
        }

        /** About a packet of the other direction. Whoever is hidden stays so. */
        private boolean error(byte[] expected, Tuple from, Tuple to, boolean isReply) {
            boolean hides = packet.reporter.equals(from.source())
                    || !isReply && !from.source().equals(to.source());
            putAddresses(expected, packet.ip, hides ? to.source() : packet.reporter, to.destination());
            putAddresses(expected, packet.quotedIp, to.destination(), to.source());
            put16(expected, packet.quotedTransport, to.destinationPort());
            put16(expected, packet.quotedTransport + 2, to.sourcePort());
            return headerFollows(expected, packet.quotedIp)
                    && follows(expected, packet.transport + 2, packet.transport, inSize, !packet.v4);
        }
    }
}
