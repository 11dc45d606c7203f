package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * The attachment of a program to a cgroup or a device. Belongs to whoever made or opened it: closing the last
 * descriptor of a link that is not pinned detaches it; a pinned link outlives the process.
 */
public final class BpfLink extends KernelObject {
    private final String name;

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
        String name = program.name() + " at " + type;
        int fd;
        try {
            fd = (int) Create.CALL.invokeExact(program.fd(), target, type.number(), MemorySegment.NULL);
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

    public LinkInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            return LinkInfo.from(info(LinkInfo.LAYOUT, arena));
        }
    }

    private static final class Create {
        static final MethodHandle CALL = Native.libbpf(
                "bpf_link_create", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
    }

    private static final class Update {
        static final MethodHandle CALL =
                Native.libbpf("bpf_link_update", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));
    }

    private static final class Detach {
        static final MethodHandle CALL = Native.libbpf("bpf_link_detach", Native.INT_FROM_INT);
    }
}
