package io.shunt.daemon;

/** The daemon cannot start; the message is one line that names the flag or file at fault and the cure. */
public final class StartupException extends RuntimeException {
    public StartupException(String message) {
        super(message);
    }

    public StartupException(String message, Throwable cause) {
        super(message, cause);
    }
}
