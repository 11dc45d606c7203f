package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("kernel")
class SyscallsTest {
    @Test
    void open_missing_namesThePath(@TempDir Path directory) {
        Path missing = directory.resolve("missing");
        BpfException e = catchThrowableOfType(BpfException.class, () -> {
            try (Fd fd = Syscalls.open(missing)) {
                assertThat(fd).isNull();
            }
        });
        assertThat(e).hasMessage("open, " + missing + ": ENOENT (No such file or directory)");
    }

    @Test
    void open_isClosedOnExecAndOnce(@TempDir Path directory) throws IOException {
        Fd fd = Syscalls.open(directory);
        Path entry = Path.of("/proc/self/fdinfo/" + fd.number());
        assertThat(Files.readString(entry)).containsPattern("flags:\\s+0?2\\d{6}\\n");
        fd.close();
        fd.close();
        assertThat(fd.number()).isEqualTo(-1);
    }

    @Test
    void flock_isRefusedToASecondOpenUntilTheFirstCloses(@TempDir Path directory) {
        try (Fd second = Syscalls.open(directory)) {
            try (Fd first = Syscalls.open(directory)) {
                assertThat(Syscalls.flock(first)).isTrue();
                assertThat(Syscalls.flock(first)).isTrue();
                assertThat(Syscalls.flock(second)).isFalse();
            }
            assertThat(Syscalls.flock(second)).isTrue();
        }
    }

    @Test
    void flock_ofAClosedDescriptor_isEbadf(@TempDir Path directory) {
        Fd fd = Syscalls.open(directory);
        fd.close();
        BpfException e = catchThrowableOfType(BpfException.class, () -> Syscalls.flock(fd));
        assertThat(e.errno()).isEqualTo(Errno.EBADF);
    }

    @Test
    void flock_ofBpffs_works() {
        try (TestPlace bpffs = TestPlace.bpffs();
                Fd first = Syscalls.open(bpffs.path());
                Fd second = Syscalls.open(bpffs.path())) {
            assertThat(Syscalls.flock(first)).isTrue();
            assertThat(Syscalls.flock(second)).isFalse();
        }
    }

    @Test
    void fileSystemType_tellsBpffsAndCgroup2(@TempDir Path directory) {
        try (TestPlace bpffs = TestPlace.bpffs()) {
            assertThat(Syscalls.fileSystemType(bpffs.path())).isEqualTo(Syscalls.BPFFS_MAGIC);
        }
        assertThat(Syscalls.fileSystemType(TestPlace.cgroupRoot())).isEqualTo(Syscalls.CGROUP2_MAGIC);
        assertThat(Syscalls.fileSystemType(directory)).isNotIn(Syscalls.BPFFS_MAGIC, Syscalls.CGROUP2_MAGIC);
    }

    @Test
    void mountBpffs_makesADirectoryOneForPins(@TempDir Path directory) throws IOException {
        Syscalls.mountBpffs(directory);
        try (BpfMap map = BpfMap.create("pinned", MapType.HASH, 4, 4, 1, 0)) {
            assertThat(Syscalls.fileSystemType(directory)).isEqualTo(Syscalls.BPFFS_MAGIC);
            map.pin(directory.resolve("pinned"));
        } finally {
            TestObject.run("umount", directory.toString());
        }
    }

    @Test
    void mountBpffs_onNothing_namesTheDirectory(@TempDir Path directory) {
        BpfException e =
                catchThrowableOfType(BpfException.class, () -> Syscalls.mountBpffs(directory.resolve("missing")));
        assertThat(e.call()).isEqualTo("mount");
        assertThat(e.errno()).isEqualTo(Errno.ENOENT);
        assertThat(e.object()).isEqualTo("bpffs at " + directory.resolve("missing"));
    }

    @Test
    void enterNetworkNamespace_takesTheCallingThreadAlone() throws Exception {
        String name = "shunt-enter-" + ProcessHandle.current().pid();
        TestObject.run("ip", "netns", "add", name);
        try {
            Path path = Path.of("/run/netns", name);
            Path own = Path.of("/proc/thread-self/ns/net");
            Path before = Files.readSymbolicLink(own);
            FutureTask<Path> task = new FutureTask<>(() -> {
                try (Fd namespace = Syscalls.open(path)) {
                    Syscalls.enterNetworkNamespace(namespace);
                }
                return Files.readSymbolicLink(own);
            });
            Thread.ofPlatform().start(task);
            assertThat(task.get()).hasToString("net:[" + Files.getAttribute(path, "unix:ino") + "]");
            assertThat(Files.readSymbolicLink(own)).isEqualTo(before);
        } finally {
            TestObject.run("ip", "netns", "delete", name);
        }
    }

    @Test
    void networkNamespaceCookie_isAnotherInAnotherNamespace() throws Exception {
        String name = "shunt-cookie-" + ProcessHandle.current().pid();
        TestObject.run("ip", "netns", "add", name);
        try {
            FutureTask<Long> task = new FutureTask<>(() -> {
                try (Fd namespace = Syscalls.open(Path.of("/run/netns", name))) {
                    Syscalls.enterNetworkNamespace(namespace);
                }
                return Syscalls.networkNamespaceCookie();
            });
            Thread.ofPlatform().start(task);
            assertThat(Syscalls.networkNamespaceCookie()).isPositive().isEqualTo(Syscalls.networkNamespaceCookie());
            assertThat(task.get()).isPositive().isNotEqualTo(Syscalls.networkNamespaceCookie());
        } finally {
            TestObject.run("ip", "netns", "delete", name);
        }
    }

    @Test
    void enterNetworkNamespace_byAFileThatIsNone_namesIt(@TempDir Path directory) {
        try (Fd fd = Syscalls.open(directory)) {
            BpfException e = catchThrowableOfType(BpfException.class, () -> Syscalls.enterNetworkNamespace(fd));
            assertThat(e).hasMessage("setns, " + directory + ": EINVAL (Invalid argument)");
        }
    }

    @Test
    void capabilities_ofRoot_areAll() {
        assertThat(Capability.effective()).contains(Capability.CAP_BPF, Capability.CAP_NET_ADMIN);
    }
}
