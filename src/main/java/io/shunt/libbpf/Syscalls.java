package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** The few system calls that neither libbpf nor the JDK has. Errors are {@link BpfException}s that name the call. */
public final class Syscalls {
    /** What {@link #fileSystemType} says of bpffs and of cgroup2 (linux/magic.h). */
    public static final long BPFFS_MAGIC = 0xcafe4a11L;

    public static final long CGROUP2_MAGIC = 0x63677270L;

    /** Of the files that stand for namespaces. */
    public static final long NSFS_MAGIC = 0x6e736673L;

    static final int O_CLOEXEC = 0x80000;
    static final int LOCK_EXCLUSIVE_NONBLOCKING = 2 | 4;
    static final int CLONE_NEWNET = 0x40000000;
    static final long MS_BIND = 4096;

    private static final int AF_UNIX = 1;
    private static final int SOCK_DGRAM = 2;
    private static final int SOL_SOCKET = 1;
    private static final int SO_NETNS_COOKIE = 71;

    private Syscalls() {}

    /** Opens a directory or file to refer to it or to read it. The descriptor is the caller's. */
    public static Fd open(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            int fd = (int) Open.CALL.invokeExact(errno, arena.allocateFrom(path.toString()), O_CLOEXEC);
            check(fd, "open", path, errno);
            return new Fd(fd, path.toString());
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * Takes an exclusive lock, which ends when the descriptor is closed or the process ends.
     *
     * @return false if another open of the same file has it, in this process or another
     */
    public static boolean flock(Fd fd) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            int result = (int) Flock.CALL.invokeExact(errno, fd.number(), LOCK_EXCLUSIVE_NONBLOCKING);
            if (result < 0 && Native.errno(errno) == Errno.EAGAIN.number()) {
                return false;
            }
            check(result, "flock", fd, errno);
            return true;
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Mounts a new bpffs on a directory that exists. */
    public static void mountBpffs(Path directory) {
        mount("bpf", directory, "bpf", 0, "bpffs");
    }

    /**
     * Mounts cgroup2 on a directory that exists. There is one hierarchy, and options are its own, not the mount's: from
     * the machine's own cgroup namespace this takes those back that somebody else has mounted it with, as nsdelegate and
     * memory_recursiveprot. Where it is mounted already, {@link #bind} leaves them alone.
     */
    public static void mountCgroup2(Path directory) {
        mount("cgroup2", directory, "cgroup2", 0, "cgroup2");
    }

    /** Mounts what is mounted on one directory on another one too. */
    public static void bind(Path directory, Path target) {
        mount(directory.toString(), target, "none", MS_BIND, directory.toString());
    }

    private static void mount(String source, Path directory, String type, long flags, String what) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            int result = (int) Mount.CALL.invokeExact(
                    errno,
                    arena.allocateFrom(source),
                    arena.allocateFrom(directory.toString()),
                    arena.allocateFrom(type),
                    flags,
                    MemorySegment.NULL);
            check(result, "mount", what + " at " + directory, errno);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** The magic number of the file system that a path lies in, such as {@link #BPFFS_MAGIC}. */
    public static long fileSystemType(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            MemorySegment answer = arena.allocate(Statfs.LAYOUT);
            int result = (int) Statfs.CALL.invokeExact(errno, arena.allocateFrom(path.toString()), answer);
            check(result, "statfs", path, errno);
            return answer.get(JAVA_LONG, Statfs.TYPE);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * Takes the calling thread, and no other, into another network namespace. Threads that it starts there are there too,
     * so it should make system calls only and then end.
     *
     * @param namespace an open file such as /proc/PID/ns/net or /run/netns/NAME
     * @throws BpfException EPERM without CAP_SYS_ADMIN, EINVAL if the file is no network namespace
     */
    public static void enterNetworkNamespace(Fd namespace) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            int result = (int) Setns.CALL.invokeExact(errno, namespace.number(), CLONE_NEWNET);
            check(result, "setns", namespace, errno);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Reads up to as much as the buffer holds; 0 at the end of the file. */
    static long read(Fd file, MemorySegment buffer) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            long result = (long) Read.CALL.invokeExact(errno, file.number(), buffer, buffer.byteSize());
            check(result, "read", file, errno);
            return result;
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * Makes a socket that ends with exec. The descriptor is the caller's.
     *
     * @param type with the flags that it is to have besides
     * @param name for messages
     */
    static Fd socket(int family, int type, int protocol, String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            int fd = (int) Socket.CALL.invokeExact(errno, family, type | O_CLOEXEC, protocol);
            check(fd, "socket", name, errno);
            return new Fd(fd, name);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** The number by which eBPF programs know this process's network namespace; no other ever has it. Needs Linux 5.14. */
    public static long networkNamespaceCookie() {
        try (Arena arena = Arena.ofConfined();
                Fd socket = socket(AF_UNIX, SOCK_DGRAM, 0, "AF_UNIX")) {
            MemorySegment errno = Native.errnoState(arena);
            MemorySegment cookie = arena.allocate(JAVA_LONG);
            MemorySegment size = arena.allocateFrom(JAVA_INT, Long.BYTES);
            int result = (int)
                    Getsockopt.CALL.invokeExact(errno, socket.number(), SOL_SOCKET, SO_NETNS_COOKIE, cookie, size);
            check(result, "getsockopt", "SO_NETNS_COOKIE", errno);
            return cookie.get(JAVA_LONG, 0);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    static void check(long result, String call, Object object, MemorySegment errno) {
        if (result < 0) {
            throw new BpfException(call, object.toString(), Native.errno(errno), null);
        }
    }

    private static final class Open {
        static final MethodHandle CALL = Native.libc(
                "open",
                FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT),
                Native.ERRNO,
                Linker.Option.firstVariadicArg(2));
    }

    private static final class Flock {
        static final MethodHandle CALL =
                Native.libc("flock", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT), Native.ERRNO);
    }

    private static final class Setns {
        static final MethodHandle CALL =
                Native.libc("setns", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT), Native.ERRNO);
    }

    private static final class Read {
        static final MethodHandle CALL =
                Native.libc("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG), Native.ERRNO);
    }

    private static final class Socket {
        static final MethodHandle CALL =
                Native.libc("socket", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT), Native.ERRNO);
    }

    private static final class Getsockopt {
        static final MethodHandle CALL = Native.libc(
                "getsockopt",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS),
                Native.ERRNO);
    }

    private static final class Mount {
        static final MethodHandle CALL = Native.libc(
                "mount", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS), Native.ERRNO);
    }

    static final class Statfs {
        static final StructLayout LAYOUT = MemoryLayout.structLayout(
                        JAVA_LONG.withName("f_type"), MemoryLayout.paddingLayout(112))
                .withName("statfs");
        static final long TYPE = LAYOUT.byteOffset(PathElement.groupElement("f_type"));
        static final MethodHandle CALL =
                Native.libc("statfs", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS), Native.ERRNO);
    }
}
