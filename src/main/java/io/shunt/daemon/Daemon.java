package io.shunt.daemon;

/** The node daemon. */
public final class Daemon {
    private Daemon() {}

    /**
     * Runs until it is told to stop.
     *
     * @return the process's exit code
     * @throws StartupException if it cannot start
     */
    public static int run(RunOptions options) {
        throw new StartupException("the daemon is not part of this build: " + options.source());
    }
}
