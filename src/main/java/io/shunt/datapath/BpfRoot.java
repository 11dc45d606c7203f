package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.Syscalls;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directory in bpffs where one daemon keeps its pins: {@code maps/NAME} and {@code links/NAME}. Beside them the
 * target of the symbolic link {@code layout} says how the maps' keys and values are laid out; the maps' own BTF would
 * say it too, but only to CAP_SYS_ADMIN. Held by a lock on the directory itself, which ends with the process.
 */
final class BpfRoot implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(BpfRoot.class);

    private static final Path BPFFS = Path.of("/sys/fs/bpf");

    private final Path root;
    private final Fd lock;

    private BpfRoot(Path root, Fd lock) {
        this.root = root;
        this.lock = lock;
    }

    /**
     * Makes the directory if need be, mounting bpffs at its usual place if nobody has, and takes its lock.
     *
     * @throws InstallationException if it cannot be in bpffs, or if another daemon holds it
     */
    static BpfRoot open(Path path) {
        Path root = path.toAbsolutePath().normalize();
        Path existing = nearestExisting(root);
        try {
            if (Syscalls.fileSystemType(existing) != Syscalls.BPFFS_MAGIC) {
                if (!existing.equals(BPFFS)) {
                    throw new InstallationException("--bpf-root " + root + " is not in a bpffs: mount one there "
                            + "(mount -t bpf bpf DIR) or choose a directory below " + BPFFS);
                }
                Syscalls.mountBpffs(BPFFS);
                warnIfOwn();
            }
            Files.createDirectories(root.resolve("maps"));
            Files.createDirectories(root.resolve("links"));
        } catch (AccessDeniedException e) {
            throw new InstallationException(
                    "--bpf-root " + root + " cannot be used: permission denied at " + e.getFile() + ": "
                            + (Confinement.isRoot() ? Confinement.cure() : "run as root"),
                    e);
        } catch (FileSystemException e) {
            throw new InstallationException(
                    "--bpf-root " + root + " cannot be used: " + e.getMessage()
                            + ": the bpffs has to be mounted such that directories can be made in it",
                    e);
        } catch (BpfException | IOException e) {
            throw new InstallationException(
                    "--bpf-root " + root + " cannot be used: " + e.getMessage()
                            + ": run as root (or with CAP_SYS_ADMIN) and mount a bpffs at " + BPFFS,
                    e);
        }
        return lock(root);
    }

    /** A mount that nobody shares, as a container's own is, ends with this process, and takes all that is pinned along. */
    private static void warnIfOwn() throws IOException {
        boolean shared = Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
                .anyMatch(line -> line.contains(" " + BPFFS + " ") && line.contains(" shared:"));
        if (!shared) {
            log.warn(
                    "there was no bpffs at {}; the one mounted now may be this container's own, and then Services stop"
                            + " whenever it restarts: mount a bpffs on the host and give it to the container"
                            + " (hostPath {})",
                    BPFFS,
                    BPFFS);
        }
    }

    private static Path nearestExisting(Path path) {
        for (Path each = path; each != null; each = each.getParent()) {
            if (Files.exists(each)) {
                return each;
            }
        }
        return path;
    }

    private static BpfRoot lock(Path root) {
        Fd lock = Syscalls.open(root);
        if (!Syscalls.flock(lock)) {
            lock.close();
            throw new InstallationException("--bpf-root " + root + " is in use by another shunt daemon" + holder(root)
                    + ": stop that one, or choose another --bpf-root and --cgroup-root");
        }
        return new BpfRoot(root, lock);
    }

    /** The holder's process id as far as /proc/locks knows it. */
    private static String holder(Path root) {
        try (Stream<String> locks = Files.lines(Path.of("/proc/locks"))) {
            String inode = ":" + Files.getAttribute(root, "unix:ino") + " ";
            return locks.filter(line -> line.contains("FLOCK") && line.contains(inode))
                    .map(line -> " (process " + line.trim().split("\\s+")[4] + ")")
                    .findFirst()
                    .orElse("");
        } catch (IOException e) {
            return "";
        }
    }

    /** The root of an earlier daemon, locked, or nothing if there is none. */
    static Optional<BpfRoot> openExisting(Path path) {
        Path root = path.toAbsolutePath().normalize();
        return Files.isDirectory(root.resolve("maps")) ? Optional.of(lock(root)) : Optional.empty();
    }

    Path path() {
        return root;
    }

    Path map(String name) {
        return root.resolve("maps").resolve(name);
    }

    Path link(String name) {
        return root.resolve("links").resolve(name);
    }

    List<Path> maps() throws IOException {
        return list("maps");
    }

    List<Path> links() throws IOException {
        return list("links");
    }

    private List<Path> list(String directory) throws IOException {
        try (Stream<Path> files = Files.list(root.resolve(directory))) {
            return files.sorted().toList();
        }
    }

    /** What {@link #setLayout} said last, "" if it was never called. */
    String layout() throws IOException {
        Path link = layoutLink();
        return Files.isSymbolicLink(link) ? Files.readSymbolicLink(link).toString() : "";
    }

    void setLayout(String layout) throws IOException {
        Files.deleteIfExists(layoutLink());
        Files.createSymbolicLink(layoutLink(), Path.of(layout));
    }

    private Path layoutLink() {
        return root.resolve("layout");
    }

    /** Removes the directory, which holds no pins any more. */
    void delete() throws IOException {
        Files.deleteIfExists(layoutLink());
        Files.delete(root.resolve("links"));
        Files.delete(root.resolve("maps"));
        Files.delete(root);
    }

    @Override
    public void close() {
        lock.close();
    }
}
