package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
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
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A program. One of a {@link BpfObject} is closed with it; one from {@link #openPinned} or {@link #openId} is the
 * caller's to close. A closed program runs on where a link or a pin holds it.
 */
public final class BpfProgram extends KernelObject {
    static final int QUERY_EFFECTIVE = 1;

    private final String name;

    private BpfProgram(String name, int fd) {
        super("program", fd);
        this.name = name;
    }

    private BpfProgram(MemorySegment definition) {
        super("program", definition);
        this.name = Definition.name(definition);
    }

    /**
     * Opens a program pinned in bpffs.
     *
     * @throws BpfException ENOENT if there is no such file, EINVAL if it is no program
     */
    public static BpfProgram openPinned(Path path) {
        return opened(openPinned(path, "program", "bpf-prog"), "program at " + path);
    }

    /**
     * Opens a program by the id that {@link LinkInfo} or {@link #attached} gives.
     *
     * @throws BpfException ENOENT if it is gone
     */
    public static BpfProgram openId(int id) {
        int fd;
        try {
            fd = (int) ById.CALL.invokeExact(id);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return opened(BpfException.check(fd, "bpf_prog_get_fd_by_id", "program " + id), "program " + id);
    }

    private static BpfProgram opened(int fd, String what) {
        try (Arena arena = Arena.ofConfined()) {
            ProgramInfo info = ProgramInfo.from(info(fd, ProgramInfo.LAYOUT, arena, what));
            return new BpfProgram(info.name(), fd);
        } catch (RuntimeException e) {
            Fd.close(fd);
            throw e;
        }
    }

    /** The program an object file defines, before it is loaded. */
    static BpfProgram of(MemorySegment definition) {
        return new BpfProgram(definition);
    }

    void loaded() {
        // Negative for a program that was not to be loaded.
        loaded(Math.max(NONE, Definition.fd(definition())));
    }

    /**
     * The ids of the programs attached to a target, in the order in which they run.
     *
     * @param target fd of a cgroup directory; for TCX an interface index
     * @param effective of a cgroup: also those that it inherits from the cgroups above
     */
    public static List<Integer> attached(int target, AttachType type, boolean effective) {
        int flags = effective ? QUERY_EFFECTIVE : 0;
        for (int room = 64; ; room *= 2) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment ids = arena.allocate(JAVA_INT, room);
                MemorySegment count = arena.allocateFrom(JAVA_INT, room);
                MemorySegment attachFlags = arena.allocate(JAVA_INT);
                int result = (int) Query.CALL.invokeExact(target, type.number(), flags, attachFlags, ids, count);
                if (result == -Errno.ENOSPC.number()) {
                    continue;
                }
                BpfException.check(result, "bpf_prog_query", "programs at " + type);
                List<Integer> attached = new ArrayList<>();
                for (int i = 0; i < count.get(JAVA_INT, 0); i++) {
                    attached.add(ids.getAtIndex(JAVA_INT, i));
                }
                return attached;
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }
    }

    @Override
    public String name() {
        return name;
    }

    /** Whether {@link BpfObject#load} loads this program; as a rule it does. For an object not loaded yet. */
    public void setAutoload(boolean load) {
        try {
            int result = (int) Autoload.CALL.invokeExact(definition(), load);
            BpfException.check(result, "bpf_program__set_autoload", this);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    public ProgramInfo info() {
        try (Arena arena = Arena.ofConfined()) {
            return ProgramInfo.from(info(ProgramInfo.LAYOUT, arena));
        }
    }

    /**
     * What a test run gave.
     *
     * @param retval the program's return value
     * @param size how many bytes were written to {@code out}
     * @param durationNanos nanoseconds a run, averaged over all; 0 for program types that are not timed
     */
    public record TestRun(int retval, int size, long durationNanos) {}

    /**
     * Runs the program on test data in the kernel, attached to nothing.
     *
     * @param in the packet; null for a program that takes none
     * @param out receives the packet after the last run; null if nobody wants it
     * @param context the program's context; null for an empty one or none
     * @param repeat how often, at least 1
     * @throws BpfException ENOTSUPP for a program type without test runs, ENOSPC if {@code out} is too short
     */
    public TestRun testRun(
            @Nullable MemorySegment in, @Nullable MemorySegment out, @Nullable MemorySegment context, int repeat) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment options = arena.allocate(Testing.OPTIONS);
            options.set(JAVA_LONG, 0, Testing.OPTIONS.byteSize());
            Testing.put(options, "data_in", "data_size_in", in);
            Testing.put(options, "data_out", "data_size_out", out);
            Testing.put(options, "ctx_in", "ctx_size_in", context);
            // Programs of the syscall type run once and refuse to be told so.
            options.set(JAVA_INT, Testing.offset("repeat"), repeat == 1 ? 0 : repeat);
            Testing.run(this, options);
            return new TestRun(
                    options.get(JAVA_INT, Testing.offset("retval")),
                    options.get(JAVA_INT, Testing.offset("data_size_out")),
                    Integer.toUnsignedLong(options.get(JAVA_INT, Testing.offset("duration"))));
        }
    }

    private static final class Definition {
        static final MethodHandle NAME = Native.libbpf("bpf_program__name", Native.POINTER_FROM_POINTER);
        static final MethodHandle FD = Native.libbpf("bpf_program__fd", Native.INT_FROM_POINTER);

        static String name(MemorySegment program) {
            try {
                return Native.string((MemorySegment) NAME.invokeExact(program));
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }

        static int fd(MemorySegment program) {
            try {
                return (int) FD.invokeExact(program);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }
    }

    private static final class Autoload {
        static final MethodHandle CALL =
                Native.libbpf("bpf_program__set_autoload", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_BOOLEAN));
    }

    private static final class ById {
        static final MethodHandle CALL = Native.libbpf("bpf_prog_get_fd_by_id", Native.INT_FROM_INT);
    }

    private static final class Query {
        static final MethodHandle CALL = Native.libbpf(
                "bpf_prog_query",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS));
    }

    static final class Testing {
        static final StructLayout OPTIONS = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"),
                        ADDRESS.withName("data_in"),
                        ADDRESS.withName("data_out"),
                        JAVA_INT.withName("data_size_in"),
                        JAVA_INT.withName("data_size_out"),
                        ADDRESS.withName("ctx_in"),
                        ADDRESS.withName("ctx_out"),
                        JAVA_INT.withName("ctx_size_in"),
                        JAVA_INT.withName("ctx_size_out"),
                        JAVA_INT.withName("retval"),
                        JAVA_INT.withName("repeat"),
                        JAVA_INT.withName("duration"),
                        JAVA_INT.withName("flags"),
                        JAVA_INT.withName("cpu"),
                        JAVA_INT.withName("batch_size"))
                .withName("bpf_test_run_opts");

        private static final MethodHandle CALL = Native.libbpf("bpf_prog_test_run_opts", Native.INT_FROM_INT_POINTER);

        static long offset(String member) {
            return OPTIONS.byteOffset(PathElement.groupElement(member));
        }

        /** @throws BpfException if the program could not be run */
        static void run(BpfProgram program, MemorySegment options) {
            int result;
            try {
                result = (int) CALL.invokeExact(program.fd(), options);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
            BpfException.check(result, "bpf_prog_test_run_opts", program);
        }

        static void put(MemorySegment options, String data, String size, @Nullable MemorySegment segment) {
            if (segment != null) {
                options.set(ADDRESS, offset(data), segment);
                options.set(JAVA_INT, offset(size), Math.toIntExact(segment.byteSize()));
            }
        }
    }
}
