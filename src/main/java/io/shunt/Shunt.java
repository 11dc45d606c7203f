package io.shunt;

import io.shunt.cli.CommandTree;
import io.shunt.cli.PinnedState;
import io.shunt.daemon.Daemon;
import io.shunt.daemon.StartupException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** The `shunt` program. */
public final class Shunt {
    private Shunt() {}

    public static void main(String[] arguments) {
        PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
        PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
        int exitCode = new CommandTree(System.getenv(), Daemon::run, new NoPinnedState(), out, err).execute(arguments);
        out.flush();
        err.flush();
        System.exit(exitCode);
    }

    private static final class NoPinnedState implements PinnedState {
        @Override
        public void dump(Path bpfRoot, EntrySink sink) {
            throw new StartupException("this build cannot read " + bpfRoot);
        }

        @Override
        public List<String> cleanup(Path bpfRoot) {
            throw new StartupException("this build cannot clean up " + bpfRoot);
        }
    }
}
