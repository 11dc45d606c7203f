package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.datapath.DeviceHooks.Side;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.net.IpFamily;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The programs at the devices, for packets whose sender no socket program saw, and where they sit. */
public final class PacketPrograms implements AutoCloseable {
    /** In enum sock_error of maps.h. */
    static final String TUNNEL_NARROW = "tunnel_narrow";

    private final BpfObject object;
    private final DeviceHooks hooks;
    private final Exits exits;
    private final Shortcuts shortcuts = new Shortcuts(System::nanoTime);
    private final String refusal;
    private Acceleration acceleration = Acceleration.OFF;
    private @Nullable BpfObject drivers;
    private volatile String notAccelerated = "";
    private volatile boolean sitNowhere;

    /**
     * @param object loaded; closed with this
     * @param refusal as {@link #refusal}; if there is one, the object has been loaded without its programs
     */
    PacketPrograms(BpfRoot root, BpfObject object, String refusal) {
        this.object = object;
        this.refusal = refusal;
        hooks = new DeviceHooks(root, this::program);
        exits = new Exits(object.map("exits"));
    }

    /** Why the kernel does not take the programs; "" if it has. Then packets are not translated. */
    public String refusal() {
        return refusal;
    }

    /**
     * Puts programs at drivers too, from the next {@link #follow} on. Until it is called there are none.
     *
     * @param loaded the programs for drivers; closed with this
     */
    void accelerate(Acceleration how, BpfObject loaded) {
        acceleration = how;
        drivers = loaded;
    }

    /** The programs for drivers cannot be had on this node. */
    void cannotAccelerate(String why) {
        notAccelerated = why;
    }

    /** Why there are no programs at drivers although they are wanted; "" if there is no reason. Safe from any thread. */
    public String notAccelerated() {
        return notAccelerated;
    }

    /**
     * A device where packets are translated.
     *
     * @param leadsInside whether those behind it are this node's own; else the network is
     * @param isEthernet whether its packets have a link-layer header
     */
    public record Device(int ifindex, String name, boolean leadsInside, boolean isEthernet) {
        private DeviceHooks.Device withHooks(Acceleration acceleration) {
            Set<DeviceHooks.Hook> wanted = new HashSet<>();
            wanted.add(hook(leadsInside ? "from_pod" : "from_outside", Side.INGRESS));
            wanted.add(hook("from_host", Side.EGRESS));
            if (acceleration != Acceleration.OFF && meetsDrivers()) {
                wanted.add(driver(acceleration));
            }
            return new DeviceHooks.Device(ifindex, name, wanted);
        }

        private DeviceHooks.Hook hook(String program, Side side) {
            return new DeviceHooks.Hook(isEthernet ? program : program + "_l3", side);
        }

        private static DeviceHooks.Hook driver(Acceleration acceleration) {
            Side side = acceleration == Acceleration.NATIVE ? Side.NATIVE : Side.GENERIC;
            return new DeviceHooks.Hook(DeviceHooks.DRIVER + side.name().toLowerCase(Locale.ROOT), side);
        }

        /** What pods send goes through the stack's own devices first, or comes to them. */
        private boolean meetsDrivers() {
            return isEthernet && !leadsInside;
        }
    }

    /**
     * Attaches the programs to these devices, and to no others, and again where they are not in force any more. For one
     * thread at a time, in the node's own network namespace. What it cannot do at a device, {@link #failures} tells. If
     * there are none because of a {@link #refusal}, those of an earlier process stay, unless no device is wanted.
     *
     * @param sources the node's addresses by the index of the device
     * @throws BpfException if these cannot be written
     */
    public void follow(Collection<Device> devices, Map<Integer, AddressPair> sources) {
        put(object.map("device_sources"), Layouts.DEVICE_SOURCES, sources, (source, value) -> {
            put(value, "v4", source.v4(), IpFamily.IPV4);
            put(value, "v6", source.v6(), IpFamily.IPV6);
        });
        forgetWays();
        if (!refusal.isEmpty() && !devices.isEmpty()) {
            exits.put(devices, Set.of());
            sitNowhere = devices.stream()
                    .filter(each -> !each.leadsInside())
                    .map(each -> each.withHooks(Acceleration.OFF))
                    .noneMatch(hooks::sitAt);
            return;
        }
        // What the kernel does not tell of is no shortcut.
        Set<Integer> straight = Set.of();
        try {
            hooks.follow(
                    devices.stream().map(each -> each.withHooks(acceleration)).toList());
            straight = shortcutsAmong(devices);
        } finally {
            exits.put(devices, straight);
        }
        if (drivers != null) {
            putDrivers(drivers, devices);
        }
    }

