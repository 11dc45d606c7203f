package io.shunt.libbpf;

import java.lang.invoke.MethodHandle;

/** An open file descriptor, closed on exec. Belongs to whoever opened it. */
public final class Fd implements AutoCloseable {
    private static final MethodHandle CLOSE = Native.libc("close", Native.INT_FROM_INT);

    private final String what;
    private int number;

    Fd(int number, String what) {
        this.number = number;
        this.what = what;
    }

    /** The descriptor's number; -1, which every call refuses with EBADF, after {@link #close}. */
    public int number() {
        return number;
    }

    @Override
    public void close() {
        int open = number;
        number = -1;
        if (open >= 0) {
            close(open);
        }
    }

    /** Linux frees the number whatever close returns, and nothing here writes data that could be lost. */
    static void close(int number) {
        try {
            int ignored = (int) CLOSE.invokeExact(number);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }

    @Override
    public String toString() {
        return what;
    }
}
