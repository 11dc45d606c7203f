package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * A place for one program among the filters of a device's clsact qdisc, for kernels without TCX. What sits there stays
 * when this process ends, and goes with the device. All of it works in the calling thread's network namespace.
 *
 * @param ifindex the device
 * @param handle tells filters of one priority apart; not 0
 * @param priority 1 to 65535; filters of a lower one come first
 */
public record BpfTcFilter(int ifindex, TcDirection direction, int handle, int priority) {
    static final int REPLACE = 1;

    /**
     * Attaches a program, in place of any that is here, and makes the qdisc if need be. Its return value is the verdict;
     * TC_ACT_UNSPEC leaves it to the next filter.
     *
     * @throws BpfException ENODEV if there is no such device, EEXIST if it has a qdisc of the kind ingress in clsact's place
     */
    public void attach(BpfProgram program) {
        try (Arena arena = Arena.ofConfined();
                LibbpfLog.Said said = LibbpfLog.listen()) {
            MemorySegment hook = hook(arena);
            int made = (int) Calls.HOOK_CREATE.invokeExact(hook);
            if (made == -Errno.EEXIST.number() && isClsact()) {
                said.take();
            } else {
                check(made, "bpf_tc_hook_create", said);
            }
            MemorySegment options = options(arena);
            options.set(JAVA_INT, Calls.PROGRAM_FD, program.fd());
            options.set(JAVA_INT, Calls.FLAGS, REPLACE);
            check((int) Calls.ATTACH.invokeExact(hook, options), "bpf_tc_attach", said);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** The older ingress takes filters for egress too, and lets them meet what comes in (net/sched/sch_ingress.c). */
    private boolean isClsact() {
        try (Rtnetlink kernel = new Rtnetlink()) {
            return kernel.qdiscs().contains(new Rtnetlink.Qdisc(ifindex, "clsact"));
        }
    }

    /** The id of the program that is here; none if there is none, or no such device or qdisc. */
    public OptionalInt programId() {
        try (Arena arena = Arena.ofConfined();
                LibbpfLog.Said said = LibbpfLog.listen()) {
            MemorySegment options = options(arena);
            int result = (int) Calls.QUERY.invokeExact(hook(arena), options);
            if (isNothing(result)) {
                said.take();
                return OptionalInt.empty();
            }
            check(result, "bpf_tc_query", said);
            return OptionalInt.of(options.get(JAVA_INT, Calls.PROGRAM_ID));
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Detaches what is here, if anything. The qdisc stays: others may use it. */
    public void detach() {
        try (Arena arena = Arena.ofConfined();
                LibbpfLog.Said said = LibbpfLog.listen()) {
            int result = (int) Calls.DETACH.invokeExact(hook(arena), options(arena));
            if (isNothing(result)) {
                said.take();
            } else {
                check(result, "bpf_tc_detach", said);
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Without a qdisc the kernel says EINVAL. */
    private static boolean isNothing(int result) {
        return result == -Errno.ENOENT.number() || result == -Errno.ENODEV.number() || result == -Errno.EINVAL.number();
    }

    private void check(int result, String call, LibbpfLog.Said said) {
        if (result < 0) {
            @Nullable String detail = said.take();
            throw new BpfException(call, toString(), -result, detail == null ? null : detail.strip());
        }
    }

    private MemorySegment hook(SegmentAllocator arena) {
        MemorySegment hook = arena.allocate(Calls.HOOK);
        hook.set(JAVA_LONG, 0, Calls.HOOK.byteSize());
        hook.set(JAVA_INT, Calls.IFINDEX, ifindex);
        hook.set(JAVA_INT, Calls.ATTACH_POINT, direction.number());
        return hook;
    }

    private MemorySegment options(SegmentAllocator arena) {
        MemorySegment options = arena.allocate(Calls.OPTIONS);
        options.set(JAVA_LONG, 0, Calls.OPTIONS.byteSize());
        options.set(JAVA_INT, Calls.HANDLE, handle);
        options.set(JAVA_INT, Calls.PRIORITY, priority);
        return options;
    }

    @Override
    public String toString() {
        return "filter " + handle + " of priority " + priority + " at " + direction + " of device " + ifindex;
    }

    static final class Calls {
        static final StructLayout HOOK = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"),
                        JAVA_INT.withName("ifindex"),
                        JAVA_INT.withName("attach_point"),
                        JAVA_INT.withName("parent"),
                        MemoryLayout.paddingLayout(4))
                .withName("bpf_tc_hook");
        static final StructLayout OPTIONS = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"),
                        JAVA_INT.withName("prog_fd"),
                        JAVA_INT.withName("flags"),
                        JAVA_INT.withName("prog_id"),
                        JAVA_INT.withName("handle"),
                        JAVA_INT.withName("priority"),
                        MemoryLayout.paddingLayout(4))
                .withName("bpf_tc_opts");

        static final long IFINDEX = HOOK.byteOffset(PathElement.groupElement("ifindex"));
        static final long ATTACH_POINT = HOOK.byteOffset(PathElement.groupElement("attach_point"));
        static final long PROGRAM_FD = OPTIONS.byteOffset(PathElement.groupElement("prog_fd"));
        static final long FLAGS = OPTIONS.byteOffset(PathElement.groupElement("flags"));
        static final long PROGRAM_ID = OPTIONS.byteOffset(PathElement.groupElement("prog_id"));
        static final long HANDLE = OPTIONS.byteOffset(PathElement.groupElement("handle"));
        static final long PRIORITY = OPTIONS.byteOffset(PathElement.groupElement("priority"));

        static final MethodHandle HOOK_CREATE = Native.libbpf("bpf_tc_hook_create", Native.INT_FROM_POINTER);
        static final MethodHandle ATTACH = Native.libbpf("bpf_tc_attach", Native.INT_FROM_POINTER_POINTER);
        static final MethodHandle DETACH = Native.libbpf("bpf_tc_detach", Native.INT_FROM_POINTER_POINTER);
        static final MethodHandle QUERY = Native.libbpf("bpf_tc_query", Native.INT_FROM_POINTER_POINTER);

        private Calls() {}
    }
}
