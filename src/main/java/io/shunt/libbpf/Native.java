package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Links C functions, and carries what crosses the border: strings, errno and exceptions. */
final class Native {
    static final FunctionDescriptor INT_FROM_INT = FunctionDescriptor.of(JAVA_INT, JAVA_INT);
    static final FunctionDescriptor INT_FROM_POINTER = FunctionDescriptor.of(JAVA_INT, ADDRESS);
    static final FunctionDescriptor INT_FROM_POINTER_INT = FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT);
    static final FunctionDescriptor INT_FROM_POINTER_POINTER = FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS);
    static final FunctionDescriptor INT_FROM_INT_POINTER = FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS);
    static final FunctionDescriptor INT_FROM_INT_POINTER_POINTER =
            FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    static final FunctionDescriptor LONG_FROM_POINTER_INT = FunctionDescriptor.of(JAVA_LONG, ADDRESS, JAVA_INT);
    static final FunctionDescriptor POINTER_FROM_POINTER = FunctionDescriptor.of(ADDRESS, ADDRESS);
    static final FunctionDescriptor POINTER_FROM_POINTER_INT = FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT);
    static final FunctionDescriptor POINTER_FROM_POINTER_POINTER = FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS);
    static final FunctionDescriptor VOID_FROM_POINTER = FunctionDescriptor.ofVoid(ADDRESS);

    /** Makes the handle take, first of all, a segment of {@link #errnoState} that receives errno. */
    static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");

    private static final VarHandle ERRNO_VALUE =
            Linker.Option.captureStateLayout().varHandle(PathElement.groupElement("errno"));

    private static final Linker LINKER = Linker.nativeLinker();

    private Native() {}

    /** A function of libbpf. Where it is missing the handle throws {@link LibraryMissingException} when called. */
    static MethodHandle libbpf(String function, FunctionDescriptor type, Linker.Option... options) {
        if (Libbpf.SYMBOLS == null) {
            return missing(
                    type,
                    options,
                    Libbpf.NAME + " was not found: install libbpf 1.0 or newer (Debian: apt install libbpf1)");
        }
        Optional<MemorySegment> address = Libbpf.SYMBOLS.find(function);
        return address.isPresent()
                ? LINKER.downcallHandle(address.get(), type, options)
                : missing(type, options, Libbpf.NAME + " has no " + function + ": install libbpf 1.0 or newer");
    }

    static MethodHandle libc(String function, FunctionDescriptor type, Linker.Option... options) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(function), type, options);
    }

    static MemorySegment upcall(MethodHandle target, FunctionDescriptor type, Arena arena) {
        return LINKER.upcallStub(target, type, arena);
    }

    static MemorySegment errnoState(SegmentAllocator arena) {
        return arena.allocate(Linker.Option.captureStateLayout());
    }

    static int errno(MemorySegment state) {
        return (int) ERRNO_VALUE.get(state, 0L);
    }

    /** The C string at an address, or "" for NULL. */
    static String string(MemorySegment address) {
        return isNull(address) ? "" : address.reinterpret(Long.MAX_VALUE).getString(0);
    }

    static boolean isNull(MemorySegment address) {
        return address.address() == 0;
    }

    static MemorySegment orNull(@Nullable MemorySegment segment) {
        return segment == null ? MemorySegment.NULL : segment;
    }

    /** What to throw for a Throwable that an invokeExact declares but only a fault in these bindings can cause. */
    static RuntimeException rethrow(Throwable thrown) {
        if (thrown instanceof RuntimeException unchecked) {
            return unchecked;
        }
        if (thrown instanceof Error error) {
            throw error;
        }
        return new IllegalStateException(thrown);
    }

    private static MethodHandle missing(FunctionDescriptor type, Linker.Option[] options, String message) {
        MethodType method = type.toMethodType();
        if (options.length > 0) {
            method = method.insertParameterTypes(0, MemorySegment.class);
        }
        MethodHandle thrower = MethodHandles.throwException(method.returnType(), LibraryMissingException.class);
        MethodHandle exception = MethodHandles.insertArguments(Libbpf.NEW_EXCEPTION, 0, message);
        return MethodHandles.dropArguments(MethodHandles.foldArguments(thrower, exception), 0, method.parameterList());
    }

    /** The library itself, looked up once. An error here must not become one of class initialization. */
    private static final class Libbpf {
        static final String NAME = System.getProperty("shunt.libbpf", "libbpf.so.1");
        static final @Nullable SymbolLookup SYMBOLS = open();
        static final MethodHandle NEW_EXCEPTION = exceptionConstructor();

        private static @Nullable SymbolLookup open() {
            try {
                return SymbolLookup.libraryLookup(NAME, Arena.global());
            } catch (IllegalArgumentException notFound) {
                return null;
            }
        }

        private static MethodHandle exceptionConstructor() {
            try {
                return MethodHandles.lookup()
                        .findConstructor(
                                LibraryMissingException.class, MethodType.methodType(void.class, String.class));
            } catch (ReflectiveOperationException e) {
                throw new LinkageError("LibraryMissingException(String)", e);
            }
        }
    }
}
