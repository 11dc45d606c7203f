package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * The attachment of a program to a cgroup, to a device, or to what it iterates over. Belongs to whoever made or opened it: closing the last
 * descriptor of a link that is not pinned detaches it; a pinned link outlives the process.
 */
public final class BpfLink extends KernelObject {
    private final String name;

    /** The kernel runs an XDP program, on whatever device: XDP_FLAGS_SKB_MODE. */
    public static final int XDP_GENERIC = 1 << 1;

    /** The driver does: XDP_FLAGS_DRV_MODE. */
    public static final int XDP_NATIVE = 1 << 2;

    /** As much as an iterator's program may have written at any one time. */
    private static final int ITERATOR_BYTES = 32 * 1024;

    private BpfLink(String name, int fd) {
        super("link", fd);
        this.name = name;
    }

    /**
     * Attaches to a cgroup and all below it, beside the programs that are there already.
     *
     * @param cgroupFd of the cgroup's directory, needed only for this call
     */
    public static BpfLink attachCgroup(BpfProgram program, int cgroupFd, AttachType type) {
        return create(program, cgroupFd, type);
    }

    /**
     * Attaches a program where its type goes.
     *
     * @param target fd of a cgroup directory, or an interface index for TCX (Linux 6.6) and XDP
     * @throws BpfException EINVAL if the kernel does not know the attach type, or the program is of another
     */
    public static BpfLink create(BpfProgram program, int target, AttachType type) {
        return create(program, target, type, MemorySegment.NULL);
    }

    /**
     * Attaches a program to a device, where there can be one of its kind.
     *
     * @param flags what the kind of program has for flags; for XDP {@link #XDP_GENERIC} or {@link #XDP_NATIVE}
     * @throws BpfException EBUSY or EEXIST if another program is there, EOPNOTSUPP if the driver cannot, EINVAL also if
     *     there is no such device
     */
    public static BpfLink create(BpfProgram program, int ifindex, AttachType type, int flags) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment options = arena.allocate(Create.OPTIONS);
            options.set(JAVA_LONG, 0, Create.OPTIONS.byteSize());
            options.set(JAVA_INT, Create.FLAGS, flags);
            return create(program, ifindex, type, options);
        }
    }

    /** Attaches an iterator to what its section names, such as "iter/udp"; {@link #iterate} runs it. */
    public static BpfLink iterator(BpfProgram program) {
        return create(program, 0, AttachType.TRACE_ITER, MemorySegment.NULL);
    }

    /** Attaches an iterator over a map, of a section such as "iter/bpf_map_elem". The link keeps the map alive. */
    public static BpfLink iterator(BpfProgram program, BpfMap map) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment what = arena.allocateFrom(JAVA_INT, map.fd());
            MemorySegment options = arena.allocate(Create.OPTIONS);
            options.set(JAVA_LONG, 0, Create.OPTIONS.byteSize());
            options.set(ADDRESS, Create.ITERATOR, what);
            options.set(JAVA_INT, Create.ITERATOR_LENGTH, (int) what.byteSize());
            return create(program, 0, AttachType.TRACE_ITER, options);
        }
    }

    private static BpfLink create(BpfProgram program, int target, AttachType type, MemorySegment options) {
        String name = program.name() + " at " + type;
        int fd;
        try {
            fd = (int) Create.CALL.invokeExact(program.fd(), target, type.number(), options);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return new BpfLink(name, BpfException.check(fd, "bpf_link_create", "link " + name));
    }

    /**
     * Opens a link pinned in bpffs.
     *
     * @throws BpfException ENOENT if there is no such file, EINVAL if it is no link
     */
    public static BpfLink openPinned(Path path) {
        return new BpfLink(path.toString(), openPinned(path, "link", "bpf-link"));
    }

    @Override
    public String name() {
        return name;
    }

    /** Puts another program of the same type in place: at every moment one of the two runs. */
    public void update(BpfProgram program) {
        try {
            int result = (int) Update.CALL.invokeExact(fd(), program.fd(), MemorySegment.NULL);
            BpfException.check(result, "bpf_link_update", this);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Ends the attachment at once, even while pins or other descriptors refer to the link. */
    public void detach() {
        try {
            BpfException.check((int) Detach.CALL.invokeExact(fd()), "bpf_link_detach", this);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * Runs an iterator once over everything. An iterator of sockets sees those of the calling thread's network namespace.
     *
     * @param output takes what the program writes, piece by piece, in segments that are only good until it returns
     */
    public void iterate(Consumer<MemorySegment> output) {
        try (Arena arena = Arena.ofConfined();
                Fd iterator = start()) {
            MemorySegment buffer = arena.allocate(ITERATOR_BYTES, Long.BYTES);
            for (long size = read(iterator, buffer); size > 0; size = read(iterator, buffer)) {
                output.accept(buffer.asSlice(0, size));
            }
        }
    }

    private Fd start() {
        try {
            return new Fd(
                    BpfException.check((int) Iterate.CALL.invokeExact(fd()), "bpf_iter_create", this), toString());
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    private static long read(Fd iterator, MemorySegment buffer) {
        while (true) {
            try {
                return Syscalls.read(iterator, buffer);
            } catch (BpfException e) {
                // A million objects were visited and none said anything: on it goes.
                if (!e.errno().equals(Errno.EAGAIN)) {
                    throw e;
                }
            }
        }
    }

    public LinkInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            return LinkInfo.from(info(LinkInfo.LAYOUT, arena));
        }
    }

    static final class Create {
        /** The beginning of struct bpf_link_create_opts, which may end anywhere. */
        static final StructLayout OPTIONS = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"),
                        JAVA_INT.withName("flags"),
                        MemoryLayout.paddingLayout(4),
                        ADDRESS.withName("iter_info"),
                        JAVA_INT.withName("iter_info_len"),
                        JAVA_INT.withName("target_btf_id"))
                .withName("bpf_link_create_opts");

        static final long FLAGS = OPTIONS.byteOffset(PathElement.groupElement("flags"));

        /** Points at a union bpf_iter_link_info, which for a map is its descriptor. */
        static final long ITERATOR = OPTIONS.byteOffset(PathElement.groupElement("iter_info"));

        static final long ITERATOR_LENGTH = OPTIONS.byteOffset(PathElement.groupElement("iter_info_len"));
        static final MethodHandle CALL = Native.libbpf(
                "bpf_link_create", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
    }

    private static final class Update {
        static final MethodHandle CALL =
                Native.libbpf("bpf_link_update", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
    }

    private static final class Iterate {
        static final MethodHandle CALL = Native.libbpf("bpf_iter_create", Native.INT_FROM_INT);
    }

    private static final class Detach {
        static final MethodHandle CALL = Native.libbpf("bpf_link_detach", Native.INT_FROM_INT);
    }
}
