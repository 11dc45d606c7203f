package io.shunt.datapath;

import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The socket programs on a cgroup of their own, and the bytes in their maps written by hand. Everything runs in one
 * namespace: clients, and servers on 10.0.0.0/24 and fd00::/64. Service addresses have no route, so a call that is not
 * translated fails with ENETUNREACH.
 */
final class SocketFixture implements AutoCloseable {
    static final int GONE = 0;
    static final int DRAINING = 1;
    static final int ACTIVE = 3;
    static final int UNREADY = 8;

    /** Attach type by program. */
    private static final Map<String, AttachType> PROGRAMS = new LinkedHashMap<>();

    static {
        PROGRAMS.put("connect4", AttachType.CGROUP_INET4_CONNECT);
        PROGRAMS.put("connect6", AttachType.CGROUP_INET6_CONNECT);
        PROGRAMS.put("sendmsg4", AttachType.CGROUP_UDP4_SENDMSG);
        PROGRAMS.put("sendmsg6", AttachType.CGROUP_UDP6_SENDMSG);
        PROGRAMS.put("recvmsg4", AttachType.CGROUP_UDP4_RECVMSG);
        PROGRAMS.put("recvmsg6", AttachType.CGROUP_UDP6_RECVMSG);
        PROGRAMS.put("getpeername4", AttachType.CGROUP_INET4_GETPEERNAME);
        PROGRAMS.put("getpeername6", AttachType.CGROUP_INET6_GETPEERNAME);
        PROGRAMS.put("sock_release", AttachType.CGROUP_INET_SOCK_RELEASE);
        PROGRAMS.put("post_bind4", AttachType.CGROUP_INET4_POST_BIND);
        PROGRAMS.put("post_bind6", AttachType.CGROUP_INET6_POST_BIND);
    }

    private static final ValueLayout.OfShort PORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfLong HALF_ADDRESS =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final int BACKEND_BYTES = 32;

    private final Closing closing = new Closing();
    private final Arena arena = Arena.ofShared();
    private final BpfObject object;
    private final Cgroup cgroup;
    private final Pod pod;
    private final Map<Vip, MemorySegment> frontends = new HashMap<>();
    private final MemorySegment sets;
    private final MemorySegment slots;
    private final MemorySegment backends;
    private int nextService = 1;
    private int nextBackend = 1;
    private int nextSlot;

    SocketFixture() {
        this(opened -> {});
    }

