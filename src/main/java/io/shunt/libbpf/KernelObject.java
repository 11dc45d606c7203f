package io.shunt.libbpf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a map, a program and a link have in common: a file descriptor, a file in bpffs that keeps them alive, and an
 * info. An object that was opened or made by itself is closed by whoever did so; one that belongs to a
 * {@link BpfObject} is closed with it, and its own {@link #close} does nothing. Not safe to close while another thread
 * uses it.
 */
abstract sealed class KernelObject implements AutoCloseable permits BpfMap, BpfProgram, BpfLink {
    /** No descriptor: every call fails with EBADF. A closed one's number may soon be that of another file. */
    static final int NONE = -1;

    private final String kind;
    private final boolean owned;
    private MemorySegment definition;
    private int fd;

    /** One that was made or opened by itself. */
    KernelObject(String kind, int fd) {
        this.kind = kind;
        this.owned = false;
        this.definition = MemorySegment.NULL;
        this.fd = fd;
    }

    /** One of an object file, which libbpf knows by {@code definition}. */
    KernelObject(String kind, MemorySegment definition) {
        this.kind = kind;
        this.owned = true;
        this.definition = definition;
        this.fd = NONE;
    }

    /** Its name in the object file, the kernel's (cut to 15 characters), or for a link what it was made of. */
    public abstract String name();

    /** Its file descriptor, which stays its own; -1 before its object is loaded and after it is closed. */
    public final int fd() {
        return fd;
    }

    /**
     * Keeps it alive, under this name in bpffs, beyond this process.
     *
     * @throws BpfException EEXIST if the file exists, EPERM if it would not be in bpffs
     */
    public final void pin(Path path) {
        try (Arena arena = Arena.ofConfined()) {
            int result = (int) Calls.PIN.invokeExact(fd, arena.allocateFrom(path.toString()));
            BpfException.check(result, "bpf_obj_pin", this + " at " + path);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Removes a pin if it is there. The object lives on while something else refers to it. */
    public final void unpin(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot unpin " + this + " from " + path, e);
        }
    }

    @Override
    public final void close() {
        if (!owned) {
            release();
        }
    }

    /** What libbpf knows it by while its object is open and not loaded yet. */
    final MemorySegment definition() {
        if (Native.isNull(definition)) {
            throw new IllegalStateException(this + " belongs to no object, or to one that is closed");
        }
        if (fd != NONE) {
            throw new IllegalStateException(this + " is loaded already");
        }
        return definition;
    }

    void loaded(int newFd) {
        fd = newFd;
    }

    /** libbpf has closed the fd, and freed the definition. */
    void objectClosed() {
        fd = NONE;
        definition = MemorySegment.NULL;
    }

    final void release() {
        int open = fd;
        fd = NONE;
        if (open >= 0) {
            Fd.close(open);
        }
    }

    /** Zeroed, then filled as far as the kernel knows the struct and the layout reaches. */
    final MemorySegment info(MemoryLayout layout, Arena arena) {
        return info(fd, layout, arena, this);
    }

    static MemorySegment info(int fd, MemoryLayout layout, Arena arena, Object object) {
        MemorySegment info = arena.allocate(layout);
        MemorySegment length = arena.allocateFrom(ValueLayout.JAVA_INT, (int) layout.byteSize());
        try {
            int result = (int) Calls.INFO.invokeExact(fd, info, length);
            BpfException.check(result, "bpf_obj_get_info_by_fd", object);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return info;
    }

    /** Opens a pin, of which bpf(2) does not say what kind it is. The fd is the caller's. */
    static int openPinned(Path path, String kind, String inode) {
        int fd;
        try (Arena arena = Arena.ofConfined()) {
            fd = (int) Calls.GET.invokeExact(arena.allocateFrom(path.toString()));
            BpfException.check(fd, "bpf_obj_get", kind + " at " + path);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        String found = target(fd);
        // The kernel calls a link bpf_link where it is made and bpf-link where it is opened.
        if (!found.replace('_', '-').contains(inode)) {
            Fd.close(fd);
            throw new BpfException(
                    "bpf_obj_get",
                    kind + " at " + path,
                    Errno.EINVAL.number(),
                    "it is not a " + kind + " but " + found);
        }
        return fd;
    }

    private static String target(int fd) {
        try {
            return Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd)).toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public final String toString() {
        return kind + " " + name();
    }

    private static final class Calls {
        static final MethodHandle PIN = Native.libbpf("bpf_obj_pin", Native.INT_FROM_INT_POINTER);
        static final MethodHandle GET = Native.libbpf("bpf_obj_get", Native.INT_FROM_POINTER);
        static final MethodHandle INFO = Native.libbpf("bpf_obj_get_info_by_fd", Native.INT_FROM_INT_POINTER_POINTER);
    }
}
