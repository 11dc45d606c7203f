package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MountTableTest {
    @TempDir
    private Path directory;

    private MountTable table(String... lines) throws IOException {
        return new MountTable(Files.writeString(directory.resolve("mounts"), String.join("\n", lines) + "\n"));
    }

    @Test
    void cgroup2_isFoundBesideCgroup1() throws IOException {
        assertThat(table(
                                "proc /proc proc rw 0 0",
                                "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0",
                                "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0")
                        .cgroup2())
                .contains(Path.of("/sys/fs/cgroup/unified"));
    }

    @Test
    void usualPlace_isTakenBeforeOthers() throws IOException {
        assertThat(table("none /mnt/cg cgroup2 rw 0 0", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0")
                        .cgroup2())
                .contains(Path.of("/sys/fs/cgroup"));
    }

    @Test
    void blanksAndBackslashes_areReadAsTheKernelWritesThem() throws IOException {
        assertThat(table("none /mnt/a\\040b\\134c cgroup2 rw 0 0").cgroup2()).contains(Path.of("/mnt/a b\\c"));
    }

    @Test
    void none_isEmpty() throws IOException {
        assertThat(table("proc /proc proc rw 0 0", "x").cgroup2()).isEmpty();
    }
}
