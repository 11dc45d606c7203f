package io.shunt.testbed;

import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.Syscalls;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A cgroup of a test's own: a directory in the cgroup2 file system. Empty when made; it ends no process. */
public final class Cgroup implements AutoCloseable {
    private final Path path;

    private Cgroup(Path path) {
        this.path = path;
    }

    /** One right below the root. */
    public static Cgroup create(String hint) {
        return create(root(), hint);
    }

    public Cgroup child(String hint) {
        return create(path, hint);
    }

    private static Cgroup create(Path parent, String hint) {
        try {
            return new Cgroup(Files.createDirectory(parent.resolve("shunt-" + hint + "-" + Namespace.unique())));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make a cgroup; this test has to run as root", e);
        }
    }

    /** Where the cgroup2 file system is mounted. */
    public static Path root() {
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

    public Path path() {
        return path;
    }

    /** Attaches a program to it, for as long as the link, which belongs to the caller, is open. */
    public BpfLink attach(BpfProgram program, AttachType type) {
        try (Fd directory = Syscalls.open(path)) {
            return BpfLink.attachCgroup(program, directory.number(), type);
        }
    }

    /**
     * Removes it and the cgroups below it.
     *
     * @throws IllegalStateException if a process is still in one of them
     */
    @Override
    public void close() {
        try (Stream<Path> below = Files.walk(path)) {
            List<Path> deepestFirst = below.filter(Files::isDirectory)
                    .sorted(Comparator.reverseOrder())
                    .toList();
            for (Path directory : deepestFirst) {
                List<String> processes = Files.readAllLines(directory.resolve("cgroup.procs"));
                if (!processes.isEmpty()) {
                    throw new IllegalStateException("still in " + directory + ": processes " + processes);
                }
                Files.delete(directory);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
