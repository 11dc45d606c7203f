package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Direction;
import io.shunt.datapath.PacketCase.Drop;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketCase.Reason;
import io.shunt.datapath.PacketCase.State;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.PacketRun;
import io.shunt.libbpf.TestObject;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.net.Protocol;
import io.shunt.table.VirtualService;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A node with devices, addresses, routes and neighbours on which packet programs run on one packet at a time. Nothing is
 * attached and nothing is on the wire: the devices lead to where nobody is.
 *
 * <p>eth0 faces the network (192.168.7.1/24, fd07::1/64, the way to everywhere), cni0 the pods (10.1.0.1/24,
 * fd00:1::1/64), and tun0, of 1280 bytes, another node's (10.3.0.1/24, fd00:3::1/64).
 */
final class PacketLab implements AutoCloseable {
    static final byte[] DEVICE = {2, 0, 0, 0, 0, 1};
    static final byte[] SENDER = {2, 0, 0, 0, 0, (byte) 0x99};

    /** Each next hop's; far from others, as random packets have bits of those turned over. */
    static final byte[] NEIGHBOUR = {0x0a, 'n', 'e', 'x', 't', 1};
    /** What the programs write over the link-layer address of what they send to the node itself. */
    static final byte[] DELIVERED = {2, 's', 'h', 'u', 'n', 't'};

    static final int NARROW_MTU = 1280;

    private static final MapSizes SIZES = new MapSizes(1024, 4096, 524_288);
    private static final Map<Hook, String> PROGRAMS = Map.of(
            Hook.OUTSIDE, "from_outside", Hook.POD, "from_pod", Hook.HOST, "from_host", Hook.FORWARDED, "from_host");
    private static final Map<Hook, String> DEVICES =
            Map.of(Hook.OUTSIDE, "eth0", Hook.POD, "cni0", Hook.HOST, "eth0", Hook.FORWARDED, "eth0");

    private static final State[] STATES = State.values();
    private static final long FROM = Layouts.offset(Layouts.FLOW, "from");
    private static final long TO = Layouts.offset(Layouts.FLOW, "to");
    private static final long SEEN = Layouts.offset(Layouts.FLOW, "seen");
    private static final long STATE = Layouts.offset(Layouts.FLOW, "state");
    private static final long FLAGS = Layouts.offset(Layouts.FLOW, "flags");
    private static final long SOURCE = Layouts.offset(Layouts.TUPLE, "source");
    private static final long DESTINATION = Layouts.offset(Layouts.TUPLE, "destination");
    private static final long SOURCE_PORT = Layouts.offset(Layouts.TUPLE, "source_port");
    private static final long DESTINATION_PORT = Layouts.offset(Layouts.TUPLE, "destination_port");
    private static final long PROTOCOL = Layouts.offset(Layouts.TUPLE, "protocol");

    private final Acceleration acceleration;
    private final Closing closing = new Closing();
    private final Namespace node;
    private final Namespace nowhere;
    private final ExecutorService inside;
    private final Map<PacketSettings, Installed> installed = new HashMap<>();
    private final Map<String, Integer> devices = new HashMap<>();

    PacketLab() {
        this(Acceleration.OFF);
    }

    /** With programs for drivers, too. */
    static PacketLab accelerated() {
        return new PacketLab(Acceleration.GENERIC);
    }

