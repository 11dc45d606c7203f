package io.shunt.testbed;

/** A system call of the traffic program failed. */
public final class CallFailedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String errno;

    CallFailedException(String command, String errno) {
        super(command + ": " + errno);
        this.errno = errno;
    }

    /** Its name, such as ECONNREFUSED. */
    public String errno() {
        return errno;
    }
}
