package io.shunt.libbpf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/** A directory of a test's own in bpffs or cgroup2, removed with all that is pinned in it. */
final class TestPlace implements AutoCloseable {
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final Path path;

    private TestPlace(Path root) {
        path = root.resolve("shunt-bindings-" + ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet());
        try {
            Files.createDirectory(path);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static TestPlace bpffs() {
        Path root = Path.of("/sys/fs/bpf");
        if (Syscalls.fileSystemType(root) != Syscalls.BPFFS_MAGIC) {
            Syscalls.mountBpffs(root);
        }
        return new TestPlace(root);
    }

    static TestPlace cgroup() {
        return new TestPlace(cgroupRoot());
    }

    static Path cgroupRoot() {
        try (Stream<String> mounts = Files.lines(Path.of("/proc/self/mounts"))) {
            return mounts.map(line -> line.split(" "))
                    .filter(fields -> fields[2].equals("cgroup2"))
                    .map(fields -> Path.of(fields[1]))
                    .findFirst()
                    .orElseThrow(() -> new IllegalStateException("no cgroup2 file system is mounted"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Path path() {
        return path;
    }

    Path resolve(String name) {
        return path.resolve(name);
    }

    /** A cgroup's own files cannot be removed, nor need they be; its child cgroups are directories. */
    @Override
    public void close() {
        try {
            boolean bpffs = Syscalls.fileSystemType(path) == Syscalls.BPFFS_MAGIC;
            try (Stream<Path> children = Files.list(path)) {
                for (Path child : children.toList()) {
                    if (bpffs || Files.isDirectory(child)) {
                        Files.delete(child);
                    }
                }
            }
            Files.delete(path);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
