package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A compiled file of maps and programs. Opened, it can be looked at and changed; loaded, its maps and programs are in
 * the kernel. Belongs to whoever opened it; closing it closes its maps and programs, of which those live on that are
 * pinned or attached. For one thread at a time.
 */
public final class BpfObject implements AutoCloseable {
    /** The call by which the kernel gets maps and programs, as {@link BpfException#call} names it. */
    public static final String LOAD = "bpf_object__load";

    private final String name;
    private final Map<String, BpfMap> maps;
    private final Map<String, BpfProgram> programs;
    private MemorySegment handle;
    private @Nullable Btf btf;

    private BpfObject(String name, MemorySegment handle) {
        this.name = name;
        this.handle = handle;
        this.maps = members(handle, Calls.NEXT_MAP, BpfMap::of, BpfMap::name);
        this.programs = members(handle, Calls.NEXT_PROGRAM, BpfProgram::of, BpfProgram::name);
    }

    /**
     * Reads an object file; nothing goes to the kernel yet.
     *
     * @param name what to call it in messages and in the names of its data sections
     * @param elf what clang wrote, with BTF
     */
    public static BpfObject open(String name, byte[] elf) {
        LibbpfLog.install();
        try (Arena arena = Arena.ofConfined();
                LibbpfLog.Said said = LibbpfLog.listen()) {
            MemorySegment image = arena.allocateFrom(JAVA_BYTE, elf);
            MemorySegment options = arena.allocate(Open.OPTIONS);
            options.set(JAVA_LONG, 0, Open.OPTIONS.byteSize());
            options.set(ADDRESS, Open.NAME, arena.allocateFrom(name));
            MemorySegment errno = Native.errnoState(arena);
            MemorySegment handle = (MemorySegment) Open.CALL.invokeExact(errno, image, (long) elf.length, options);
            if (Native.isNull(handle)) {
                throw new BpfException("bpf_object__open_mem", "object " + name, Native.errno(errno), said.take());
            }
            return new BpfObject(name, handle);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    public String name() {
        return name;
    }

    /**
     * A map by its name; a global data section also by that of its section, such as ".rodata".
     *
     * @throws IllegalArgumentException if there is none
     */
    public BpfMap map(String mapName) {
        for (Map.Entry<String, BpfMap> map : maps.entrySet()) {
            if (map.getKey().equals(mapName)
                    || (mapName.startsWith(".") && map.getKey().endsWith(mapName))) {
                return map.getValue();
            }
        }
        throw new IllegalArgumentException(this + " has no map " + mapName + " but " + maps.keySet());
    }

    public Collection<BpfMap> maps() {
        return maps.values();
    }

    /**
     * Makes this object, not loaded yet, use maps of others in place of its own of the same names. Global data sections
     * stay each object's own.
     *
     * @return the names of those that it shares now
     * @throws LayoutMismatchException if it expects one to be different
     */
    public Set<String> share(Collection<BpfMap> others) {
        Set<String> shared = new HashSet<>();
        for (BpfMap other : others) {
            BpfMap own = maps.get(other.name());
            if (own != null && other.name().indexOf('.') < 0) {
                own.reuse(other);
                shared.add(other.name());
            }
        }
        return shared;
    }

    /**
     * A program by the name of its C function.
     *
     * @throws IllegalArgumentException if there is none
     */
    public BpfProgram program(String programName) {
        BpfProgram program = programs.get(programName);
        if (program == null) {
            throw new IllegalArgumentException(this + " has no program " + programName + " but " + programs.keySet());
        }
        return program;
    }

    public Collection<BpfProgram> programs() {
        return programs.values();
    }

    /** The types that the file was compiled with. Belongs to this object and is gone when it is closed. */
    public Btf btf() {
        if (btf == null) {
            MemorySegment types;
            try {
                types = (MemorySegment) Calls.BTF.invokeExact(handle);
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
            if (Native.isNull(types)) {
                throw new BpfException(
                        "bpf_object__btf",
                        toString(),
                        Errno.ENOENT.number(),
                        "it is closed or was compiled without -g");
            }
            btf = Btf.of(types, toString());
        }
        return btf;
    }

    /**
     * Creates the maps that do not reuse one, and loads the programs. After a failure the object is good for nothing
     * but {@link #close}.
     *
     * @throws VerifierException if the verifier refuses a program; it carries the verifier's log
     * @throws BpfException for all else, with what libbpf said
     */
    public void load() {
        // Programs are first loaded without a log. Only for one that is refused does libbpf ask again, with a log that
        // grows as need be, and print it.
        try (LibbpfLog.Said said = LibbpfLog.listen()) {
            int result = (int) Calls.LOAD.invokeExact(handle);
            if (result < 0) {
                throw refusal(result, said.take());
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        maps.values().forEach(BpfMap::loaded);
        programs.values().forEach(BpfProgram::loaded);
    }

    private BpfException refusal(int result, @Nullable String said) {
        LibbpfLog.@Nullable ProgramLog log = said == null ? null : LibbpfLog.ProgramLog.in(said);
        return log == null
                ? new BpfException(LOAD, toString(), -result, said)
                : new VerifierException(LOAD, "program " + log.program(), -result, log.text());
    }

    @Override
    public void close() {
        if (Native.isNull(handle)) {
            return;
        }
        maps.values().forEach(KernelObject::objectClosed);
        programs.values().forEach(KernelObject::objectClosed);
        if (btf != null) {
            btf.objectClosed();
            btf = null;
        }
        try {
            Close.CALL.invokeExact(handle);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        handle = MemorySegment.NULL;
    }

    @Override
    public String toString() {
        return "object " + name;
    }

    private static <T> Map<String, T> members(
            MemorySegment object,
            MethodHandle next,
            Function<MemorySegment, T> constructor,
            Function<T, String> memberName) {
        Map<String, T> members = new LinkedHashMap<>();
        try {
            MemorySegment member = (MemorySegment) next.invokeExact(object, MemorySegment.NULL);
            while (!Native.isNull(member)) {
                T made = constructor.apply(member);
                members.put(memberName.apply(made), made);
                member = (MemorySegment) next.invokeExact(object, member);
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        return Collections.unmodifiableMap(members);
    }

    static final class Open {
        /** The beginning of struct bpf_object_open_opts, which may end anywhere. */
        static final StructLayout OPTIONS = MemoryLayout.structLayout(
                        JAVA_LONG.withName("sz"), ADDRESS.withName("object_name"))
                .withName("bpf_object_open_opts");

        static final long NAME = OPTIONS.byteOffset(PathElement.groupElement("object_name"));
        static final MethodHandle CALL = Native.libbpf(
                "bpf_object__open_mem", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_LONG, ADDRESS), Native.ERRNO);
    }

    private static final class Calls {
        static final MethodHandle NEXT_MAP = Native.libbpf("bpf_object__next_map", Native.POINTER_FROM_POINTER_POINTER);
        static final MethodHandle NEXT_PROGRAM =
                Native.libbpf("bpf_object__next_program", Native.POINTER_FROM_POINTER_POINTER);
        static final MethodHandle BTF = Native.libbpf("bpf_object__btf", Native.POINTER_FROM_POINTER);
        static final MethodHandle LOAD = Native.libbpf("bpf_object__load", Native.INT_FROM_POINTER);
    }

    private static final class Close {
        static final MethodHandle CALL = Native.libbpf("bpf_object__close", Native.VOID_FROM_POINTER);
    }
}
