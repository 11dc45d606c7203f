package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What libbpf prints goes to the SLF4J logger "libbpf": its warnings as warnings, its information as debug, its debug
 * as trace. While a thread listens, the warnings it causes are kept for the exception that may follow.
 */
public final class LibbpfLog {
    private static final int WARN = 0;
    private static final int INFO = 1;

    private static final Logger LOG = LoggerFactory.getLogger("libbpf");
    private static final ThreadLocal<@Nullable Said> LISTENER = new ThreadLocal<>();

    private LibbpfLog() {}

    /** Makes libbpf print here, for the rest of the process. {@link BpfObject#open} does so itself; again is no harm. */
    public static void install() {
        Installed.now();
    }

    /** Keeps this thread's warnings until closed. Not nested. */
    static Said listen() {
        Said said = new Said();
        LISTENER.set(said);
        return said;
    }

    /** The warnings of one thread. Those nobody has taken when it is closed are logged after all. */
    static final class Said implements AutoCloseable {
        private final StringBuilder text = new StringBuilder();

        /** All that was said, or null if nothing was. */
        @Nullable
        String take() {
            String all = text.toString().strip();
            text.setLength(0);
            return all.isEmpty() ? null : all;
        }

        @Override
        public void close() {
            LISTENER.remove();
            String left = take();
            if (left != null) {
                LOG.warn("{}", left);
            }
        }
    }

    /** The verifier's log for a program, in between the marks that libbpf prints around it. */
    record ProgramLog(String program, String text) {
        private static final String BEGIN = "': -- BEGIN PROG LOAD LOG --\n";
        private static final String END = "-- END PROG LOAD LOG --";

        static @Nullable ProgramLog in(String said) {
            int begin = said.indexOf(BEGIN);
            int end = said.indexOf(END, begin);
            if (begin < 0 || end < 0) {
                return null;
            }
            String program = said.substring(said.lastIndexOf('\'', begin - 1) + 1, begin);
            return new ProgramLog(program, said.substring(begin + BEGIN.length(), end));
        }
    }

    /** libbpf_print_fn_t, called from C. An exception that left it would end the process. */
    @SuppressWarnings("UnusedMethod")
    private static int print(int level, MemorySegment format, MemorySegment arguments) {
        try {
            Said listener = LISTENER.get();
            if (level == WARN) {
                String text = format(format, arguments);
                if (listener != null) {
                    listener.text.append(text);
                } else {
                    LOG.warn("{}", text.strip());
                }
            } else if (level == INFO && LOG.isDebugEnabled()) {
                LOG.debug("{}", format(format, arguments).strip());
            } else if (LOG.isTraceEnabled()) {
                LOG.trace("{}", format(format, arguments).strip());
            }
            return 0;
        } catch (Throwable t) {
            return 0;
        }
    }

    /** A va_list can be read only once, so its copy serves to find the length. */
    private static String format(MemorySegment format, MemorySegment arguments) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate(Formatting.VA_LIST_BYTES, Long.BYTES);
            copy.copyFrom(arguments.reinterpret(Formatting.VA_LIST_BYTES));
            int length = (int) Formatting.VSNPRINTF.invokeExact(MemorySegment.NULL, 0L, format, copy);
            MemorySegment text = arena.allocate(length + 1L);
            int ignored = (int) Formatting.VSNPRINTF.invokeExact(text, length + 1L, format, arguments);
            return text.getString(0);
        }
    }

    static final class Formatting {
        /** Its size in the System V ABI and in AAPCS64; both pass a va_list as its address. */
        static final long VA_LIST_BYTES = System.getProperty("os.arch").equals("amd64") ? 24 : 32;

        static final MethodHandle VSNPRINTF =
                Native.libc("vsnprintf", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    }

    private static final class Installed {
        static {
            try {
                MethodHandle print = MethodHandles.lookup()
                        .findStatic(
                                LibbpfLog.class,
                                "print",
                                MethodType.methodType(int.class, int.class, MemorySegment.class, MemorySegment.class));
                MemorySegment callback = Native.upcall(
                        print, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS), Arena.global());
                MethodHandle setPrint = Native.libbpf("libbpf_set_print", Native.POINTER_FROM_POINTER);
                MemorySegment ignored = (MemorySegment) setPrint.invokeExact(callback);
            } catch (LibraryMissingException e) {
                // Nothing will be printed then, and the next call says what is missing.
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
        }

        static void now() {}
    }
}
