package io.shunt.daemon;

/** The daemon cannot start; the message is one line that names the flag or file at fault and the cure. */
public final class StartupException extends RuntimeException {
    private static final int FAILURE = 1;
    private static final int CONFIGURATION = 2;

    private final int exitCode;

    /** The surroundings are at fault: what was asked for may work later, or on another machine. */
    public StartupException(String message) {
        this(message, FAILURE);
    }

    /** As {@link #StartupException(String)}. */
    public StartupException(String message, Throwable cause) {
        super(message, cause);
        exitCode = FAILURE;
    }

    private StartupException(String message, int exitCode) {
        super(message);
        this.exitCode = exitCode;
    }

    /** A flag or file is at fault: trying again without changing it will not help. */
    public static StartupException configuration(String message) {
        return new StartupException(message, CONFIGURATION);
    }

    /** What the process should exit with: 2 if a flag or file has to change, 1 otherwise. */
    public int exitCode() {
        return exitCode;
    }
}