    /** Whoever looks has heard that devices, addresses or routes have changed. */
    private void forgetWays() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment only = arena.allocate(JAVA_INT);
            MemorySegment epoch = arena.allocate(JAVA_INT);
            BpfMap epochs = object.map("way_epoch");
            epochs.lookup(only, epoch);
            epoch.set(JAVA_INT, 0, epoch.get(JAVA_INT, 0) + 1);
            epochs.update(only, epoch, BpfMap.ANY);
        }
    }

    private Set<Integer> shortcutsAmong(Collection<Device> devices) {
        return shortcuts.among(
                devices.stream()
                        .filter(Device::leadsInside)
                        .map(Device::ifindex)
                        .collect(Collectors.toSet()),
                program("from_host"));
    }

    /** A device without an entry is one whose packets go up untouched. */
    private void putDrivers(BpfObject loaded, Collection<Device> devices) {
        Map<Integer, byte[]> addresses;
        try (Rtnetlink kernel = new Rtnetlink()) {
            addresses = new HashMap<>(kernel.hardwareAddresses());
        }
        addresses.values().removeIf(address -> address.length != Layouts.DRIVER_ADDRESS);
        addresses
                .keySet()
                .retainAll(devices.stream()
                        .filter(Device::meetsDrivers)
                        .map(Device::ifindex)
                        .toList());
        put(loaded.map("drivers"), Layouts.DRIVER, addresses, (address, value) -> {
            MemorySegment.copy(address, 0, value, JAVA_BYTE, Layouts.offset(Layouts.DRIVER, "address"), address.length);
            value.set(JAVA_BYTE, Layouts.offset(Layouts.DRIVER, "takes_others"), takesOthers());
        });
    }

    /**
     * The kernel sends anything by any device. A driver drops without a word what another device's gives it, unless it is
     * made and set up for that, which it does not tell before Linux 6.3; so nothing is given to it.
     */
    private byte takesOthers() {
        return (byte) (acceleration == Acceleration.GENERIC ? 1 : 0);
    }

    /** Makes a map by device say this, and nothing of others. */
    private static <T> void put(
            BpfMap map, MemoryLayout layout, Map<Integer, T> wanted, BiConsumer<T, MemorySegment> writer) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(JAVA_INT);
            MemorySegment value = arena.allocate(layout);
            Set<Integer> gone = new HashSet<>();
            map.forEach((index, known) -> gone.add(index.get(JAVA_INT, 0)));
            gone.removeAll(wanted.keySet());
            wanted.forEach((index, what) -> {
                key.set(JAVA_INT, 0, index);
                writer.accept(what, value);
                map.update(key, value, BpfMap.ANY);
            });
            for (int index : gone) {
                key.set(JAVA_INT, 0, index);
                map.delete(key);
            }
        }
    }

    private static void put(MemorySegment value, String member, @Nullable Address address, IpFamily family) {
        Layouts.putAddress(
                value,
                Layouts.offset(Layouts.DEVICE_SOURCES, member),
                address == null ? Address.unspecified(family) : address);
    }

    /**
     * Whether at the last {@link #follow} there was a {@link #refusal}, and at no device to the network programs of an
     * earlier process, which go on by what is programmed. Safe from any thread.
     */
    public boolean sitNowhere() {
        return sitNowhere;
    }

    /** What the last {@link #follow} could not do. Safe from any thread. */
    public List<DeviceHooks.Failure> failures() {
        return hooks.failures();
    }

    /** Where the programs are to sit, and whether they do, asked from the kernel now. Safe from any thread. */
    public List<DeviceHooks.Attachment> attachments() {
        return hooks.attachments();
    }

    /**
     * How many conversations went in this node's name instead of through a tunnel, for which the way has too small an MTU;
     * since the maps were made. Safe from any thread.
     */
    public long narrowTunnels() {
        long[] count = new long[1];
        object.map("sock_errors").forEach((key, value) -> {
            if (Installation.socketErrorName(key.get(JAVA_INT, 0)).equals(TUNNEL_NARROW)) {
                count[0] = Installation.sumWords(value);
            }
        });
        return count[0];
    }

    /** @throws BpfException if there is no such program */
    BpfProgram program(String name) {
        return drivers != null && name.startsWith(DeviceHooks.DRIVER) ? drivers.program(name) : object.program(name);
    }

    /** Those of the packet programs, pinned and not. They belong to this. */
    Collection<BpfMap> maps() {
        return object.maps();
    }

    BpfMap map(String name) {
        return object.map(name);
    }

    /**
     * Lets go of the programs; where they sit, they stay.
     *
     * @throws BpfException if the shortcuts cannot be taken back
     */
    @Override
    public void close() {
        try {
            exits.forgetShortcuts();
        } finally {
            if (drivers != null) {
                drivers.close();
            }
            object.close();
        }
    }
}
