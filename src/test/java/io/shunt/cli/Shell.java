package io.shunt.cli;

import io.shunt.daemon.RunOptions;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/** Runs `shunt` commands in this process and keeps what they say. */
final class Shell {
    final Map<String, String> environment = new HashMap<>();

    /** What `shunt run` asked the daemon for, null if it did not get so far. */
    @Nullable
    RunOptions ran;

    ToIntFunction<RunOptions> daemon = options -> {
        ran = options;
        return 0;
    };
    PinnedState pinned = new NothingPinned();
    private StringWriter out = new StringWriter();
    private StringWriter err = new StringWriter();

    int run(String... arguments) {
        out = new StringWriter();
        err = new StringWriter();
        return new CommandTree(environment, daemon, pinned, new PrintWriter(out), new PrintWriter(err))
                .execute(arguments);
    }

    String out() {
        return out.toString();
    }

    String err() {
        return err.toString();
    }

    private static final class NothingPinned implements PinnedState {
        @Override
        public void dump(Path bpfRoot, EntrySink sink) {}

        @Override
        public List<String> cleanup(Path bpfRoot) {
            return List.of();
        }

        @Override
        public void prepare(Path bpfRoot) {}

        @Override
        public void mountCgroup2(Path directory, @Nullable Path mounted) {}
    }
}
