package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.Errno;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.LayoutMismatchException;
import io.shunt.libbpf.LibraryMissingException;
import io.shunt.libbpf.LinkInfo;
import io.shunt.libbpf.StructCheck;
import io.shunt.libbpf.Syscalls;
import io.shunt.libbpf.VerifierException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The programs and maps on this node, pinned so that they outlive the daemon. Opening one adopts the maps that an
 * earlier process pinned and swaps the programs in place; closing one leaves everything as it is, so that traffic goes
 * on.
 */
public final class Installation implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Installation.class);
    private static final List<String> SOCKET_ERRORS =
            List.of("tcp_origin_lost", "udp_origin_lost", "bad_set", "affinity_lost", PacketPrograms.TUNNEL_NARROW);

    private final BpfRoot root;
    private final Path cgroup;
    private final BpfObject object;
    /** Its own lock: one that was replaced is closed, while others may ask what it says. */
    private final Map<SocketHook, BpfLink> links = new HashMap<>();

    private final KernelMaps maps;
    private final RcuGracePeriod grace;
    private final Datapath datapath;
    private final Audit audit;
    private final PacketPrograms packets;
    private final Drops drops;

    private Installation(
            BpfRoot root,
            Path cgroup,
            BpfObject object,
            KernelMaps maps,
            RcuGracePeriod grace,
            PacketPrograms packets,
            Drops drops) {
        this.root = root;
        this.cgroup = cgroup;
        this.object = object;
        this.maps = maps;
        this.grace = grace;
        this.datapath = new Datapath(maps, grace);
        this.audit = new Audit(maps, datapath, this::attachAgain);
        this.packets = packets;
        this.drops = drops;
    }

    /**
     * Installs the socket programs on a cgroup, and makes the packet programs ready for devices. Without those if the
     * kernel refuses them, which {@link PacketPrograms#refusal} tells.
     *
     * @param bpfRoot where to pin; locked until {@link #close}
     * @param cgroup the cgroup2 directory whose sockets are translated
     * @param sizes used for maps that no earlier process pinned
     * @param hostNamespaceOnly whether sockets of other network namespaces than this process's own are left alone
     * @param packets what the packet programs are told
     * @param control runs tasks on the thread that will use the {@link #datapath}
     * @throws InstallationException if this node or what is pinned does not allow it
     */
    public static Installation open(
            Path bpfRoot,
            Path cgroup,
            MapSizes sizes,
            boolean hostNamespaceOnly,
            PacketSettings packets,
            Executor control) {
        try {
            Settings settings = new Settings(Syscalls.networkNamespaceCookie(), hostNamespaceOnly);
            return open(bpfRoot, cgroup, sizes, settings, packets, control);
        } catch (BpfException e) {
            throw explain(e);
        }
    }

    static Installation open(
            Path bpfRoot,
            Path cgroup,
            MapSizes sizes,
            Settings settings,
            PacketSettings packetSettings,
            Executor control) {
        Deque<Closeable> opened = new ArrayDeque<>();
        try {
            checkNode(cgroup);
            BpfRoot root = BpfRoot.open(bpfRoot);
            opened.push(root::close);
            BpfObject object = read("sock", Layouts.SHARED);
            opened.push(object::close);
            Set<String> reused = load(root, object, List.of(), sizes, settings::writeTo);
            PacketPrograms packets = packetPrograms(root, packetSettings, object.maps(), sizes);
            opened.push(packets::close);
            Drops drops = new Drops(packets.map("drops"));
            KernelMaps maps = new KernelMaps(object::map, drops::forget);
            opened.push(maps::close);
            RcuGracePeriod grace = new RcuGracePeriod(control);
            opened.push(grace::close);
            if (!reused.isEmpty()) {
                // A program may still hold what the earlier process freed last.
                grace.await();
            }
            Installation installation = new Installation(root, cgroup, object, maps, grace, packets, drops);
            opened.push(installation::closeLinks);
            installation.attach();
            return installation;
        } catch (RuntimeException e) {
            opened.forEach(Closeable::close);
            throw explain(e);
        }
    }

    @FunctionalInterface
    private interface Closeable {
        void close();
    }

    /** Reads an object that is not loaded yet; the caller closes it. */
    static BpfObject read(String name, List<StructLayout> layouts) {
        BpfObject object = BpfObject.open(name, read("/bpf/" + name + ".bpf.o"));
        try {
            for (StructLayout layout : layouts) {
                StructCheck.verify(object.btf(), layout);
            }
        } catch (RuntimeException e) {
            object.close();
            throw e;
        }
        return object;
    }

    /** Without the programs if the kernel refuses them: sockets are served anyway, and what counts and remembers is there. */
    private static PacketPrograms packetPrograms(
            BpfRoot root, PacketSettings settings, Collection<BpfMap> brought, MapSizes sizes) {
        try {
            return packetPrograms(root, settings, brought, sizes, "");
        } catch (BpfException e) {
            if (!e.call().equals(BpfObject.LOAD)) {
                throw e;
            }
            // With the verifier's words, which are no line of an error.
            log.info("the kernel refuses the packet programs: {}", e.getMessage());
            return packetPrograms(root, settings, brought, sizes, refusal(e));
        }
    }

    /** What the kernel refused in an object, in a few words. */
    static String refusal(BpfException e) {
        return e instanceof VerifierException
                ? e.object() + " does not pass the verifier"
                : e.object() + ": " + e.errno();
    }

    private static PacketPrograms packetPrograms(
            BpfRoot root, PacketSettings settings, Collection<BpfMap> brought, MapSizes sizes, String refusal) {
        BpfObject object = read("tc", Layouts.PACKET);
        try {
            if (!refusal.isEmpty()) {
                object.programs().forEach(program -> program.setAutoload(false));
            }
            load(root, object, brought, sizes, settings::writeTo);
            return new PacketPrograms(root, object, refusal);
        } catch (RuntimeException e) {
            object.close();
            throw e;
        }
    }

    /**
     * Makes programs ready for drivers too, which use the same maps as the others. Where that does not work, packets are
     * translated as without, and {@link PacketPrograms#notAccelerated} says why. Where there are no other packet programs,
     * there are none for drivers. Before devices are followed.
     *
     * @param settings as the packet programs were told
     */
    public void accelerate(Acceleration how, PacketSettings settings) {
        if (how == Acceleration.OFF || !packets.refusal().isEmpty()) {
            return;
        }
        try {
            BpfObject drivers =
                    read("xdp", List.of(Layouts.DRIVER, Layouts.FLOW, Layouts.ROUTED_FLOW, Layouts.PACKET_SETTINGS));
            try {
                drivers.share(packets.maps());
                settings.writeTo(drivers);
                drivers.load();
            } catch (RuntimeException e) {
                drivers.close();
                throw e;
            }
            packets.accelerate(how, drivers);
        } catch (RuntimeException e) {
            String why = "no acceleration, packets are translated at TC: "
                    + explain(e).getMessage();
            log.error(why);
            // The verifier says more than fits a line.
            packets.cannotAccelerate(why.lines().findFirst().orElse(why));
        }
    }

    /**
     * Loads an object with the maps that another has brought already and those that are pinned, and pins the rest.
     *
     * @param settings written when it is known how large the maps are
     * @return which were pinned before
     */
    private static Set<String> load(
            BpfRoot root, BpfObject object, Collection<BpfMap> brought, MapSizes sizes, Consumer<BpfObject> settings) {
        Set<String> shared = object.share(brought);
        List<BpfMap> own = object.maps().stream()
                .filter(map -> isPinned(map) && !shared.contains(map.name()))
                .toList();
        Set<String> reused = reusePinned(root, own, sizes);
        settings.accept(object);
        object.load();
        for (BpfMap map : own) {
            if (!reused.contains(map.name())) {
                map.pin(root.map(map.name()));
            }
        }
        return reused;
    }

    private static void checkNode(Path cgroup) {
        String release = System.getProperty("os.version");
        if (KernelVersion.running().isBelow(KernelVersion.FLOOR)) {
            throw new InstallationException(
                    "kernel " + release + " is too old: shunt needs Linux " + KernelVersion.FLOOR + " or newer");
        }
        if (!Confinement.hasCapabilities()) {
            throw new InstallationException("missing capabilities: run as root, or with CAP_BPF, CAP_NET_ADMIN and "
                    + "CAP_PERFMON (CAP_SYS_ADMIN to mount a bpffs)");
        }
        if (!CgroupRoot.isCgroup2(cgroup)) {
            throw new InstallationException("--cgroup-root " + cgroup + " is not a cgroup2 directory: mount cgroup2"
                    + " (mount -t cgroup2 none DIR) or name where it is mounted");
        }
    }

    /** What this node is at fault for, in words for people; a fault of this code stays as it is. */
    private static RuntimeException explain(RuntimeException e) {
        return switch (e) {
            case LibraryMissingException missing ->
                new InstallationException(String.valueOf(missing.getMessage()), missing);
            case UncheckedIOException unreadable ->
                new InstallationException(String.valueOf(unreadable.getMessage()), unreadable);
            case VerifierException refused ->
                new InstallationException(
                        "the kernel's verifier refused a program: " + refused.getMessage() + "\n" + refused.log(), e);
            case LayoutMismatchException drifted ->
                new InstallationException(
                        "the programs and this daemon do not fit together: " + drifted.getMessage()
                                + ": install both from one build",
                        e);
            case BpfException failed ->
                new InstallationException(
                        failed.getMessage() + ": "
                                + (isRefusal(failed) && Confinement.hasCapabilities()
                                        ? Confinement.cure()
                                        : "look at the capabilities (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON), and at the"
                                                + " kernel's log"),
                        e);
            default -> e;
        };
    }

    private static boolean isRefusal(BpfException failed) {
        return failed.errno().equals(Errno.EPERM) || failed.errno().equals(Errno.EACCES);
    }

    static byte[] read(String resource) {
        try (InputStream in = Objects.requireNonNull(Installation.class.getResourceAsStream(resource), resource)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sections such as .rodata become maps too; they belong to the programs alone. */
    private static boolean isPinned(BpfMap map) {
        return !map.name().contains(".");
    }

    private static Set<String> reusePinned(BpfRoot root, List<BpfMap> maps, MapSizes sizes) {
        List<String> reused = new ArrayList<>();
        for (BpfMap map : maps) {
            Integer entries = sizes.entries().get(map.name());
            if (entries != null) {
                map.setMaxEntries(entries);
            }
            if (Files.exists(root.map(map.name()))) {
                try (BpfMap pinned = BpfMap.openPinned(root.map(map.name()))) {
                    checkSame(root, map, pinned);
                    if (pinned.maxEntries() != map.maxEntries()) {
                        log.warn(
                                "map {} keeps its {} entries ({} are configured): run `shunt cleanup` before the next"
                                        + " start to resize it",
                                map.name(),
                                pinned.maxEntries(),
                                map.maxEntries());
                    }
                    map.reuse(pinned);
                    reused.add(map.name());
                }
            }
        }
        checkLayout(root, reused);
        return Set.copyOf(reused);
    }

    /** Equal sizes may hide other members. */
    private static void checkLayout(BpfRoot root, List<String> reused) {
        String wanted = Layouts.fingerprint();
        try {
            String pinned = root.layout();
            if (reused.isEmpty()) {
                root.setLayout(wanted);
            } else if (!pinned.equals(wanted)) {
                throw anotherLayout(
                        root,
                        "the maps pinned in " + root.path() + "/maps have",
                        "layout " + (pinned.isEmpty() ? "unknown" : pinned) + " instead of " + wanted);
            }
        } catch (IOException e) {
            throw new InstallationException("--bpf-root " + root.path() + " cannot be used: " + e.getMessage(), e);
        }
    }

    private static InstallationException anotherLayout(BpfRoot root, String whose, String difference) {
        return new InstallationException(whose + " another layout (" + difference
                + "): made by another version of shunt. Run `shunt cleanup --bpf-root " + root.path()
                + "`, then start again");
    }

    private static void checkSame(BpfRoot root, BpfMap map, BpfMap pinned) {
        List<String> differences = new ArrayList<>();
        differ(differences, "type", map.type(), pinned.type());
        differ(differences, "key size", map.keySize(), pinned.keySize());
        differ(differences, "value size", map.valueSize(), pinned.valueSize());
        differ(differences, "flags", map.flags(), pinned.flags());
        if (!differences.isEmpty()) {
            throw anotherLayout(root, "pinned map " + root.map(map.name()) + " has", String.join("; ", differences));
        }
    }

    private static void differ(List<String> differences, String what, int wanted, int pinned) {
        if (wanted != pinned) {
            differences.add(what + " " + pinned + " instead of " + wanted);
        }
    }

    private void attach() {
        long cgroupId = cgroupId();
        try (Fd directory = Syscalls.open(cgroup)) {
            for (SocketHook hook : SocketHook.values()) {
                attach(hook, directory, cgroupId);
            }
        }
    }

    private void attach(SocketHook hook, Fd directory, long cgroupId) {
        BpfProgram program = object.program(hook.program());
        Path pin = root.link(hook.program());
        if (!Files.exists(pin)) {
            keep(hook, BpfLink.attachCgroup(program, directory.number(), hook.attachType()))
                    .pin(pin);
            return;
        }
        try (BpfLink pinned = BpfLink.openPinned(pin)) {
            if (sitsOn(pinned.info(), hook, cgroupId)) {
                pinned.update(program);
                keep(hook, BpfLink.openPinned(pin));
                return;
            }
            log.warn(
                    "{} was detached, or attached to another cgroup or one that is gone: attached anew to {}",
                    hook,
                    cgroup);
            BpfLink link = keep(hook, BpfLink.attachCgroup(program, directory.number(), hook.attachType()));
            pinned.unpin(pin);
            pinned.detach();
            link.pin(pin);
        }
    }

    private BpfLink keep(SocketHook hook, BpfLink link) {
        synchronized (links) {
            BpfLink before = links.put(hook, link);
            if (before != null) {
                before.close();
            }
        }
        return link;
    }

    /** Puts back what somebody has detached, or has put another program in place of. */
    private void attachAgain(Audit.Repairs repairs) {
        List<SocketHook> lost = Stream.of(SocketHook.values())
                .filter(hook ->
                        !isAttached(hook, object.program(hook.program()).info().id()))
                .toList();
        if (!lost.isEmpty()) {
            long cgroupId = cgroupId();
            try (Fd directory = Syscalls.open(cgroup)) {
                lost.forEach(hook ->
                        repairs.make("links", hook.program() + " was lost", () -> attach(hook, directory, cgroupId)));
            }
        }
    }

    private static boolean sitsOn(LinkInfo info, SocketHook hook, long cgroupId) {
        return info.type() == LinkInfo.CGROUP
                && info.cgroupId() == cgroupId
                && info.attachType() == hook.attachType().number();
    }

    private long cgroupId() {
        try {
            return (Long) Files.getAttribute(cgroup, "unix:ino");
        } catch (IOException e) {
            throw new InstallationException("--cgroup-root " + cgroup + " cannot be read: " + e.getMessage(), e);
        }
    }

    /** Writes the table; used by the control thread alone. */
    public Datapath datapath() {
        return datapath;
    }

    /** Compares the kernel with the table and repairs it; used by the control thread alone. */
    public Audit audit() {
        return audit;
    }

    /** The programs at the devices. They belong to this. */
    public PacketPrograms packets() {
        return packets;
    }

    /** The maps of the socket programs. They belong to this. */
    Collection<BpfMap> maps() {
        return object.maps();
    }

    /** How often each map was written. */
    public List<CallCount> calls() {
        return maps.calls();
    }

    /**
     * @param attached whether the kernel runs this very program for the cgroup
     * @param instructions what the verifier walked through to accept it
     */
    public record AttachedProgram(String name, String hook, boolean attached, int instructions) {}

    /** The programs and whether they are in force, asked from the kernel now. Safe from any thread. */
    public List<AttachedProgram> programs() {
        List<AttachedProgram> programs = new ArrayList<>();
        for (SocketHook hook : SocketHook.values()) {
            var info = object.program(hook.program()).info();
            programs.add(new AttachedProgram(
                    hook.program(),
                    hook.attachType().name(),
                    isAttached(hook, info.id()),
                    info.verifiedInstructions()));
        }
        return programs;
    }

    private boolean isAttached(SocketHook hook, int programId) {
        synchronized (links) {
            BpfLink link = links.get(hook);
            if (link == null || !Files.isDirectory(cgroup)) {
                return false;
            }
            LinkInfo info = link.info();
            return info.programId() == programId && sitsOn(info, hook, cgroupId());
        }
    }

    /** The cgroup whose sockets are translated. */
    public Path cgroup() {
        return cgroup;
    }

    /**
     * @param entries in use, -1 if only the kernel could count them
     * @param bytes kernel memory charged to it
     */
    public record MapUse(String name, int entries, int maxEntries, long bytes) {}

    /** The maps and how full they are. Safe from any thread. */
    public List<MapUse> mapUse() {
        Set<String> known = new HashSet<>();
        return Stream.concat(object.maps().stream(), packets.maps().stream())
                .filter(map -> isPinned(map) && known.add(map.name()))
                .map(map -> new MapUse(map.name(), datapath.entries(map.name()), room(map), map.memoryBytes()))
                .toList();
    }

    private int room(BpfMap map) {
        return switch (map.name()) {
            case "slots" -> maps.maxSlots();
            case "flows_new" -> map.maxEntries() * Layouts.ROW_FLOWS;
            default -> map.maxEntries();
        };
    }

    /**
     * Packets that were dropped, or answered instead of sent on.
     *
     * @param serviceId 0 while none is known, -2: those that are gone
     */
    public record Drop(int serviceId, String reason, String direction, long count) {}

    /** How many flows the packet programs can remember. */
    public int maxFlows() {
        return packets.map("flows").maxEntries() / MapSizes.ENTRIES_A_FLOW;
    }

    /** What the packet programs have dropped since their maps were pinned, read now. Safe from any thread. */
    public List<Drop> drops() {
        return drops.counted();
    }

    /** Reads drops one by one, while it is open; only one reader at a time. The caller closes it before this. */
    public DropEvents openDropEvents(Consumer<DropEvents.Event> reader) {
        return new DropEvents(packets.map("events"), packets.map("event_credit"), reader);
    }

    /** The conversations that the packet programs know. */
    public FlowTable flowTable() {
        return new FlowTable(packets.map("flows"), packets.map("flows_new"));
    }

    /** What the kernel has counted for one service id since it was given out. */
    public record Counters(long connections, long refused) {}

    /** The kernel's counters by service id, read now. Safe from any thread. */
    public Map<Integer, Counters> counters() {
        return counters(object.map("service_stats"));
    }

    private static Map<Integer, Counters> counters(BpfMap stats) {
        Map<Integer, Counters> counters = new HashMap<>();
        stats.forEach((key, value) -> counters.put(key.get(JAVA_INT, 0), sum(value)));
        return counters;
    }

    /** The counters of all CPUs, which stand one behind the other. */
    static Counters sum(MemorySegment perCpu) {
        long connections = 0;
        long refused = 0;
        for (long at = 0; at < perCpu.byteSize(); at += Layouts.SERVICE_STATS.byteSize()) {
            connections += perCpu.get(JAVA_LONG, at);
            refused += perCpu.get(JAVA_LONG, at + Long.BYTES);
        }
        return new Counters(connections, refused);
    }

    static long sumWords(MemorySegment perCpu) {
        long sum = 0;
        for (long at = 0; at < perCpu.byteSize(); at += Long.BYTES) {
            sum += perCpu.get(JAVA_LONG, at);
        }
        return sum;
    }

    /** The names of enum sock_error in maps.h. */
    static String socketErrorName(int error) {
        return error < SOCKET_ERRORS.size() ? SOCKET_ERRORS.get(error) : String.valueOf(error);
    }

    /** What the programs could not do, and how often, by a name for each. Safe from any thread. */
    public Map<String, Long> socketErrors() {
        Map<String, Long> errors = new TreeMap<>();
        object.map("sock_errors")
                .forEach((key, value) -> errors.put(socketErrorName(key.get(JAVA_INT, 0)), sumWords(value)));
        return errors;
    }

    /** Lets go of maps, programs and the lock; everything pinned stays and works on. */
    @Override
    public void close() {
        closeLinks();
        grace.close();
        maps.close();
        packets.close();
        object.close();
        root.close();
    }

    private void closeLinks() {
        synchronized (links) {
            links.values().forEach(BpfLink::close);
        }
    }

    /**
     * Makes a bpf root ready, mounting a bpffs at its usual place if there is none: all of {@link #open} that may need
     * CAP_SYS_ADMIN.
     *
     * @throws InstallationException if it cannot be made, or a daemon runs there
     */
    public static void prepare(Path bpfRoot) {
        BpfRoot.open(bpfRoot).close();
    }

    /**
     * Makes an empty directory one of cgroup2, for {@link #open}; one that is of cgroup2 stays as it is.
     *
     * @param mounted where cgroup2 is mounted whole already, null if this process sees it nowhere
     * @throws InstallationException if it cannot be mounted there
     */
    public static void mountCgroup2(Path directory, @Nullable Path mounted) {
        CgroupRoot.mount(directory, mounted);
    }

    /**
     * Detaches the programs and removes all pins of a bpf root, which ends translation.
     *
     * @return what was removed, one line each; empty if there was nothing
     * @throws InstallationException if a daemon runs there, or the pins cannot be removed
     */
    public static List<String> remove(Path bpfRoot) {
        List<String> removed = new ArrayList<>();
        BpfRoot.openExisting(bpfRoot).ifPresent(existing -> {
            try (BpfRoot root = existing) {
                for (Path pin : root.links()) {
                    DeviceHooks.remove(pin);
                    removed.add("detached " + pin);
                }
                for (Path pin : root.maps()) {
                    Files.delete(pin);
                    removed.add("removed " + pin);
                }
                root.delete();
                removed.add("removed " + root.path());
            } catch (IOException | BpfException e) {
                throw new InstallationException(
                        "cannot clean up --bpf-root " + bpfRoot + ": " + e.getMessage() + ": run as root", e);
            }
        });
        return removed;
    }
}
