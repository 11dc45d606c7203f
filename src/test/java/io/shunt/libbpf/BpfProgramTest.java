package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class BpfProgramTest {
    private final Arena arena = Arena.ofConfined();
    private final BpfObject object = TestObject.loaded("bindings");
    private final BpfProgram add = object.program("add");

    @AfterEach
    void close() {
        object.close();
        arena.close();
    }

    @Test
    void info_tellsWhatWasLoaded() {
        ProgramInfo info = add.info();
        assertThat(info.name()).isEqualTo("add");
        assertThat(info.id()).isPositive();
        assertThat(info.tag()).matches("[0-9a-f]{16}").isNotEqualTo("0000000000000000");
        assertThat(info.verifiedInstructions()).isBetween(10, 1_000);
        assertThat(info.btfId()).isPositive();
        assertThat(info.loadTimeNanos()).isPositive();
    }

    @Test
    void testRun_givesRetvalSizeAndPacket() {
        MemorySegment words = object.map("words").mmap(arena);
        words.set(JAVA_LONG, 0, 5);
        MemorySegment packet = arena.allocate(60);
        MemorySegment out = arena.allocate(100);

        BpfProgram.TestRun run = add.testRun(packet, out, null, 1);

        assertThat(run.retval()).isEqualTo(6);
        assertThat(run.size()).isEqualTo(60);
        assertThat(out.get(JAVA_BYTE, 0)).isEqualTo((byte) 6);
        assertThat(packet.get(JAVA_BYTE, 0)).isZero();
        assertThat(words.getAtIndex(JAVA_LONG, 1)).isEqualTo(6);
    }

    @Test
    void testRun_repeated_runsThatOften() {
        BpfProgram.TestRun run = add.testRun(arena.allocate(60), null, null, 1_000);
        assertThat(run.durationNanos()).isPositive();
        MemorySegment counts = arena.allocate(object.map("counts").valueBytes(), 8);
        assertThat(object.map("counts").lookup(arena.allocateFrom(JAVA_INT, 0), counts))
                .isTrue();
        int runs = 0;
        for (int cpu = 0; cpu < Cpus.possible(); cpu++) {
            runs += counts.get(JAVA_INT, 16L * cpu);
        }
        assertThat(runs).isEqualTo(1_000);
    }

    @Test
    void testRun_withTooLittleRoomForThePacket_isEnospc() {
        BpfException e = catchThrowableOfType(
                BpfException.class, () -> add.testRun(arena.allocate(60), arena.allocate(20), null, 1));
        assertThat(e).hasMessage("bpf_prog_test_run_opts, program add: ENOSPC (No space left on device)");
    }

    @Test
    void testRun_ofAProgramTypeWithout_isRefused() {
        BpfException e = catchThrowableOfType(
                BpfException.class, () -> object.program("allow").testRun(arena.allocate(60), null, null, 1));
        assertThat(e.errno()).isEqualTo(Errno.ENOTSUPP);
    }

    @Test
    void openId_andOpenPinned_giveTheSameProgram() {
        int id = add.info().id();
        try (TestPlace bpffs = TestPlace.bpffs()) {
            add.pin(bpffs.resolve("add"));
            try (BpfProgram byId = BpfProgram.openId(id);
                    BpfProgram pinned = BpfProgram.openPinned(bpffs.resolve("add"))) {
                assertThat(byId.info()).isEqualTo(add.info());
                assertThat(pinned.info()).isEqualTo(add.info());
                assertThat(byId.name()).isEqualTo("add");
            }
        }
    }

    @Test
    void openId_ofAProgramThatIsGone_isEnoent() {
        BpfException e = catchThrowableOfType(BpfException.class, () -> {
            try (BpfProgram program = BpfProgram.openId(Integer.MAX_VALUE)) {
                assertThat(program).isNull();
            }
        });
        assertThat(e.errno()).isEqualTo(Errno.ENOENT);
        assertThat(e.object()).isEqualTo("program 2147483647");
    }
}
