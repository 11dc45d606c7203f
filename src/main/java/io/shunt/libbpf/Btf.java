package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The types of a compiled object, or of one in the kernel. That of a {@link BpfObject} is gone when the object is closed,
 * and its own {@link #close} does nothing; one from the kernel is the caller's to close.
 */
public final class Btf implements AutoCloseable {
    static final int KIND_STRUCT = 4;

    private final String of;
    private final boolean owned;
    private MemorySegment handle;

    private Btf(MemorySegment handle, String of, boolean owned) {
        this.handle = handle;
        this.of = of;
        this.owned = owned;
    }

    static Btf of(MemorySegment handle, String object) {
        return new Btf(handle, object, true);
    }

    /**
     * Reads the types that a map or a program in the kernel was made with.
     *
     * @param id as in {@link MapInfo#btfId} and {@link ProgramInfo#btfId}
     * @throws BpfException ENOENT if the kernel has none with this id
     */
    public static Btf fromKernel(int id) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(arena);
            MemorySegment btf = (MemorySegment) Kernel.LOAD.invokeExact(errno, id);
            if (Native.isNull(btf)) {
                throw new BpfException("btf__load_from_kernel_by_id", "BTF " + id, Native.errno(errno), null);
            }
            return new Btf(btf, "BTF " + id, false);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    /**
     * The struct of this name, if any.
     *
     * @throws UnsupportedOperationException if it has bit fields, which have no offset in bytes
     */
    public Optional<BtfStruct> struct(String name) {
        try (Arena arena = Arena.ofConfined()) {
            int id = (int) Calls.FIND.invokeExact(open(), arena.allocateFrom(name), KIND_STRUCT);
            if (id == -Errno.ENOENT.number()) {
                return Optional.empty();
            }
            BpfException.check(id, "btf__find_by_name_kind", this + ", struct " + name);
            MemorySegment type = (MemorySegment) Calls.TYPE_BY_ID.invokeExact(handle, id);
            return Optional.of(read(name, type));
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    private BtfStruct read(String name, MemorySegment address) {
        MemorySegment type = address.reinterpret(Type.LAYOUT.byteSize());
        int info = type.get(JAVA_INT, Type.INFO);
        int memberCount = info & 0xffff;
        boolean bitFields = info < 0;
        MemorySegment list = address.reinterpret(Type.LAYOUT.byteSize() + memberCount * MemberType.LAYOUT.byteSize())
                .asSlice(Type.LAYOUT.byteSize());
        List<BtfStruct.Member> members = new ArrayList<>();
        for (int i = 0; i < memberCount; i++) {
            MemorySegment member = list.asSlice(i * MemberType.LAYOUT.byteSize(), MemberType.LAYOUT.byteSize());
            String memberName = string(member.get(JAVA_INT, MemberType.NAME));
            int offset = member.get(JAVA_INT, MemberType.OFFSET);
            if (bitFields && offset >>> 24 != 0) {
                throw new UnsupportedOperationException(
                        "struct " + name + ": member " + memberName + " is a bit field");
            }
            long bits = bitFields ? offset & 0xff_ffff : Integer.toUnsignedLong(offset);
            members.add(
                    new BtfStruct.Member(memberName, bits / Byte.SIZE, size(member.get(JAVA_INT, MemberType.TYPE))));
        }
        return new BtfStruct(name, Integer.toUnsignedLong(type.get(JAVA_INT, Type.SIZE)), members);
    }

    /** Through typedefs, qualifiers and arrays. */
    private long size(int typeId) {
        try {
            long size = (long) Calls.RESOLVE_SIZE.invokeExact(handle, typeId);
            if (size < 0) {
                throw new BpfException("btf__resolve_size", this + ", type " + typeId, (int) -size, null);
            }
            return size;
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    private String string(int offset) {
        try {
            return Native.string((MemorySegment) Calls.STRING.invokeExact(handle, offset));
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    private MemorySegment open() {
        if (Native.isNull(handle)) {
            throw new IllegalStateException("the types of " + of + " are closed");
        }
        return handle;
    }

    /** libbpf has freed the types with their object. */
    void objectClosed() {
        handle = MemorySegment.NULL;
    }

    @Override
    public void close() {
        if (!owned && !Native.isNull(handle)) {
            try {
                Kernel.FREE.invokeExact(handle);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
            handle = MemorySegment.NULL;
        }
    }

    @Override
    public String toString() {
        return "types of " + of;
    }

    /** struct btf_type; the list of members follows it. */
    static final class Type {
        static final StructLayout LAYOUT = MemoryLayout.structLayout(
                        JAVA_INT.withName("name_off"), JAVA_INT.withName("info"), JAVA_INT.withName("size"))
                .withName("btf_type");

        /** Bits 0 to 15 count the members; the sign says that offsets may be those of bit fields. */
        static final long INFO = 4;

        static final long SIZE = 8;
    }

    /** struct btf_member. */
    static final class MemberType {
        static final StructLayout LAYOUT = MemoryLayout.structLayout(
                        JAVA_INT.withName("name_off"), JAVA_INT.withName("type"), JAVA_INT.withName("offset"))
                .withName("btf_member");

        static final long NAME = 0;
        static final long TYPE = 4;

        /** In bits. In a struct that has bit fields, the top 8 bits are the field's width. */
        static final long OFFSET = 8;
    }

    private static final class Calls {
        static final MethodHandle FIND =
                Native.libbpf("btf__find_by_name_kind", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
        static final MethodHandle TYPE_BY_ID = Native.libbpf("btf__type_by_id", Native.POINTER_FROM_POINTER_INT);
        static final MethodHandle STRING = Native.libbpf("btf__name_by_offset", Native.POINTER_FROM_POINTER_INT);
        static final MethodHandle RESOLVE_SIZE = Native.libbpf("btf__resolve_size", Native.LONG_FROM_POINTER_INT);
    }

    private static final class Kernel {
        static final MethodHandle LOAD =
                Native.libbpf("btf__load_from_kernel_by_id", FunctionDescriptor.of(ADDRESS, JAVA_INT), Native.ERRNO);
        static final MethodHandle FREE = Native.libbpf("btf__free", Native.VOID_FROM_POINTER);
    }
}
