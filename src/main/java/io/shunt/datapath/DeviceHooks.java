package io.shunt.datapath;

import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.BpfTcFilter;
import io.shunt.libbpf.Errno;
import io.shunt.libbpf.LinkInfo;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.libbpf.TcDirection;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps programs attached to devices, beside those of others and behind those that were there first. Where they sit
 * stands in the bpf root, {@code links/PROGRAM@DEVICE}: a pinned TCX link, or on kernels without TCX (before Linux 6.6) a
 * symbolic link that says where among the filters of clsact. At a driver there is a pinned XDP link, or somebody else's
 * program, which stays. The pins are all that this knows, so a later process goes on from
 * there. In the network namespace of the calling thread.
 */
public final class DeviceHooks {
    private static final Logger log = LoggerFactory.getLogger(DeviceHooks.class);

    /** One filter of a direction is ours, by a handle that nobody else is likely to choose. */
    private static final int HANDLE = 0x5348;

    /** Behind the 1 that many choose for what has to come first, and before the 49152 of who does not choose. */
    private static final int PRIORITY = 10;

    /** The kernel cuts a program's name. */
    private static final int PROGRAM_NAME_LENGTH = 15;

    /** How the names of programs for drivers begin. */
    static final String DRIVER = "driver_";

    private final BpfRoot root;
    private final Function<String, BpfProgram> programs;
    private final LinkMaker linkMaker;
    private boolean hasTcx = true;
    private volatile List<Device> followed = List.of();
    private volatile List<Failure> failures = List.of();

    /** Where at a device a program can sit. */
    public enum Side {
        INGRESS,
        EGRESS,
        /** At the driver, in the kernel's stead: one program, or none. */
        GENERIC,
        /** At the driver. */
        NATIVE;

        private boolean isDriver() {
            return this == GENERIC || this == NATIVE;
        }

        private TcDirection direction() {
            return this == INGRESS ? TcDirection.INGRESS : TcDirection.EGRESS;
        }

        private AttachType link() {
            return isDriver() ? AttachType.XDP : direction().tcx();
        }
    }

    /** A program by its name, and where it sits. One name is of one side. */
    public record Hook(String program, Side side) {}

    /** A device, and what is wanted there. */
    public record Device(int ifindex, String name, Set<Hook> hooks) {
        public Device {
            hooks = Set.copyOf(hooks);
        }
    }

    /**
     * What could not be done.
     *
     * @param device its name; {@code *} if it is none in particular
     * @param hook the program's name
     */
    public record Failure(String device, String hook, String message) {}

    /**
     * What is wanted.
     *
     * @param isInForce whether the kernel runs this very program there
     */
    public record Attachment(String device, Hook hook, boolean isInForce) {}

    /** Attaches a program to a device by its index, as {@link BpfLink#create} does. */
    @FunctionalInterface
    interface LinkMaker {
        BpfLink create(BpfProgram program, int ifindex, AttachType type);
    }

    /**
     * Attaches nothing yet.
     *
     * @param root where to pin
     * @param programs the loaded programs, by name
     */
    DeviceHooks(BpfRoot root, Function<String, BpfProgram> programs) {
        this(root, programs, BpfLink::create);
    }

    DeviceHooks(BpfRoot root, Function<String, BpfProgram> programs, LinkMaker linkMaker) {
        this.root = root;
        this.programs = programs;
        this.linkMaker = linkMaker;
    }

    /**
     * Attaches what is wanted and is not in force, swaps programs in place, and then detaches all that is wanted no
     * more. A device that is gone is no failure; what fails is tried again the next time.
     */
    public void follow(Collection<Device> devices) {
        followed = List.copyOf(devices);
        List<Failure> failed = new ArrayList<>();
        Set<Path> wanted = new HashSet<>();
        followed.forEach(device -> device.hooks().forEach(hook -> wanted.add(pin(device, hook))));
        // At a driver there is place for one.
        removeAllBut(wanted, name -> name.startsWith(DRIVER), failed);
        for (Device device : followed) {
            for (Hook hook : device.hooks()) {
                Path pin = pin(device, hook);
                attempt(pin, failed, () -> keep(pin, device, hook));
            }
        }
        removeAllBut(wanted, name -> !name.startsWith(DRIVER), failed);
        failed.stream()
                .filter(each -> !failures.contains(each))
                .forEach(each -> log.error("program {} at device {}: {}", each.hook(), each.device(), each.message()));
        failures = List.copyOf(failed);
    }

    private void removeAllBut(Set<Path> wanted, Predicate<String> whichPrograms, List<Failure> failed) {
        try {
            for (Path pin : pins()) {
                if (!wanted.contains(pin) && whichPrograms.test(program(pin))) {
                    attempt(pin, failed, () -> remove(pin));
                }
            }
        } catch (IOException e) {
            Failure failure = new Failure("*", "*", "what is pinned cannot be listed: " + e);
            if (!failed.contains(failure)) {
                failed.add(failure);
            }
        }
    }

    /** What the last {@link #follow} could not do. Safe from any thread. */
    public List<Failure> failures() {
        return failures;
    }

