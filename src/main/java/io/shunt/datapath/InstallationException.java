package io.shunt.datapath;

/** The programs or maps cannot be installed on this node; the message is one line that names the cause and the cure. */
public final class InstallationException extends RuntimeException {
    InstallationException(String message) {
        super(message);
    }

    InstallationException(String message, Throwable cause) {
        super(message, cause);
    }
}
