package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Syscalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The directory of cgroup2 whose sockets are translated. */
final class CgroupRoot {
    private CgroupRoot() {}

    static boolean isCgroup2(Path directory) {
        return Files.isDirectory(directory) && Syscalls.fileSystemType(directory) == Syscalls.CGROUP2_MAGIC;
    }

    /**
     * Mounts cgroup2 at an empty directory, unless the directory is of cgroup2 already.
     *
     * @param mounted where it is mounted whole, to be mounted from there; null: nowhere in sight
     * @throws InstallationException if it cannot be mounted there
     */
    static void mount(Path directory, @Nullable Path mounted) {
        if (isCgroup2(directory)) {
            return;
        }
        try {
            if (!isEmptyDirectory(directory)) {
                throw new InstallationException("--cgroup-root " + directory + " is neither a cgroup2 directory nor an"
                        + " empty one, where cgroup2 could be mounted: name one of the two, as /run/shunt/cgroupv2");
            }
            if (mounted == null) {
                Syscalls.mountCgroup2(directory);
            } else {
                Syscalls.bind(mounted, directory);
            }
        } catch (BpfException | IOException e) {
            throw new InstallationException(
                    "--cgroup-root " + directory + ": no cgroup2 can be mounted there: " + e.getMessage()
                            + ": run this as root (or with CAP_SYS_ADMIN), in a container as a privileged one, or mount it"
                            + " yourself (mount -t cgroup2 none DIR)",
                    e);
        }
    }

    private static boolean isEmptyDirectory(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            return false;
        }
        try (Stream<Path> files = Files.list(directory)) {
            return files.findAny().isEmpty();
        }
    }
}