    /** What the last {@link #follow} was to do, asked from the kernel now. Safe from any thread. */
    public List<Attachment> attachments() {
        List<Attachment> attachments = new ArrayList<>();
        for (Device device : followed) {
            for (Hook hook : device.hooks()) {
                attachments.add(new Attachment(device.name(), hook, isInForce(device, hook)));
            }
        }
        return attachments;
    }

    /** Whether at all hooks of a device programs of these names sit, of this process or of an earlier one. */
    boolean sitAt(Device device) {
        return device.hooks().stream().allMatch(hook -> sitsAt(device, hook));
    }

    private boolean sitsAt(Device device, Hook hook) {
        Path pin = pin(device, hook);
        try {
            if (Files.isSymbolicLink(pin)) {
                OptionalInt there = filter(device, hook).programId();
                return there.isPresent() && name(there.getAsInt()).equals(kernelName(hook.program()));
            }
            try (BpfLink link = BpfLink.openPinned(pin)) {
                return sitsOn(link.info(), device, hook);
            }
        } catch (BpfException e) {
            return false;
        }
    }

    private boolean isInForce(Device device, Hook hook) {
        Path pin = pin(device, hook);
        try {
            int program = programs.apply(hook.program()).info().id();
            if (Files.isSymbolicLink(pin)) {
                return filter(device, hook).programId().equals(OptionalInt.of(program));
            }
            try (BpfLink link = BpfLink.openPinned(pin)) {
                LinkInfo info = link.info();
                return info.programId() == program && sitsOn(info, device, hook);
            }
        } catch (BpfException e) {
            return false;
        }
    }

    @FunctionalInterface
    private interface Step {
        void run() throws IOException;
    }

    private static void attempt(Path pin, List<Failure> failed, Step step) {
        String message;
        try {
            step.run();
            return;
        } catch (BpfException e) {
            if (saysGone(e)) {
                return;
            }
            message = String.valueOf(e.getMessage());
        } catch (InstallationException e) {
            message = String.valueOf(e.getMessage());
        } catch (UncheckedIOException | IOException e) {
            // Its message is often but the file's name.
            message = e.toString();
        }
        failed.add(new Failure(device(pin), program(pin), message));
    }

    private static boolean saysGone(BpfException e) {
        return !e.call().startsWith("bpf_obj")
                && (e.errno().equals(Errno.ENODEV)
                        || e.errno().equals(Errno.ENOENT)
                        || e.errno().equals(Errno.ENOLINK));
    }

    private void keep(Path pin, Device device, Hook hook) throws IOException {
        BpfProgram program = programs.apply(hook.program());
        if (hook.side().isDriver()) {
            keepAtDriver(pin, device, hook, program);
        } else if (Files.isSymbolicLink(pin) || !(hasTcx && keepLink(pin, device, hook, program))) {
            keepFilter(pin, device, hook, program);
        }
    }

    private void keepAtDriver(Path pin, Device device, Hook hook, BpfProgram program) {
        if (isKept(pin, device, hook, program)) {
            return;
        }
        int mode = hook.side() == Side.NATIVE ? BpfLink.XDP_NATIVE : BpfLink.XDP_GENERIC;
        try (BpfLink link = BpfLink.create(program, device.ifindex(), AttachType.XDP, mode)) {
            link.pin(pin);
        } catch (BpfException e) {
            if (!e.call().equals("bpf_link_create")) {
                throw e;
            }
            if (isGone(device)) {
                return;
            }
            String why = e.errno().equals(Errno.EBUSY) || e.errno().equals(Errno.EEXIST)
                    ? "somebody else's XDP program is there, and stays"
                    : e.errno().equals(Errno.EOPNOTSUPP)
                            ? "its driver cannot run XDP programs: use --acceleration=generic or off"
                            : e.getMessage() + ": its driver does not run XDP programs as the device is set up; its MTU"
                                    + " may be too large for them, or its queues too many";
            throw new InstallationException(why + ". Its packets are translated at TC", e);
        }
    }

    /** Of XDP's links the kernel says then but that something is wrong. */
    private static boolean isGone(Device device) {
        try (Rtnetlink kernel = new Rtnetlink()) {
            return kernel.links().stream().noneMatch(link -> link.index() == device.ifindex());
        }
    }

    /** @return false if the kernel has no TCX */
    private boolean keepLink(Path pin, Device device, Hook hook, BpfProgram program) {
        if (isKept(pin, device, hook, program)) {
            return true;
        }
        try (BpfLink link =
                linkMaker.create(program, device.ifindex(), hook.side().link())) {
            link.pin(pin);
            return true;
        } catch (BpfException e) {
            if (e.call().equals("bpf_link_create") && e.errno().equals(Errno.EINVAL)) {
                log.info("the kernel has no TCX links: programs go to clsact, priority {}", PRIORITY);
                hasTcx = false;
                return false;
            }
            throw e;
        }
    }