    /**
     * @param beforeLoad may change the maps' sizes
     */
    SocketFixture(Consumer<BpfObject> beforeLoad) {
        try {
            object = closing.add(BpfObject.open("sock", elf()));
            object.map("sets").setMaxEntries(1 << 12);
            object.map("slots").setMaxEntries(1 << 16);
            object.map("backends").setMaxEntries(1 << 16);
            beforeLoad.accept(object);
            object.load();
            closing.add(arena);
            sets = object.map("sets").mmap(arena);
            slots = object.map("slots").mmap(arena);
            backends = object.map("backends").mmap(arena);
            cgroup = closing.add(Cgroup.create("sock"));
            pod = newPod();
            PROGRAMS.forEach((program, type) -> attach(object.program(program), type));
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    /** Another namespace with the same addresses, whose sockets are translated too; the servers are not there. */
    Pod newPod() {
        Pod made = closing.add(new Pod(cgroup, "sock"));
        made.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        made.namespace().ip("-6", "route", "add", "local", "fd00::/64", "dev", "lo");
        made.namespace().run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
        return made;
    }

    private void attach(BpfProgram program, AttachType type) {
        BpfLink link = cgroup.attach(program, type);
        closing.add(link);
    }

    private static byte[] elf() {
        try (InputStream in = SocketFixture.class.getResourceAsStream("/bpf/sock.bpf.o")) {
            if (in == null) {
                throw new IllegalStateException("/bpf/sock.bpf.o is not on the class path");
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Traffic traffic() {
        return pod.traffic();
    }

    Pod pod() {
        return pod;
    }

    Collection<BpfMap> maps() {
        return object.maps();
    }

    BpfMap map(String name) {
        return object.map(name);
    }

    Iterable<BpfProgram> programs() {
        return object.programs();
    }

    /** A backend's place in `backends`, where it listens, and the name it answers with. */
    record Server(int id, Peer at, String name) {}

    /** A service's id, its address, and what it was made with. */
    record Vip(int id, Peer at, Protocol protocol) {}

    /** New backends that answer with their names, each at an address and port of its own. */
    List<Server> servers(boolean v6, Protocol protocol, int count) {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Server server = silent(v6);
            traffic().serve(protocol, server.at.address(), server.at.port(), server.name);
            servers.add(server);
        }
        return servers;
    }

    /** A new backend where nobody listens yet. */
    Server silent(boolean v6) {
        return at(new Peer((v6 ? "fd00::" : "10.0.0.") + (1 + nextBackend % 9), 8000 + nextBackend));
    }

    /** A new backend at an address of the caller's choice. */
    Server at(Peer peer) {
        int id = nextBackend++;
        return new Server(id, peer, "backend-" + id);
    }

    /** A new service with these backends, which must not belong to another one. */
    Vip service(boolean v6, Protocol protocol, List<Server> members) {
        int id = nextService++;
        Vip vip = new Vip(id, new Peer(v6 ? "fd30::" + id : "172.30." + id / 250 + "." + (1 + id % 250), 80), protocol);
        members.forEach(server -> backend(server, id, ACTIVE, 1));
        setMembers(vip, members);
        publish(vip);
        MemorySegment service = arena.allocateFrom(ValueLayout.JAVA_INT, id);
        BpfMap stats = object.map("service_stats");
        stats.update(service, arena.allocate(stats.valueBytes(), 8), BpfMap.ANY);
        return vip;
    }

    /** Makes the address lead to the service. */
    void publish(Vip vip) {
        MemorySegment element = frontend(vip);
        object.map("frontends").update(element, element, BpfMap.ANY);
    }

    /** Takes the address away. */
    void withdraw(Vip vip) {
        object.map("frontends").delete(frontend(vip));
    }

    /** The key, which the value repeats, nothing special, and then the service id. */
    private MemorySegment frontend(Vip vip) {
        return frontends.computeIfAbsent(vip, v -> {
            MemorySegment element = arena.allocate(32, 4);
            putAddress(element, 0, vip.at.address());
            element.set(PORT, 16, (short) vip.at.port());
            element.set(ValueLayout.JAVA_BYTE, 18, (byte) vip.protocol.number());
            element.set(ValueLayout.JAVA_INT, 28, vip.id);
            return element;
        });
    }

    /** Writes the members into fresh slots and flips the set; nothing is ever used again. */
    void setMembers(Vip vip, List<Server> members) {
        int base = nextSlot;
        for (Server member : members) {
            slots.set(ValueLayout.JAVA_INT, slotOffset(nextSlot++), member.id);
        }
        long word = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
                ? (long) members.size() << 32 | base
                : (long) base << 32 | members.size();
        ValueLayout.JAVA_LONG.varHandle().setVolatile(sets, vip.id * 16L, word);
    }

    private static long slotOffset(int slot) {
        return slot * 4L;
    }

    void backend(Server server, int serviceId, int state, int generation) {
        MemorySegment entry = backends.asSlice((long) server.id * BACKEND_BYTES, BACKEND_BYTES);
        putAddress(entry, 0, server.at.address());
        entry.set(PORT, 16, (short) server.at.port());
        entry.set(ValueLayout.JAVA_BYTE, 18, (byte) state);
        entry.set(ValueLayout.JAVA_INT, 20, generation);
        entry.set(ValueLayout.JAVA_INT, 24, serviceId);
    }

    private static void putAddress(MemorySegment to, long offset, String text) {
        Address address = Address.of(text);
        to.set(HALF_ADDRESS, offset, address.high());
        to.set(HALF_ADDRESS, offset + 8, address.low());
    }

    long connections(Vip vip) {
        return stats(vip, 0);
    }

    long refused(Vip vip) {
        return stats(vip, 8);
    }

    private long stats(Vip vip, long offset) {
        BpfMap stats = object.map("service_stats");
        MemorySegment value = arena.allocate(stats.valueBytes(), 8);
        stats.lookup(arena.allocateFrom(ValueLayout.JAVA_INT, vip.id), value);
        return sum(value, offset, 16);
    }

    /** Index as in enum sock_error. */
    long errors(int error) {
        BpfMap errors = object.map("sock_errors");
        MemorySegment value = arena.allocate(errors.valueBytes(), 8);
        errors.lookup(arena.allocateFrom(ValueLayout.JAVA_INT, error), value);
        return sum(value, 0, 8);
    }

    private static long sum(MemorySegment perCpu, long offset, long stride) {
        long sum = 0;
        for (long at = offset; at < perCpu.byteSize(); at += stride) {
            sum += perCpu.get(ValueLayout.JAVA_LONG, at);
        }
        return sum;
    }

    /** How many elements a hash map has. */
    int entries(String map) {
        return keys(map).size();
    }

    /** Takes every element out of a hash map, as if the kernel had evicted them. */
    void evict(String map) {
        keys(map).forEach(object.map(map)::delete);
    }

    /** Makes every element of a map of origins look as if it had just become another socket's, who asked for that address. */
    void reuse(String map, Peer asked) {
        BpfMap hash = object.map(map);
        for (MemorySegment key : keys(map)) {
            MemorySegment value = arena.allocate(hash.valueBytes(), 8);
            hash.lookup(key, value);
            value.set(ValueLayout.JAVA_LONG, 0, value.get(ValueLayout.JAVA_LONG, 0) + 1);
            putAddress(value, 8, asked.address());
            hash.update(key, value, BpfMap.EXIST);
        }
    }

    private List<MemorySegment> keys(String map) {
        BpfMap hash = object.map(map);
        List<MemorySegment> keys = new ArrayList<>();
        hash.forEach((key, value) -> {
            MemorySegment copy = arena.allocate(hash.keySize(), 8);
            copy.copyFrom(key);
            keys.add(copy);
        });
        return keys;
    }

    @Override
    public void close() {
        closing.close();
    }
}
