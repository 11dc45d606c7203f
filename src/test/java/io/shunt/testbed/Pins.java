package io.shunt.testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A directory of a test's own in the bpffs, for a daemon to pin in. It is not made: the daemon makes it. */
public final class Pins implements AutoCloseable {
    private static final Path BPFFS = Path.of("/sys/fs/bpf");

    private final Path path;

    private Pins(Path path) {
        this.path = path;
    }

    public static Pins create(String hint) {
        return new Pins(BPFFS.resolve("shunt-" + hint + "-" + Namespace.unique()));
    }

    public Path path() {
        return path;
    }

    /** Unpins everything, which ends all that no process holds open. */
    @Override
    public void close() {
        if (!Files.exists(path)) {
            return;
        }
        try (Stream<Path> below = Files.walk(path)) {
            List<Path> deepestFirst = below.sorted(Comparator.reverseOrder()).toList();
            for (Path each : deepestFirst) {
                Files.delete(each);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot unpin " + path, e);
        }
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
