package io.shunt;

import io.shunt.cli.CommandTree;
import io.shunt.daemon.Daemon;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;

/** The `shunt` program. */
public final class Shunt {
    private Shunt() {}

    public static void main(String[] arguments) {
        PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
        PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
        int exitCode = new CommandTree(System.getenv(), Daemon::run, out, err).execute(arguments);
        out.flush();
        err.flush();
        System.exit(exitCode);
    }
}
