package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfObject;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;

/**
 * What the packet programs are told as they are loaded.
 *
 * @param firstPort of those that the node speaks from in the name of others, 1 to 65535
 * @param ports how many they are, at least 1
 * @param masqueradeAll whether the node also speaks in the name of clients inside that ask for a cluster IP
 * @param detectsLocal whether clients from outside that ask for a cluster IP are told from those inside, and the node
 *     speaks in their name
 * @param localRanges who is inside, at most one range a family, and in a family without one nobody is told from
 *     anybody; if there is none at all, the device says it
 * @param fibTellsSource whether the kernel's forwarding table can be asked which address speaks (Linux 6.7)
 */
public record PacketSettings(
        int firstPort,
        int ports,
        boolean masqueradeAll,
        boolean detectsLocal,
        List<Prefix> localRanges,
        boolean fibTellsSource) {
    private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");
    private static final byte DETECTS_V4 = 1;
    private static final byte DETECTS_V6 = 2;

    public PacketSettings {
        if (firstPort < 1 || ports < 1 || firstPort + ports > 65536) {
            throw new IllegalArgumentException("no ports: " + ports + " from " + firstPort + " on");
        }
        localRanges = List.copyOf(localRanges);
    }

    /** Whether this kernel has BPF_FIB_LOOKUP_SRC; an older one that a distribution has given it counts as without. */
    public static boolean kernelTellsSource() {
        return !KernelVersion.running().isBelow(new KernelVersion(6, 7));
    }

    /** Writes them into an object that is not loaded yet, but whose maps have the size that they will have. */
    void writeTo(BpfObject object) {
        MemorySegment settings = object.map(".rodata.settings").initialValue();
        settings.set(JAVA_INT, offset("first_port"), firstPort);
        settings.set(JAVA_INT, offset("ports"), ports);
        settings.set(JAVA_INT, offset("rows"), rows(object));
        settings.set(JAVA_LONG, offset("seed"), seed());
        settings.set(JAVA_BYTE, offset("masquerade_all"), bit(masqueradeAll));
        settings.set(JAVA_BYTE, offset("detects_local"), detects());
        settings.set(JAVA_BYTE, offset("local_by_range"), bit(!localRanges.isEmpty()));
        settings.set(JAVA_BYTE, offset("fib_tells_source"), bit(fibTellsSource));
        for (int i = 0; i < 2; i++) {
            // One that is unset holds the unspecified address, which nobody sends from.
            Prefix range = i < localRanges.size() ? localRanges.get(i) : new Prefix(new Address(0, 0), 128);
            long at = Layouts.PACKET_SETTINGS.byteOffset(
                    PathElement.groupElement("local"), PathElement.sequenceElement(i));
            Layouts.putAddress(settings, at + Layouts.offset(Layouts.RANGE, "address"), range.address());
            // As many bits set as the range has.
            Address mask = new Prefix(new Address(-1, -1), range.bits()).address();
            Layouts.putAddress(settings, at + Layouts.offset(Layouts.RANGE, "mask"), mask);
        }
    }

    /** As many as have a lock: either map may be left from a daemon with other sizes. */
    private static int rows(BpfObject object) {
        return Math.min(
                object.map("flows_new").maxEntries(),
                object.map("flow_row_locks").maxEntries());
    }

    /** Another on each node, which no client knows, and the same for as long as pinned rows stand: until the machine ends. */
    static long seed() {
        try {
            UUID boot = UUID.fromString(Files.readString(BOOT_ID).strip());
            return boot.getMostSignificantBits() ^ boot.getLeastSignificantBits();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** enum detects of types.h. */
    private byte detects() {
        if (!detectsLocal) {
            return 0;
        }
        return localRanges.isEmpty()
                ? DETECTS_V4 | DETECTS_V6
                : (byte) localRanges.stream()
                        .mapToInt(range -> range.family() == IpFamily.IPV4 ? DETECTS_V4 : DETECTS_V6)
                        .reduce(0, (families, family) -> families | family);
    }

    private static byte bit(boolean set) {
        return (byte) (set ? 1 : 0);
    }

    private static long offset(String member) {
        return Layouts.offset(Layouts.PACKET_SETTINGS, member);
    }
}