    private PacketLab(Acceleration acceleration) {
        this.acceleration = acceleration;
        try {
            BpfObject frames = closing.add(TestObject.loaded("frames"));
            nowhere = closing.add(Namespace.create("nowhere"));
            node = closing.add(Namespace.create("lab"));
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
            device("eth0", 1500, "192.168.7.1/24", "fd07::1/64");
            device("cni0", 1500, "10.1.0.1/24", "fd00:1::1/64");
            device("tun0", NARROW_MTU, "10.3.0.1/24", "fd00:3::1/64");
            // Or nobody could say that a frame had come in by it.
            closing.add(node.call(
                    () -> BpfLink.create(frames.program("pass"), index("eth0"), AttachType.XDP, BpfLink.XDP_NATIVE)));
            node.ip("route", "add", "10.2.0.0/24", "via", "192.168.7.2");
            node.ip("route", "add", "fd00:2::/64", "via", "fd07::2");
            node.ip("route", "add", "default", "via", "192.168.7.254");
            node.ip("route", "add", "default", "via", "fd07::fe");
            for (String each :
                    List.of("192.168.7.2", "192.168.7.9", "192.168.7.254", "fd07::2", "fd07::9", "fd07::fe")) {
                neighbour("eth0", each);
            }
            for (int pod = 2; pod < 10; pod++) {
                neighbour("cni0", "10.1.0." + pod);
                neighbour("cni0", "fd00:1::" + pod);
                neighbour("tun0", "10.3.0." + pod);
                neighbour("tun0", "fd00:3::" + pod);
            }
            // Its thread is in the namespace, since it is started from there.
            inside = node.call(() -> {
                ThreadPoolExecutor one = new ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
                one.prestartAllCoreThreads();
                return one;
            });
            closing.add(() -> {
                inside.shutdownNow();
                inside.awaitTermination(10, TimeUnit.SECONDS);
            });
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    private void device(String name, int mtu, String v4, String v6) {
        node.link(name, nowhere, name);
        node.ip("link", "set", name, "address", "02:00:00:00:00:01", "mtu", String.valueOf(mtu));
        node.address(name, v4);
        node.address(name, v6);
        devices.put(name, node.index(name));
    }

    private void neighbour(String device, String address) {
        node.ip("neighbour", "add", address, "lladdr", "0a:6e:65:78:74:01", "dev", device, "nud", "permanent");
    }

    /** Calls on the one thread that is in the node's network namespace. */
    <T> T call(Callable<T> call) {
        try {
            return inside.submit(call).get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** The index of a device. */
    int index(String device) {
        return devices.get(device);
    }

    /** The programs with these settings, loaded when they are first wanted. They belong to this. */
    Installed installed(PacketSettings settings) {
        return installed.computeIfAbsent(settings, each -> closing.add(new Installed(each)));
    }

    /** What the kernel remembers of one direction of a conversation. */
    record Flow(Tuple from, Tuple to, State state, boolean isReply, boolean isConfirmed) {}

    /** What a program made of a packet. */
    record Run(int retval, Packet out) {}

    /** Programs of one set of settings, and their maps. */
    final class Installed implements AutoCloseable {
        private final Closing parts = new Closing();
        private final Ground ground;
        private final Installation installation;
        private final PacketRun run;
        private final Map<Hook, BpfProgram> programs = new EnumMap<>(Hook.class);
        private @Nullable BpfProgram driver;
        private final Arena arena = Arena.ofShared();
        private final MemorySegment tuple = arena.allocate(Layouts.TUPLE);
        private final MemorySegment flow = arena.allocate(Layouts.ROUTED_FLOW);
        private final BpfMap flows;
        private final NewFlows newFlows;
        private final Map<String, Integer> services = new LinkedHashMap<>();

        Installed(PacketSettings settings) {
            try {
                parts.add(arena::close);
                ground = parts.add(new Ground());
                installation = Installation.open(
                        ground.pins().path(),
                        ground.cgroup().path(),
                        SIZES,
                        new Settings(0, false),
                        settings,
                        ground.control());
                // There it frees what was given up, up to the end.
                parts.add(() -> ground.onControl(() -> {
                    installation.close();
                    return null;
                }));
                installation.accelerate(acceleration, settings);
                run = parts.add(new PacketRun());
                if (acceleration != Acceleration.OFF) {
                    driver = installation.packets().program("driver_generic");
                }
                PROGRAMS.forEach((hook, name) ->
                        programs.put(hook, installation.packets().program(name)));
                flows = map("flows");
                newFlows = new NewFlows(map("flows_new"));
                ground.onControl(() -> {
                    installation
                            .datapath()
                            .putNodeAddresses(
                                    Set.of(Address.of("192.168.7.1"), Address.of("fd07::1"), Address.of("127.0.0.1")));
                    return null;
                });
                putSources();
            } catch (RuntimeException e) {
                throw parts.closeAfter(e);
            }
        }

        private void putSources() {
            Map<Integer, AddressPair> sources = new HashMap<>();
            sources.put(index("eth0"), source("192.168.7.1", "fd07::1"));
            sources.put(index("cni0"), source("10.1.0.1", "fd00:1::1"));
            sources.put(index("tun0"), source("10.3.0.1", "fd00:3::1"));
            // There are other programs at the driver, so none is put there; but it is known.
            List<PacketPrograms.Device> network =
                    acceleration == Acceleration.OFF ? List.of() : List.of(network("eth0"), network("tun0"));
            call(() -> {
                installation.packets().follow(network, sources);
                return null;
            });
            new Exits(map("exits"))
                    .put(
                            List.of(
                                    network("eth0"),
                                    network("tun0"),
                                    new PacketPrograms.Device(index("cni0"), "cni0", true, true)),
                            Set.of());
        }

        private PacketPrograms.Device network(String name) {
            return new PacketPrograms.Device(index(name), name, false, true);
        }

        private static AddressPair source(String v4, String v6) {
            return new AddressPair(Address.of(v4), Address.of(v6));
        }

        PacketRun run() {
            return run;
        }

        Installation installation() {
            return installation;
        }

        BpfProgram program(Hook hook) {
            return programs.get(hook);
        }

        BpfMap map(String name) {
            return installation.packets().map(name);
        }

        /** The device at which packets from there are looked at. */
        private int device(Hook hook) {
            return index(DEVICES.get(hook));
        }

        /** Packets come from there from now on. */
        void at(Hook hook) {
            run.at(device(hook), hook == Hook.FORWARDED ? index("cni0") : 0);
        }

        /** Runs the program on a packet as it stands. */
        Run run(Hook hook, Packet packet, boolean summed) {
            return call(() -> {
                at(hook);
                run.summed(summed);
                MemorySegment.copy(packet.bytes(), 0, run.in(), JAVA_BYTE, 0, packet.bytes().length);
                int retval = run.run(programs.get(hook), packet.bytes().length);
                return new Run(
                        retval, new Packet(run.out().asSlice(0, run.size()).toArray(JAVA_BYTE)));
            });
        }

        /** Runs the program at the driver of the device to the network. */
        Run runAtDriver(Packet packet) {
            return call(() -> {
                MemorySegment.copy(packet.bytes(), 0, run.in(), JAVA_BYTE, 0, packet.bytes().length);
                int retval = runAtDriver(packet.bytes().length);
                return new Run(
                        retval, new Packet(run.out().asSlice(0, run.size()).toArray(JAVA_BYTE)));
            });
        }

        /** The same on the first so many bytes of what has been written for it. For the thread of {@link #call}. */
        int runAtDriver(int length) {
            return run.runAtDriver(Objects.requireNonNull(driver), device(Hook.OUTSIDE), length);
        }

        /** Programs a service; returns its id. */
        int put(VirtualService service) {
            int id = ground.put(installation, service);
            services.putIfAbsent(service.name(), id);
            return id;
        }

        /** The id of the service that was put first. */
        int firstService() {
            return services.isEmpty() ? 0 : services.values().iterator().next();
        }

        /** No services any more, no conversations, nothing counted. */
        void reset() {
            if (!services.isEmpty()) {
                Set<String> names = Set.copyOf(services.keySet());
                ground.onControl(() -> installation.datapath().put(List.of(), names));
                services.clear();
            }
            List.of("fragments", "affinity", "drops").forEach(name -> clear(map(name)));
            forgetFlows();
        }

        void forgetFlows() {
            clear(flows);
            newFlows.clear();
        }

        /** How many unconfirmed entries were pushed out since {@link #reset}, of flows that were not over. */
        int evicted() {
            return newFlows.pushedOut();
        }

        /** The row in which such a flow stands while it is not confirmed. */
        int row(Tuple from) {
            writeKey(from);
            return newFlows.row(tuple);
        }

        /** Null if nothing is known of such packets. */
        @Nullable
        Flow flow(Tuple from) {
            writeKey(from);
            boolean found = flows.lookup(tuple, flow);
            MemorySegment there = found ? flow : newFlows.find(tuple);
            if (there == null) {
                return null;
            }
            Flow known = decode(there);
            if (known.isConfirmed() != found) {
                throw new IllegalStateException(known + " stands in the wrong map");
            }
            return known;
        }

        /** All that is known, by what the packets look like. */
        Map<Tuple, Flow> flows() {
            Map<Tuple, Flow> all = new HashMap<>();
            flows.forEach((key, value) -> {
                Flow known = decode(value);
                if (!tuple(key, 0).equals(known.from()) || !known.isConfirmed()) {
                    throw new IllegalStateException(known + " stands in the wrong place");
                }
                all.put(known.from(), known);
            });
            newFlows.forEach(value -> {
                Flow known = decode(value);
                if (known.isConfirmed() || all.put(known.from(), known) != null) {
                    throw new IllegalStateException(known + " stands in the wrong place, or in two");
                }
            });
            return all;
        }

        /** As the kernel does under pressure. */
        void forget(Tuple from) {
            writeKey(from);
            if (!newFlows.delete(tuple)) {
                throw new IllegalStateException("nothing to forget of " + from);
            }
        }

        /** As if nobody had spoken for so many seconds more. */
        void age(int seconds) {
            List<byte[]> confirmed = new ArrayList<>();
            flows.forEach((key, value) -> confirmed.add(value.toArray(JAVA_BYTE)));
            for (byte[] each : confirmed) {
                setBack(each, seconds);
                MemorySegment.copy(flow, FROM, tuple, 0, tuple.byteSize());
                flows.update(tuple, flow, BpfMap.ANY);
            }
            List<byte[]> unconfirmed = new ArrayList<>();
            newFlows.forEach(value -> unconfirmed.add(value.toArray(JAVA_BYTE)));
            for (byte[] each : unconfirmed) {
                setBack(each, seconds);
                newFlows.put(flow);
            }
        }

        private void setBack(byte[] known, int seconds) {
            MemorySegment.copy(known, 0, flow, JAVA_BYTE, 0, known.length);
            flow.set(JAVA_INT, SEEN, flow.get(JAVA_INT, SEEN) - seconds);
        }

        private void writeKey(Tuple from) {
            Layouts.putAddress(tuple, SOURCE, from.source());
            Layouts.putAddress(tuple, DESTINATION, from.destination());
            Layouts.putPort(tuple, SOURCE_PORT, from.sourcePort());
            Layouts.putPort(tuple, DESTINATION_PORT, from.destinationPort());
            tuple.set(JAVA_BYTE, PROTOCOL, (byte) from.protocol().number());
        }

        List<Drop> drops() {
            List<Drop> drops = new ArrayList<>();
            map("drops").forEach((key, value) -> {
                if (Drops.drop(key, value).serviceId() == Drops.GONE) {
                    // Of earlier cases.
                    return;
                }
                Drop drop = new Drop(
                        Reason.values()[key.get(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "reason"))],
                        Direction.values()[key.get(JAVA_BYTE, Layouts.offset(Layouts.DROP_KEY, "direction"))]);
                for (long i = Installation.sumWords(value); i > 0; i--) {
                    drops.add(drop);
                }
            });
            return drops;
        }

        @Override
        public void close() {
            parts.close();
        }
    }

    static void clear(BpfMap map) {
        List<byte[]> keys = new ArrayList<>();
        map.forEach((key, value) -> keys.add(key.toArray(JAVA_BYTE)));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(map.keySize(), Long.BYTES);
            for (byte[] each : keys) {
                MemorySegment.copy(each, 0, key, JAVA_BYTE, 0, each.length);
                map.delete(key);
            }
        }
    }

    private static Flow decode(MemorySegment flow) {
        return new Flow(
                tuple(flow, FROM),
                tuple(flow, TO),
                STATES[flow.get(JAVA_BYTE, STATE)],
                (flow.get(JAVA_BYTE, FLAGS) & Layouts.FLOW_IS_REPLY) != 0,
                (flow.get(JAVA_BYTE, FLAGS) & Layouts.FLOW_IS_CONFIRMED) != 0);
    }

    private static Tuple tuple(MemorySegment flow, long at) {
        Optional<Protocol> protocol = Protocol.ofNumber(Byte.toUnsignedInt(flow.get(JAVA_BYTE, at + PROTOCOL)));
        return new Tuple(
                Layouts.address(flow, at + SOURCE),
                Layouts.port(flow, at + SOURCE_PORT),
                Layouts.address(flow, at + DESTINATION),
                Layouts.port(flow, at + DESTINATION_PORT),
                protocol.orElseThrow());
    }

    @Override
    public void close() {
        closing.close();
    }
}
