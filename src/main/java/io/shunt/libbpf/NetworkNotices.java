package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.time.Duration;

/**
 * Hears that a link, its queue or filters, an address or a route of the network namespace in which it was opened came, changed or went
 * (rtnetlink(7)), not which: what it says may be lost when much happens, so whoever hears it looks for himself. For one
 * thread.
 */
public final class NetworkNotices implements AutoCloseable {
    static final short AF_NETLINK = 16;
    static final int SOCK_RAW = 3;
    static final int SOCK_NONBLOCK = 0x800;
    static final int NETLINK_ROUTE = 0;
    static final int RTMGRP_LINK = 1;
    static final int RTMGRP_TC = 8;
    static final int RTMGRP_IPV4_IFADDR = 0x10;
    static final int RTMGRP_IPV4_ROUTE = 0x40;
    static final int RTMGRP_IPV6_IFADDR = 0x100;
    static final int RTMGRP_IPV6_ROUTE = 0x400;
    static final short POLLIN = 1;

    private static final int GROUPS =
            RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
    private static final int NOTICE_BYTES = 8192;

    private final Arena arena = Arena.ofShared();
    private final Fd socket;
    private final MemorySegment errno = Native.errnoState(arena);
    private final MemorySegment pollFd = arena.allocate(PollFd.LAYOUT);
    private final MemorySegment notice = arena.allocate(NOTICE_BYTES);

    /** Starts to listen. The caller closes it. */
    public NetworkNotices() {
        try {
            socket = Syscalls.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE, "NETLINK_ROUTE");
            MemorySegment address = arena.allocate(SockaddrNl.LAYOUT);
            address.set(JAVA_SHORT, SockaddrNl.FAMILY, AF_NETLINK);
            address.set(JAVA_INT, SockaddrNl.GROUPS, GROUPS);
            int bound =
                    (int) Bind.CALL.invokeExact(errno, socket.number(), address, (int) SockaddrNl.LAYOUT.byteSize());
            if (bound < 0) {
                socket.close();
            }
            Syscalls.check(bound, "bind", socket, errno);
            pollFd.set(JAVA_INT, PollFd.FD, socket.number());
            pollFd.set(JAVA_SHORT, PollFd.EVENTS, POLLIN);
        } catch (Throwable t) {
            arena.close();
            throw Native.rethrow(t);
        }
    }

    /** Waits for a notice, and takes in all that have come. @return false if the time passed without one */
    public boolean await(Duration atMost) {
        try {
            int ready = (int) Poll.CALL.invokeExact(errno, pollFd, 1L, (int) atMost.toMillis());
            if (ready < 0 && Native.errno(errno) == Errno.EINTR.number()) {
                return false;
            }
            Syscalls.check(ready, "poll", socket, errno);
            if (ready == 0) {
                return false;
            }
            long taken;
            do {
                taken = (long) Recv.CALL.invokeExact(errno, socket.number(), notice, notice.byteSize(), 0);
            } while (taken > 0);
            // ENOBUFS says that some were lost, which is a notice too.
            return true;
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    @Override
    public void close() {
        socket.close();
        arena.close();
    }

    static final class SockaddrNl {
        static final StructLayout LAYOUT = MemoryLayout.structLayout(
                        JAVA_SHORT.withName("nl_family"),
                        MemoryLayout.paddingLayout(2),
                        JAVA_INT.withName("nl_pid"),
                        JAVA_INT.withName("nl_groups"))
                .withName("sockaddr_nl");
        static final long FAMILY = LAYOUT.byteOffset(PathElement.groupElement("nl_family"));
        static final long GROUPS = LAYOUT.byteOffset(PathElement.groupElement("nl_groups"));
    }

    static final class PollFd {
        static final StructLayout LAYOUT = MemoryLayout.structLayout(
                        JAVA_INT.withName("fd"), JAVA_SHORT.withName("events"), JAVA_SHORT.withName("revents"))
                .withName("pollfd");
        static final long FD = LAYOUT.byteOffset(PathElement.groupElement("fd"));
        static final long EVENTS = LAYOUT.byteOffset(PathElement.groupElement("events"));
    }

    private static final class Bind {
        static final MethodHandle CALL =
                Native.libc("bind", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT), Native.ERRNO);
    }

    private static final class Poll {
        static final MethodHandle CALL =
                Native.libc("poll", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT), Native.ERRNO);
    }

    static final class Recv {
        static final MethodHandle CALL = Native.libc(
                "recv", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT), Native.ERRNO);
    }
}
