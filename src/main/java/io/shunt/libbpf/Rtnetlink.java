package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Asks the kernel for the links, addresses and routes of the network namespace in which it was opened (rtnetlink(7)).
 * What is malformed or of a kind not known here is left out. For one thread at a time.
 */
public final class Rtnetlink implements AutoCloseable {
    static final StructLayout HEADER = MemoryLayout.structLayout(
                    JAVA_INT.withName("nlmsg_len"),
                    JAVA_SHORT.withName("nlmsg_type"),
                    JAVA_SHORT.withName("nlmsg_flags"),
                    JAVA_INT.withName("nlmsg_seq"),
                    JAVA_INT.withName("nlmsg_pid"))
            .withName("nlmsghdr");
    static final StructLayout LINK = MemoryLayout.structLayout(
                    JAVA_BYTE.withName("ifi_family"),
                    MemoryLayout.paddingLayout(1),
                    JAVA_SHORT.withName("ifi_type"),
                    JAVA_INT.withName("ifi_index"),
                    JAVA_INT.withName("ifi_flags"),
                    JAVA_INT.withName("ifi_change"))
            .withName("ifinfomsg");
    static final StructLayout ADDRESS = MemoryLayout.structLayout(
                    JAVA_BYTE.withName("ifa_family"),
                    JAVA_BYTE.withName("ifa_prefixlen"),
                    JAVA_BYTE.withName("ifa_flags"),
                    JAVA_BYTE.withName("ifa_scope"),
                    JAVA_INT.withName("ifa_index"))
            .withName("ifaddrmsg");
    static final StructLayout ROUTE = MemoryLayout.structLayout(
                    JAVA_BYTE.withName("rtm_family"),
                    JAVA_BYTE.withName("rtm_dst_len"),
                    JAVA_BYTE.withName("rtm_src_len"),
                    JAVA_BYTE.withName("rtm_tos"),
                    JAVA_BYTE.withName("rtm_table"),
                    JAVA_BYTE.withName("rtm_protocol"),
                    JAVA_BYTE.withName("rtm_scope"),
                    JAVA_BYTE.withName("rtm_type"),
                    JAVA_INT.withName("rtm_flags"))
            .withName("rtmsg");
    static final StructLayout QDISC = MemoryLayout.structLayout(
                    JAVA_BYTE.withName("tcm_family"),
                    MemoryLayout.paddingLayout(3),
                    JAVA_INT.withName("tcm_ifindex"),
                    JAVA_INT.withName("tcm_handle"),
                    JAVA_INT.withName("tcm_parent"),
                    JAVA_INT.withName("tcm_info"))
            .withName("tcmsg");
    static final StructLayout ATTRIBUTE = MemoryLayout.structLayout(
                    JAVA_SHORT.withName("rta_len"), JAVA_SHORT.withName("rta_type"))
            .withName("rtattr");
    static final StructLayout NEXT_HOP = MemoryLayout.structLayout(
                    JAVA_SHORT.withName("rtnh_len"),
                    JAVA_BYTE.withName("rtnh_flags"),
                    JAVA_BYTE.withName("rtnh_hops"),
                    JAVA_INT.withName("rtnh_ifindex"))
            .withName("rtnexthop");

    private static final int AF_INET = 2;
    private static final int AF_INET6 = 10;
    private static final int RTM_GETLINK = 18;
    private static final int RTM_GETADDR = 22;
    private static final int RTM_GETROUTE = 26;
    private static final int RTM_GETQDISC = 38;
    private static final int RTM_GETTFILTER = 46;
    /** TC_H_MAJ(TC_H_CLSACT). */
    private static final int CLSACT_MAJOR = 0xffff0000;

