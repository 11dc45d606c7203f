package io.shunt.libbpf;

/** A batch that the kernel broke off. What came before the failure is done, what comes after is not. */
public final class BatchException extends BpfException {
    private final int done;

    BatchException(String call, String object, int errno, int done, int count) {
        super(call, object, errno, "after " + done + " of " + count);
        this.done = done;
    }

    /** How many elements were done; the one with this index failed. */
    public int done() {
        return done;
    }
}
