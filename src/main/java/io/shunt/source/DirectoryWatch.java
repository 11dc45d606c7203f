package io.shunt.source;

import static java.nio.file.StandardWatchEventKinds.ENTRY_CREATE;
import static java.nio.file.StandardWatchEventKinds.ENTRY_DELETE;
import static java.nio.file.StandardWatchEventKinds.ENTRY_MODIFY;

import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Path;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** Hears which names of one directory change (inotify). It follows the directory's inode, not its path. */
final class DirectoryWatch implements AutoCloseable {
    private final WatchService service;

    /** @throws IOException if the directory is not there, or the kernel has no inotify instance left for us */
    DirectoryWatch(Path directory) throws IOException {
        service = directory.getFileSystem().newWatchService();
        try {
            directory.register(service, ENTRY_CREATE, ENTRY_MODIFY, ENTRY_DELETE);
        } catch (IOException e) {
            service.close();
            throw e;
        }
    }

    /** What changed: those names, or {@code everything} if it cannot tell. */
    record Changes(Set<String> names, boolean everything) {}

    /**
     * Waits until something changes, and no longer than {@code timeout}.
     *
     * @throws ClosedWatchServiceException if it was closed
     */
    Changes await(Duration timeout) throws InterruptedException {
        Set<String> names = new HashSet<>();
        boolean everything = false;
        WatchKey key = service.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
        while (key != null) {
            for (WatchEvent<?> event : key.pollEvents()) {
                if (event.context() instanceof Path name) {
                    names.add(name.toString());
                } else {
                    everything = true;
                }
            }
            everything |= !key.reset();
            key = service.poll();
        }
        return new Changes(names, everything);
    }

    @Override
    public void close() throws IOException {
        service.close();
    }
}
