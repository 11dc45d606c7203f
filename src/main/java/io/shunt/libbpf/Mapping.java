package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** A file descriptor's memory, shared with the kernel for as long as an arena lives. */
final class Mapping {
    static final int PROT_READ_WRITE = 1 | 2;
    static final int MAP_SHARED = 1;
    private static final long MAP_FAILED = -1;

    private static final MethodHandle MMAP = Native.libc(
            "mmap",
            FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG),
            Native.ERRNO);

    private Mapping() {}

    /**
     * Maps {@code bytes} from {@code offset}, a multiple of the page size; the kernel itself rounds the end up to pages,
     * here and when it unmaps.
     */
    static MemorySegment map(int fd, long offset, long bytes, Arena arena, Object object) {
        try (Arena call = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(call);
            MemorySegment address = (MemorySegment)
                    MMAP.invokeExact(errno, MemorySegment.NULL, bytes, PROT_READ_WRITE, MAP_SHARED, fd, offset);
            if (address.address() == MAP_FAILED) {
                throw new BpfException("mmap", object.toString(), Native.errno(errno), null);
            }
            return address.reinterpret(bytes, arena, mapped -> unmap(mapped, bytes));
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /** Cannot fail for a mapping that was made here. */
    private static void unmap(MemorySegment mapped, long bytes) {
        try {
            int ignored = (int) Unmap.CALL.invokeExact(mapped, bytes);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    private static final class Unmap {
        static final MethodHandle CALL = Native.libc("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    }
}