    /** Whether there was a link already. It has this program from now on. */
    private static boolean isKept(Path pin, Device device, Hook hook, BpfProgram program) {
        if (Files.exists(pin, LinkOption.NOFOLLOW_LINKS)) {
            try (BpfLink pinned = BpfLink.openPinned(pin)) {
                LinkInfo info = pinned.info();
                if (sitsOn(info, device, hook)) {
                    if (info.programId() != program.info().id()) {
                        pinned.update(program);
                    }
                    return true;
                }
                // Of an earlier device of this name.
                pinned.unpin(pin);
                pinned.detach();
            }
        }
        return false;
    }

    private static boolean sitsOn(LinkInfo info, Device device, Hook hook) {
        if (info.ifindex() != device.ifindex()) {
            return false;
        }
        return hook.side().isDriver()
                ? info.type() == LinkInfo.XDP
                : info.type() == LinkInfo.TCX
                        && info.attachType() == hook.side().link().number();
    }

    private void keepFilter(Path pin, Device device, Hook hook, BpfProgram program) throws IOException {
        BpfTcFilter filter = filter(device, hook);
        OptionalInt there = filter.programId();
        if (there.isPresent() && !isOurs(filter, there.getAsInt())) {
            throw new InstallationException("the " + filter + " is program " + name(there.getAsInt())
                    + " of somebody else: give that one another handle or priority");
        }
        // Said before it is done, so that what a crash leaves is known to be ours.
        Path target = target(filter);
        if (!Files.isSymbolicLink(pin) || !Files.readSymbolicLink(pin).equals(target)) {
            Files.deleteIfExists(pin);
            Files.createSymbolicLink(pin, target);
        }
        if (there.equals(OptionalInt.of(program.info().id()))) {
            return;
        }
        try {
            filter.attach(program);
        } catch (BpfException e) {
            if (e.errno().equals(Errno.EEXIST)) {
                throw new InstallationException(
                        "it has a qdisc of the kind ingress, which has no place for what goes out: put clsact in its place"
                                + " (tc qdisc del dev " + device.name() + " ingress)",
                        e);
            }
            throw e;
        }
    }

    private boolean isOurs(BpfTcFilter filter, int programId) throws IOException {
        String name = name(programId);
        for (Path pin : pins()) {
            if (Files.isSymbolicLink(pin)
                    && Files.readSymbolicLink(pin).equals(target(filter))
                    && kernelName(program(pin)).equals(name)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Detaches and unpins what stands in a bpf root's links: any pinned link, or the filter that a symbolic link tells of
     * unless another program has its place.
     */
    static void remove(Path pin) throws IOException {
        if (!Files.isSymbolicLink(pin)) {
            try (BpfLink link = BpfLink.openPinned(pin)) {
                link.detach();
                link.unpin(pin);
            }
            return;
        }
        BpfTcFilter filter = filter(Files.readSymbolicLink(pin));
        OptionalInt there = filter.programId();
        if (there.isPresent() && name(there.getAsInt()).equals(kernelName(program(pin)))) {
            filter.detach();
        }
        Files.delete(pin);
    }

    private static String name(int programId) {
        try (BpfProgram program = BpfProgram.openId(programId)) {
            return program.name();
        }
    }

    private static String kernelName(String program) {
        return program.substring(0, Math.min(program.length(), PROGRAM_NAME_LENGTH));
    }

    private static BpfTcFilter filter(Device device, Hook hook) {
        return new BpfTcFilter(device.ifindex(), hook.side().direction(), HANDLE, PRIORITY);
    }

    /** Whether a filter is the one of ours that each direction of a device may have, or holds that. */
    static boolean isOurs(Rtnetlink.Filter filter) {
        return filter.priority() == PRIORITY && (filter.handle() == HANDLE || filter.handle() == 0);
    }

    private static Path target(BpfTcFilter filter) {
        return Path.of(
                "clsact",
                filter.direction().name().toLowerCase(Locale.ROOT),
                String.valueOf(filter.ifindex()),
                String.valueOf(filter.handle()),
                String.valueOf(filter.priority()));
    }

    private static BpfTcFilter filter(Path target) {
        try {
            return new BpfTcFilter(
                    Integer.parseInt(target.getName(2).toString()),
                    TcDirection.valueOf(target.getName(1).toString().toUpperCase(Locale.ROOT)),
                    Integer.parseInt(target.getName(3).toString()),
                    Integer.parseInt(target.getName(4).toString()));
        } catch (IllegalArgumentException e) {
            throw new InstallationException("a symbolic link to " + target + " is none of shunt's: remove it", e);
        }
    }

    /** bpffs keeps names with a dot to itself, and a device's name has no colon. */
    private Path pin(Device device, Hook hook) {
        return root.link(hook.program() + "@" + device.name().replace('.', ':'));
    }

    private static String device(Path pin) {
        String name = name(pin);
        return name.substring(name.indexOf('@') + 1).replace(':', '.');
    }

    private static String program(Path pin) {
        String name = name(pin);
        return name.substring(0, name.indexOf('@'));
    }

    private static String name(Path pin) {
        return String.valueOf(pin.getFileName());
    }

    private List<Path> pins() throws IOException {
        return root.links().stream().filter(pin -> name(pin).contains("@")).toList();
    }
}