    private static final int TC_H_MIN_EGRESS = 0xfff3;
    private static final int NLM_F_REQUEST = 1;
    private static final int NLM_F_DUMP_INTR = 0x10;
    private static final int NLM_F_DUMP = 0x300;
    private static final int NLMSG_ERROR = 2;
    private static final int NLMSG_DONE = 3;
    private static final int NLA_TYPE_MASK = ~0xc000;
    private static final int IFF_UP = 1;
    private static final int IFF_LOOPBACK = 8;
    private static final int ARPHRD_ETHER = 1;
    private static final int IFLA_ADDRESS = 1;
    private static final int IFLA_IFNAME = 3;
    private static final int IFLA_MTU = 4;
    private static final int IFLA_MASTER = 10;
    private static final int IFLA_LINKINFO = 18;
    private static final int IFLA_LINK_NETNSID = 37;
    private static final int IFLA_INFO_KIND = 1;
    private static final int IFA_ADDRESS = 1;
    private static final int IFA_LOCAL = 2;
    private static final int IFA_FLAGS = 8;
    private static final int RTA_DST = 1;
    private static final int RTA_OIF = 4;
    private static final int RTA_GATEWAY = 5;
    private static final int RTA_MULTIPATH = 9;
    private static final int RTA_TABLE = 15;
    private static final int RTA_VIA = 18;
    private static final int TCA_KIND = 1;

    /** What is repeated here from C, by its names there. */
    static final Map<String, Integer> CONSTANTS = Map.ofEntries(
            Map.entry("AF_INET", AF_INET),
            Map.entry("AF_INET6", AF_INET6),
            Map.entry("RTM_GETLINK", RTM_GETLINK),
            Map.entry("RTM_GETADDR", RTM_GETADDR),
            Map.entry("RTM_GETROUTE", RTM_GETROUTE),
            Map.entry("NLM_F_REQUEST", NLM_F_REQUEST),
            Map.entry("NLM_F_DUMP_INTR", NLM_F_DUMP_INTR),
            Map.entry("NLM_F_DUMP", NLM_F_DUMP),
            Map.entry("NLMSG_ERROR", NLMSG_ERROR),
            Map.entry("NLMSG_DONE", NLMSG_DONE),
            Map.entry("NLA_TYPE_MASK", NLA_TYPE_MASK),
            Map.entry("IFF_UP", IFF_UP),
            Map.entry("IFF_LOOPBACK", IFF_LOOPBACK),
            Map.entry("ARPHRD_ETHER", ARPHRD_ETHER),
            Map.entry("IFLA_ADDRESS", IFLA_ADDRESS),
            Map.entry("IFLA_IFNAME", IFLA_IFNAME),
            Map.entry("IFLA_MTU", IFLA_MTU),
            Map.entry("IFLA_MASTER", IFLA_MASTER),
            Map.entry("IFLA_LINKINFO", IFLA_LINKINFO),
            Map.entry("IFLA_LINK_NETNSID", IFLA_LINK_NETNSID),
            Map.entry("IFLA_INFO_KIND", IFLA_INFO_KIND),
            Map.entry("IFA_ADDRESS", IFA_ADDRESS),
            Map.entry("IFA_LOCAL", IFA_LOCAL),
            Map.entry("IFA_FLAGS", IFA_FLAGS),
            Map.entry("RTA_DST", RTA_DST),
            Map.entry("RTA_OIF", RTA_OIF),
            Map.entry("RTA_GATEWAY", RTA_GATEWAY),
            Map.entry("RTA_MULTIPATH", RTA_MULTIPATH),
            Map.entry("RTA_TABLE", RTA_TABLE),
            Map.entry("RTA_VIA", RTA_VIA),
            Map.entry("RTM_GETQDISC", RTM_GETQDISC),
            Map.entry("RTM_GETTFILTER", RTM_GETTFILTER),
            Map.entry("TC_H_MIN_EGRESS", TC_H_MIN_EGRESS),
            Map.entry("TCA_KIND", TCA_KIND));

    /** The kernel fills no more than 32 KiB at once, however much there is room for (net/netlink/af_netlink.c). */
    private static final int BUFFER_BYTES = 64 * 1024;

    /** A dump that changes disturb is asked for anew, but where they never end it is as good as any later one. */
    private static final int TRIES = 10;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment errno = Native.errnoState(arena);
    private final MemorySegment buffer = arena.allocate(BUFFER_BYTES, Long.BYTES);
    private final MemorySegment request = arena.allocate(HEADER.byteSize() + QDISC.byteSize(), Long.BYTES);
    private final Fd socket;
    private int sequence;

