package io.shunt.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A directory for manifests and rule sets, deleted with all that is in it. */
final class Workspace implements AutoCloseable {
    private final Path path;

    Workspace() throws IOException {
        path = Files.createTempDirectory("shunt-bench-");
    }

    Path path() {
        return path;
    }

    @Override
    public void close() {
        try (Stream<Path> below = Files.walk(path)) {
            List<Path> deepestFirst = below.sorted(Comparator.reverseOrder()).toList();
            for (Path each : deepestFirst) {
                Files.delete(each);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
