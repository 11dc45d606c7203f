package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * By which devices packets may leave with a link-layer header that the programs write: those with Ethernet's, which is the
 * one that they write. All other devices' is left to the kernel.
 */
final class Exits {
    private final BpfMap map;

    /**
     * @param device its index; 0: none
     * @param isShortcut whether packets go straight into the namespace behind it
     */
    record Exit(int device, boolean isShortcut) {
        static final Exit NONE = new Exit(0, false);

        static Exit read(MemorySegment value) {
            return new Exit(
                    value.get(JAVA_INT, Layouts.offset(Layouts.EXIT, "device")),
                    value.get(JAVA_INT, Layouts.offset(Layouts.EXIT, "is_shortcut")) != 0);
        }

        void write(MemorySegment value) {
            value.set(JAVA_INT, Layouts.offset(Layouts.EXIT, "device"), device);
            value.set(JAVA_INT, Layouts.offset(Layouts.EXIT, "is_shortcut"), isShortcut ? 1 : 0);
        }
    }

    /** @param map an array, with a device in the element of its index modulo all; whoever owns it closes it */
    Exits(BpfMap map) {
        this.map = map;
    }

    /**
     * These, and no others. Of two that share an element the one to the network has it: more packets leave by that.
     *
     * @param shortcuts indexes of devices
     * @throws BpfException if it cannot be written
     */
    void put(Collection<PacketPrograms.Device> devices, Set<Integer> shortcuts) {
        Map<Integer, Exit> wanted = new HashMap<>();
        devices.stream()
                .filter(PacketPrograms.Device::isEthernet)
                .sorted(Comparator.comparing(PacketPrograms.Device::leadsInside).reversed())
                .map(device -> new Exit(device.ifindex(), shortcuts.contains(device.ifindex())))
                .forEach(exit -> wanted.put(exit.device % map.maxEntries(), exit));
        Map<Integer, Exit> changes = new HashMap<>();
        map.forEach((index, value) -> {
            int element = index.get(JAVA_INT, 0);
            Exit exit = wanted.getOrDefault(element, Exit.NONE);
            if (!exit.equals(Exit.read(value))) {
                changes.put(element, exit);
            }
        });
        write(changes);
    }

    /**
     * No shortcuts, as nobody looks any more whether they still are.
     *
     * @throws BpfException if it cannot be written
     */
    void forgetShortcuts() {
        Map<Integer, Exit> changes = new HashMap<>();
        map.forEach((index, value) -> {
            Exit exit = Exit.read(value);
            if (exit.isShortcut) {
                changes.put(index.get(JAVA_INT, 0), new Exit(exit.device, false));
            }
        });
        write(changes);
    }

    private void write(Map<Integer, Exit> changes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment element = arena.allocate(JAVA_INT);
            MemorySegment value = arena.allocate(Layouts.EXIT);
            changes.forEach((index, exit) -> {
                element.set(JAVA_INT, 0, index);
                exit.write(value);
                map.update(element, value, BpfMap.ANY);
            });
        }
    }
}