    /** Opens it. The caller closes it. */
    public Rtnetlink() {
        try {
            socket = Syscalls.socket(
                    NetworkNotices.AF_NETLINK, NetworkNotices.SOCK_RAW, NetworkNotices.NETLINK_ROUTE, "NETLINK_ROUTE");
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * A network device.
     *
     * @param master index of the bridge, bond, VRF or the like of which it is a port; 0 for none
     * @param mtu in bytes
     * @param kind as `ip link add type` calls it, such as veth, bridge, vxlan or tun; "" for hardware
     * @param isEthernet whether its frames begin with an Ethernet header; tunnels of bare IP packets have none
     */
    public record Link(
            int index,
            String name,
            boolean isUp,
            boolean isLoopback,
            boolean isEthernet,
            int mtu,
            int master,
            String kind) {}

    /**
     * An address of this host.
     *
     * @param link index of its device
     * @param address the host's own, not that of a peer
     * @param scope in enum rt_scope_t, such as {@link #GLOBAL}
     * @param flags IFA_F_ bits
     */
    public record LinkAddress(int link, InetAddress address, int prefixLength, int scope, int flags) {
        /** RT_SCOPE_UNIVERSE: good anywhere. */
        public static final int GLOBAL = 0;

        /** IPv6: made up for a while, for outgoing connections. IPv4: another address of the same range comes first. */
        public static final int TEMPORARY = 0x01;

        /** Another host has it. */
        public static final int DUPLICATE = 0x08;

        /** For nothing new. */
        public static final int DEPRECATED = 0x20;

        /** Not yet known to be nobody else's. */
        public static final int TENTATIVE = 0x40;
    }

    /**
     * A route.
     *
     * @param destination 0.0.0.0 or :: for a default route
     * @param links indexes of the devices that it leads out of, several for a multipath route
     * @param hasGateway whether its next hop, or one of several, is another router
     * @param type in rtnetlink.h's RTN_ numbers, such as {@link #UNICAST}
     */
    public record Route(
            InetAddress destination, int prefixLength, List<Integer> links, boolean hasGateway, int table, int type) {
        /** Leads to another host, as opposed to this one, to all, or to nowhere. */
        public static final int UNICAST = 1;

        public Route {
            links = List.copyOf(links);
        }

        /** To whatever has no other route. */
        public boolean isDefault() {
            return prefixLength == 0;
        }

        /** To one address. */
        public boolean isToHost() {
            return prefixLength == Byte.SIZE * destination.getAddress().length;
        }
    }

    /**
     * All network devices, up or not.
     *
     * @throws BpfException if the kernel does not tell
     */
    public List<Link> links() {
        return dump(RTM_GETLINK, 0, LINK, Rtnetlink::link);
    }

    private record Hardware(int link, byte[] address) {}

    /**
     * The link-layer addresses of the devices that have one, by the device's index.
     *
     * @throws BpfException if the kernel does not tell
     */
    public Map<Integer, byte[]> hardwareAddresses() {
        return dump(RTM_GETLINK, 0, LINK, Rtnetlink::hardware).stream()
                .collect(Collectors.toMap(Hardware::link, Hardware::address, (one, other) -> other));
    }

    /**
     * The devices whose other end, or the device below them, is in another network namespace.
     *
     * @throws BpfException if the kernel does not tell
     */
    public Set<Integer> linksToOtherNamespaces() {
        return Set.copyOf(dump(RTM_GETLINK, 0, LINK, Rtnetlink::linkToOtherNamespace));
    }

    /**
     * All IPv4 and IPv6 addresses, loopback's included.
     *
     * @throws BpfException if the kernel does not tell
     */
    public List<LinkAddress> addresses() {
        List<LinkAddress> addresses = new ArrayList<>(dump(RTM_GETADDR, AF_INET, ADDRESS, Rtnetlink::address));
        addresses.addAll(dump(RTM_GETADDR, AF_INET6, ADDRESS, Rtnetlink::address));
        return addresses;
    }

    /**
     * The IPv4 and IPv6 routes of all tables. Of a router's million only those are kept that are wanted.
     *
     * @throws BpfException if the kernel does not tell
     */
    public List<Route> routes(Predicate<Route> wanted) {
        Function<MemorySegment, @Nullable Route> reader = message -> {
            Route route = route(message);
            return route != null && wanted.test(route) ? route : null;
        };
        List<Route> routes = new ArrayList<>(dump(RTM_GETROUTE, AF_INET, ROUTE, reader));
        routes.addAll(dump(RTM_GETROUTE, AF_INET6, ROUTE, reader));
        return routes;
    }

    /** What queues a device's packets, or filters them: its kind is noqueue, clsact, ingress, fq and so on. */
    public record Qdisc(int link, String kind) {}

    /**
     * All of all devices.
     *
     * @throws BpfException if the kernel does not tell
     */
    public List<Qdisc> qdiscs() {
        return dump(RTM_GETQDISC, 0, QDISC, Rtnetlink::qdisc);
    }

    /**
     * A filter of a device's clsact qdisc, or what holds those of one priority together.
     *
     * @param handle tells filters of one priority apart; 0: what holds them
     */
    public record Filter(int handle, int priority) {}

    /**
     * Those that meet what goes out of a device.
     *
     * @throws BpfException if the kernel does not tell: EINVAL if the device has no clsact qdisc, ENODEV if there is no
     *     such device
     */
    public List<Filter> egressFilters(int link) {
        return dump(
                RTM_GETTFILTER,
                QDISC,
                message -> {
                    message.set(JAVA_INT, offset(QDISC, "tcm_ifindex"), link);
                    message.set(JAVA_INT, offset(QDISC, "tcm_parent"), CLSACT_MAJOR | TC_H_MIN_EGRESS);
                },
                Rtnetlink::filter);
    }

    private <T> List<T> dump(int type, int family, StructLayout body, Function<MemorySegment, @Nullable T> reader) {
        return dump(type, body, message -> message.set(JAVA_BYTE, 0, (byte) family), reader);
    }

    /** @param which says in the body of the request what is asked for */
    private <T> List<T> dump(
            int type, StructLayout body, Consumer<MemorySegment> which, Function<MemorySegment, @Nullable T> reader) {
        List<T> all = new ArrayList<>();
        for (int tries = 0; tries < TRIES; tries++) {
            all.clear();
            ask(type, body, which);
            if (take(all, reader)) {
                break;
            }
        }
        return all;
    }

    private void ask(int type, StructLayout body, Consumer<MemorySegment> which) {
        long length = HEADER.byteSize() + body.byteSize();
        request.fill((byte) 0);
        request.set(JAVA_INT, offset(HEADER, "nlmsg_len"), (int) length);
        request.set(JAVA_SHORT, offset(HEADER, "nlmsg_type"), (short) type);
        request.set(JAVA_SHORT, offset(HEADER, "nlmsg_flags"), (short) (NLM_F_REQUEST | NLM_F_DUMP));
        request.set(JAVA_INT, offset(HEADER, "nlmsg_seq"), ++sequence);
        which.accept(request.asSlice(HEADER.byteSize(), body));
        try {
            long sent = (long) Send.CALL.invokeExact(errno, socket.number(), request, length, 0);
            Syscalls.check(sent, "send", socket, errno);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** @return false if something changed meanwhile, so that some may be missing or told twice */
    private <T> boolean take(List<T> all, Function<MemorySegment, @Nullable T> reader) {
        boolean undisturbed = true;
        while (true) {
            MemorySegment messages = buffer.asSlice(0, receive());
            while (messages.byteSize() >= HEADER.byteSize()) {
                long length = Integer.toUnsignedLong(messages.get(JAVA_INT, offset(HEADER, "nlmsg_len")));
                if (length < HEADER.byteSize() || length > messages.byteSize()) {
                    throw new BpfException("recv", socket.toString(), Errno.EBADMSG.number(), "length " + length);
                }
                MemorySegment body = messages.asSlice(HEADER.byteSize(), length - HEADER.byteSize());
                int type = messages.get(JAVA_SHORT, offset(HEADER, "nlmsg_type")) & 0xffff;
                int flags = messages.get(JAVA_SHORT, offset(HEADER, "nlmsg_flags"));
                boolean isAnswer = messages.get(JAVA_INT, offset(HEADER, "nlmsg_seq")) == sequence;
                messages = messages.asSlice(Math.min(aligned(length), messages.byteSize()));
                if (!isAnswer) {
                    continue;
                }
                undisturbed &= (flags & NLM_F_DUMP_INTR) == 0;
                if (type == NLMSG_ERROR || type == NLMSG_DONE) {
                    int result = body.byteSize() < Integer.BYTES ? 0 : body.get(JAVA_INT, 0);
                    BpfException.check(result, "rtnetlink dump", socket);
                    return undisturbed;
                }
                T read = reader.apply(body);
                if (read != null) {
                    all.add(read);
                }
            }
        }
    }

    private long receive() {
        while (true) {
            try {
                long taken = (long)
                        NetworkNotices.Recv.CALL.invokeExact(errno, socket.number(), buffer, buffer.byteSize(), 0);
                if (taken >= 0 || Native.errno(errno) != Errno.EINTR.number()) {
                    Syscalls.check(taken, "recv", socket, errno);
                    return taken;
                }
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }
    }

    static @Nullable Link link(MemorySegment message) {
        if (message.byteSize() < LINK.byteSize()) {
            return null;
        }
        Map<Integer, MemorySegment> attributes = attributes(message.asSlice(LINK.byteSize()));
        MemorySegment info = attributes.get(IFLA_LINKINFO);
        int flags = message.get(JAVA_INT, offset(LINK, "ifi_flags"));
        String name = string(attributes.get(IFLA_IFNAME));
        if (name.isEmpty()) {
            return null;
        }
        return new Link(
                message.get(JAVA_INT, offset(LINK, "ifi_index")),
                name,
                (flags & IFF_UP) != 0,
                (flags & IFF_LOOPBACK) != 0,
                message.get(JAVA_SHORT, offset(LINK, "ifi_type")) == ARPHRD_ETHER,
                number(attributes.get(IFLA_MTU), 0),
                number(attributes.get(IFLA_MASTER), 0),
                info == null ? "" : string(attributes(info).get(IFLA_INFO_KIND)));
    }

    private static @Nullable Hardware hardware(MemorySegment message) {
        if (message.byteSize() < LINK.byteSize()) {
            return null;
        }
        MemorySegment address = attributes(message.asSlice(LINK.byteSize())).get(IFLA_ADDRESS);
        return address == null
                ? null
                : new Hardware(message.get(JAVA_INT, offset(LINK, "ifi_index")), address.toArray(JAVA_BYTE));
    }

    private static @Nullable Integer linkToOtherNamespace(MemorySegment message) {
        return message.byteSize() >= LINK.byteSize()
                        && attributes(message.asSlice(LINK.byteSize())).containsKey(IFLA_LINK_NETNSID)
                ? message.get(JAVA_INT, offset(LINK, "ifi_index"))
                : null;
    }

    static @Nullable LinkAddress address(MemorySegment message) {
        if (message.byteSize() < ADDRESS.byteSize()) {
            return null;
        }
        Map<Integer, MemorySegment> attributes = attributes(message.asSlice(ADDRESS.byteSize()));
        // On a link with one peer the other one is the peer's.
        MemorySegment own = attributes.get(attributes.containsKey(IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS);
        InetAddress address = own == null ? null : address(message.get(JAVA_BYTE, 0), own);
        if (address == null) {
            return null;
        }
        return new LinkAddress(
                message.get(JAVA_INT, offset(ADDRESS, "ifa_index")),
                address,
                unsigned(message, ADDRESS, "ifa_prefixlen"),
                unsigned(message, ADDRESS, "ifa_scope"),
                number(attributes.get(IFA_FLAGS), unsigned(message, ADDRESS, "ifa_flags")));
    }

    static @Nullable Route route(MemorySegment message) {
        if (message.byteSize() < ROUTE.byteSize()) {
            return null;
        }
        int family = message.get(JAVA_BYTE, 0);
        Map<Integer, MemorySegment> attributes = attributes(message.asSlice(ROUTE.byteSize()));
        MemorySegment to = attributes.get(RTA_DST);
        InetAddress destination = to == null ? unspecified(family) : address(family, to);
        if (destination == null) {
            return null;
        }
        List<Integer> links = new ArrayList<>();
        boolean hasGateway = attributes.containsKey(RTA_GATEWAY) || attributes.containsKey(RTA_VIA);
        int out = number(attributes.get(RTA_OIF), 0);
        if (out != 0) {
            links.add(out);
        }
        MemorySegment hops = attributes.get(RTA_MULTIPATH);
        while (hops != null && hops.byteSize() >= NEXT_HOP.byteSize()) {
            int length = hops.get(JAVA_SHORT, offset(NEXT_HOP, "rtnh_len")) & 0xffff;
            if (length < NEXT_HOP.byteSize() || length > hops.byteSize()) {
                break;
            }
            links.add(hops.get(JAVA_INT, offset(NEXT_HOP, "rtnh_ifindex")));
            Map<Integer, MemorySegment> ofHop =
                    attributes(hops.asSlice(NEXT_HOP.byteSize(), length - NEXT_HOP.byteSize()));
            hasGateway |= ofHop.containsKey(RTA_GATEWAY) || ofHop.containsKey(RTA_VIA);
            hops = hops.asSlice(Math.min(aligned(length), hops.byteSize()));
        }
        return new Route(
                destination,
                unsigned(message, ROUTE, "rtm_dst_len"),
                links,
                hasGateway,
                number(attributes.get(RTA_TABLE), unsigned(message, ROUTE, "rtm_table")),
                unsigned(message, ROUTE, "rtm_type"));
    }

    static @Nullable Qdisc qdisc(MemorySegment message) {
        if (message.byteSize() < QDISC.byteSize()) {
            return null;
        }
        return new Qdisc(
                message.get(JAVA_INT, offset(QDISC, "tcm_ifindex")),
                string(attributes(message.asSlice(QDISC.byteSize())).get(TCA_KIND)));
    }

    static @Nullable Filter filter(MemorySegment message) {
        return message.byteSize() < QDISC.byteSize()
                ? null
                : new Filter(
                        message.get(JAVA_INT, offset(QDISC, "tcm_handle")),
                        message.get(JAVA_INT, offset(QDISC, "tcm_info")) >>> Short.SIZE);
    }

    /** By their types; of two of one type the last. Ends before the first whose length cannot be. */
    static Map<Integer, MemorySegment> attributes(MemorySegment segment) {
        Map<Integer, MemorySegment> attributes = new HashMap<>();
        MemorySegment left = segment;
        while (left.byteSize() >= ATTRIBUTE.byteSize()) {
            int length = left.get(JAVA_SHORT, offset(ATTRIBUTE, "rta_len")) & 0xffff;
            if (length < ATTRIBUTE.byteSize() || length > left.byteSize()) {
                break;
            }
            attributes.put(
                    left.get(JAVA_SHORT, offset(ATTRIBUTE, "rta_type")) & NLA_TYPE_MASK & 0xffff,
                    left.asSlice(ATTRIBUTE.byteSize(), length - ATTRIBUTE.byteSize()));
            left = left.asSlice(Math.min(aligned(length), left.byteSize()));
        }
        return attributes;
    }

    private static int number(@Nullable MemorySegment attribute, int otherwise) {
        return attribute == null || attribute.byteSize() < Integer.BYTES ? otherwise : attribute.get(JAVA_INT, 0);
    }

    private static String string(@Nullable MemorySegment attribute) {
        if (attribute == null) {
            return "";
        }
        byte[] bytes = attribute.toArray(JAVA_BYTE);
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        return new String(bytes, 0, end, StandardCharsets.UTF_8);
    }

    private static @Nullable InetAddress address(int family, MemorySegment attribute) {
        boolean isAddress = addressBytes(family) > 0 && attribute.byteSize() == addressBytes(family);
        return isAddress ? address(attribute.toArray(JAVA_BYTE)) : null;
    }

    private static @Nullable InetAddress unspecified(int family) {
        return addressBytes(family) == 0 ? null : address(new byte[addressBytes(family)]);
    }

    private static int addressBytes(int family) {
        return switch (family) {
            case AF_INET -> 4;
            case AF_INET6 -> 16;
            default -> 0;
        };
    }

    private static InetAddress address(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(bytes.length + " bytes", e);
        }
    }

    private static int unsigned(MemorySegment message, StructLayout struct, String member) {
        return message.get(JAVA_BYTE, offset(struct, member)) & 0xff;
    }

    private static long offset(StructLayout struct, String member) {
        return struct.byteOffset(PathElement.groupElement(member));
    }

    private static long aligned(long length) {
        return (length + 3) & ~3L;
    }

    @Override
    public void close() {
        socket.close();
        arena.close();
    }

    private static final class Send {
        static final MethodHandle CALL = Native.libc(
                "send",
                FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ValueLayout.ADDRESS, JAVA_LONG, JAVA_INT),
                Native.ERRNO);
    }
}
