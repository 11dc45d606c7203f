package io.shunt.libbpf;

import org.jspecify.annotations.Nullable;

/** A call into libbpf or the kernel that failed. The message names the call, what it was about, and why it failed. */
public class BpfException extends RuntimeException {
    private final String call;
    private final String object;
    private final Errno errno;

    /**
     * @param call the C function, such as bpf_map_update_elem
     * @param object what it was called for, such as "map frontends"
     * @param errno positive
     * @param detail what else is known, or null
     */
    BpfException(String call, String object, int errno, @Nullable String detail) {
        super(call + ", " + object + ": " + Errno.of(errno) + (detail == null ? "" : ": " + detail));
        this.call = call;
        this.object = object;
        this.errno = Errno.of(errno);
    }

    /** Gives back {@code result} unless it is a negated errno. The object's text is only made for the exception. */
    static int check(int result, String call, Object object) {
        if (result < 0) {
            throw new BpfException(call, object.toString(), -result, null);
        }
        return result;
    }

    public final String call() {
        return call;
    }

    public final String object() {
        return object;
    }

    public final Errno errno() {
        return errno;
    }
}
