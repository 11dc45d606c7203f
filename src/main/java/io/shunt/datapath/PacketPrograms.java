package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.TcDirection;
import io.shunt.net.Address;
import io.shunt.net.AddressPair;
import io.shunt.net.IpFamily;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The programs at the devices, for packets whose sender no socket program saw, and where they sit. */
public final class PacketPrograms implements AutoCloseable {
    private final BpfObject object;
    private final DeviceHooks hooks;

    /** @param object loaded; closed with this */
    PacketPrograms(BpfRoot root, BpfObject object) {
        this.object = object;
        hooks = new DeviceHooks(root, object::program);
    }

    /**
     * A device where packets are translated.
     *
     * @param leadsInside whether those behind it are this node's own; else the network is
     * @param isEthernet whether its packets have a link-layer header
     */
    public record Device(int ifindex, String name, boolean leadsInside, boolean isEthernet) {
        private DeviceHooks.Device withHooks() {
            return new DeviceHooks.Device(
                    ifindex,
                    name,
                    Set.of(
                            hook(leadsInside ? "from_pod" : "from_outside", TcDirection.INGRESS),
                            hook("from_host", TcDirection.EGRESS)));
        }

        private DeviceHooks.Hook hook(String program, TcDirection direction) {
            return new DeviceHooks.Hook(isEthernet ? program : program + "_l3", direction);
        }
    }

    /**
     * Attaches the programs to these devices, and to no others, and again where they are not in force any more. For one
     * thread at a time, in the node's own network namespace. What it cannot do at a device, {@link #failures} tells.
     *
     * @param sources the node's addresses by the index of the device
     * @throws BpfException if these cannot be written
     */
    public void follow(Collection<Device> devices, Map<Integer, AddressPair> sources) {
        putSources(sources);
        hooks.follow(devices.stream().map(Device::withHooks).toList());
    }

    private void putSources(Map<Integer, AddressPair> sources) {
        BpfMap map = object.map("device_sources");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment key = arena.allocate(JAVA_INT);
            MemorySegment value = arena.allocate(Layouts.DEVICE_SOURCES);
            Set<Integer> gone = new HashSet<>();
            map.forEach((index, known) -> gone.add(index.get(JAVA_INT, 0)));
            gone.removeAll(sources.keySet());
            sources.forEach((index, source) -> {
                key.set(JAVA_INT, 0, index);
                put(value, "v4", source.v4(), IpFamily.IPV4);
                put(value, "v6", source.v6(), IpFamily.IPV6);
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

    /** What the last {@link #follow} could not do. Safe from any thread. */
    public List<DeviceHooks.Failure> failures() {
        return hooks.failures();
    }

    /** Where the programs are to sit, and whether they do, asked from the kernel now. Safe from any thread. */
    public List<DeviceHooks.Attachment> attachments() {
        return hooks.attachments();
    }

    /** @throws BpfException if there is no such program */
    BpfProgram program(String name) {
        return object.program(name);
    }

    /** Those of the packet programs, pinned and not. They belong to this. */
    Collection<BpfMap> maps() {
        return object.maps();
    }

    BpfMap map(String name) {
        return object.map(name);
    }

    /** Lets go of the programs; where they sit, they stay. */
    @Override
    public void close() {
        object.close();
    }
}
