package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.FutureTask;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class BpfLinkTest {
    private static final int CLONE_NEWNET = 0x40000000;
    private static final int LOOPBACK = 1;
    private static final AttachType CONNECT4 = AttachType.CGROUP_INET4_CONNECT;

    private final TestPlace cgroup = TestPlace.cgroup();
    private final TestPlace bpffs = TestPlace.bpffs();
    private final Fd directory = Syscalls.open(cgroup.path());
    private final BpfObject object = TestObject.loaded("bindings");
    private final BpfProgram allow = object.program("allow");
    private final BpfProgram refuse = object.program("refuse");

    @AfterEach
    void close() {
        object.close();
        directory.close();
        bpffs.close();
        cgroup.close();
    }

    @Test
    void attachCgroup_runsUntilClosed() throws IOException {
        try (BpfLink link = BpfLink.attachCgroup(allow, directory.number(), CONNECT4)) {
            LinkInfo info = link.info();
            assertThat(info.type()).isEqualTo(LinkInfo.CGROUP);
            assertThat(info.id()).isPositive();
            assertThat(info.programId()).isEqualTo(allow.info().id());
            assertThat(info.cgroupId()).isEqualTo(Files.getAttribute(cgroup.path(), "unix:ino"));
            assertThat(info.attachType()).isEqualTo(CONNECT4.number());
            assertThat(info.ifindex()).isZero();
            assertThat(BpfProgram.attached(directory.number(), CONNECT4, false))
                    .containsExactly(allow.info().id());
        }
        assertThat(BpfProgram.attached(directory.number(), CONNECT4, false)).isEmpty();
    }

    @Test
    void attached_effective_countsWhatIsInherited() throws IOException {
        Files.createDirectory(cgroup.resolve("child"));
        try (BpfLink link = BpfLink.attachCgroup(allow, directory.number(), CONNECT4);
                Fd child = Syscalls.open(cgroup.resolve("child"))) {
            assertThat(link.name()).isEqualTo("allow at CGROUP_INET4_CONNECT");
            assertThat(BpfProgram.attached(child.number(), CONNECT4, false)).isEmpty();
            assertThat(BpfProgram.attached(child.number(), CONNECT4, true))
                    .contains(allow.info().id());
        }
    }

    @Test
    void attachCgroup_ofTheWrongType_namesProgramAndType() {
        BpfException e = catchThrowableOfType(
                BpfException.class,
                () -> BpfLink.attachCgroup(allow, directory.number(), AttachType.CGROUP_INET6_CONNECT));
        assertThat(e.call()).isEqualTo("bpf_link_create");
        assertThat(e.object()).isEqualTo("link allow at CGROUP_INET6_CONNECT");
        assertThat(e.errno()).isEqualTo(Errno.EINVAL);
    }

    @Test
    void pinned_outlivesItsDescriptorAndTakesAnotherProgramInPlace() {
        int linkId;
        try (BpfLink link = BpfLink.attachCgroup(allow, directory.number(), CONNECT4)) {
            link.pin(bpffs.resolve("connect4"));
            linkId = link.info().id();
        }
        try (BpfLink adopted = BpfLink.openPinned(bpffs.resolve("connect4"))) {
            assertThat(adopted.info().id()).isEqualTo(linkId);

            adopted.update(refuse);

            assertThat(adopted.info().id()).isEqualTo(linkId);
            assertThat(adopted.info().programId()).isEqualTo(refuse.info().id());
            assertThat(BpfProgram.attached(directory.number(), CONNECT4, false))
                    .containsExactly(refuse.info().id());
            adopted.unpin(bpffs.resolve("connect4"));
        }
        assertThat(BpfProgram.attached(directory.number(), CONNECT4, false)).isEmpty();
    }

    @Test
    void update_withAProgramOfAnotherType_leavesTheOldOne() {
        try (BpfLink link = BpfLink.attachCgroup(allow, directory.number(), CONNECT4)) {
            assertThatThrownBy(() -> link.update(object.program("add")))
                    .isInstanceOf(BpfException.class)
                    .hasMessage("bpf_link_update, link allow at CGROUP_INET4_CONNECT: EINVAL (Invalid argument)");
            assertThat(link.info().programId()).isEqualTo(allow.info().id());
        }
    }

    @Test
    void detach_endsAPinnedLinkAtOnce() {
        try (BpfLink link = BpfLink.attachCgroup(allow, directory.number(), CONNECT4)) {
            link.pin(bpffs.resolve("connect4"));
            link.detach();
            assertThat(BpfProgram.attached(directory.number(), CONNECT4, false)).isEmpty();
            assertThat(link.info().cgroupId()).isZero();
        }
    }

    @Test
    void create_tcx_attachesToADevice() throws Exception {
        inNewNetworkNamespace(() -> {
            try (BpfLink link = BpfLink.create(object.program("tell"), LOOPBACK, AttachType.TCX_INGRESS)) {
                LinkInfo info = link.info();
                assertThat(info.type()).isEqualTo(LinkInfo.TCX);
                assertThat(info.ifindex()).isEqualTo(LOOPBACK);
                assertThat(info.attachType()).isEqualTo(AttachType.TCX_INGRESS.number());
                assertThat(BpfProgram.attached(LOOPBACK, AttachType.TCX_INGRESS, false))
                        .containsExactly(object.program("tell").info().id());
            }
            assertThat(BpfProgram.attached(LOOPBACK, AttachType.TCX_INGRESS, false))
                    .isEmpty();
        });
    }

    @Test
    void iterate_showsWhatTheProgramWritesOfAMap() {
        BpfMap words = object.map("words");
        try (Arena arena = Arena.ofConfined();
                BpfLink link = BpfLink.iterator(object.program("say"), words)) {
            MemorySegment array = words.mmap(arena);
            for (long index = 0; index < words.maxEntries(); index += 2) {
                array.setAtIndex(JAVA_LONG, index, index + 1);
            }
            for (int times = 0; times < 2; times++) {
                List<Long> written = new ArrayList<>();
                link.iterate(piece -> written.addAll(piece.elements(JAVA_LONG)
                        .map(word -> word.get(JAVA_LONG, 0))
                        .toList()));
                assertThat(written)
                        .isEqualTo(LongStream.iterate(1, word -> word < words.maxEntries(), word -> word + 2)
                                .boxed()
                                .toList());
            }
            assertThat(link.info().type()).isEqualTo(LinkInfo.ITER);
        }
    }

    @Test
    void iterator_overAMapOfAnotherKind_namesTheProgram() {
        BpfException e = catchThrowableOfType(
                BpfException.class, () -> BpfLink.iterator(object.program("say"), object.map("events")));
        assertThat(e).hasMessage("bpf_link_create, link say at TRACE_ITER: EINVAL (Invalid argument)");
    }

    /** On a thread of its own, for it never comes back from there. */
    private static void inNewNetworkNamespace(Runnable test) throws Exception {
        MethodHandle unshare = Native.libc("unshare", Native.INT_FROM_INT);
        FutureTask<Void> task = new FutureTask<>(() -> {
            try {
                assertThat((int) unshare.invokeExact(CLONE_NEWNET)).isZero();
            } catch (Throwable t) {
                throw Native.rethrow(t);
            }
            test.run();
            return null;
        });
        Thread.ofPlatform().start(task);
        task.get();
    }
}
