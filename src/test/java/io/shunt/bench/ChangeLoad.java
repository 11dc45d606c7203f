package io.shunt.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Changes one endpoint each in many slices a second until it is closed, by rewriting whole files of slices, one after
 * the other. A daemon may lag behind; what it really took in, only its metrics say.
 */
final class ChangeLoad implements AutoCloseable {
    /** So many files are enough that none is written again before it was read. */
    private static final int MOST_FILES = 40;

    private final List<Cluster.SliceFile> files;
    private final String[][] versions;
    private final long periodNanos;
    private final Thread thread = Thread.ofPlatform().name("change-load").unstarted(this::run);
    private volatile boolean closed;
    private volatile @Nullable IOException failure;

    /** @param perSecond slices a second */
    ChangeLoad(Cluster cluster, List<Cluster.SliceFile> allFiles, int perSecond) {
        files = allFiles.subList(0, Math.min(MOST_FILES, allFiles.size()));
        versions = new String[2][files.size()];
        for (int version = 0; version < 2; version++) {
            for (int i = 0; i < files.size(); i++) {
                int of = version;
                versions[version][i] = Cluster.Format.JSON.list(files.get(i).services().stream()
                        .map(service -> cluster.slice(service, of))
                        .toList());
            }
        }
        periodNanos = 1_000_000_000L * files.getFirst().services().size() / perSecond;
        thread.start();
    }

    private void run() {
        try {
            long next = System.nanoTime();
            for (int i = 0; !closed; i++) {
                int file = i % files.size();
                int version = (i / files.size() + 1) % 2;
                replace(files.get(file).path(), versions[version][file]);
                next += periodNanos;
                while (!closed && System.nanoTime() - next < 0) {
                    LockSupport.parkNanos(next - System.nanoTime());
                }
            }
        } catch (IOException e) {
            failure = e;
        }
    }

    static void replace(Path file, String text) throws IOException {
        Path beside = file.resolveSibling("." + file.getFileName());
        Files.writeString(beside, text);
        Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(thread);
        boolean interrupted = Thread.interrupted();
        try {
            thread.join();
        } catch (InterruptedException e) {
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (failure != null) {
            throw new UncheckedIOException(failure);
        }
    }
}
