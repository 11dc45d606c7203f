package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class BpfObjectTest {
    @Test
    void open_listsMapsAndPrograms() {
        try (BpfObject object = TestObject.open("bindings")) {
            assertThat(object.name()).isEqualTo("bindings");
            assertThat(object.maps())
                    .extracting(BpfMap::name)
                    .contains("a_table_with_a_long_name", "words", "counts", "events", "bindings.rodata");
            assertThat(object.programs()).extracting(BpfProgram::name).contains("add", "tell", "allow", "refuse");
            BpfMap table = object.map("a_table_with_a_long_name");
            assertThat(table.type()).isEqualTo(MapType.HASH);
            assertThat(table.keySize()).isEqualTo(20);
            assertThat(table.valueSize()).isEqualTo(24);
            assertThat(table.maxEntries()).isEqualTo(8);
            assertThat(table.flags()).isEqualTo(BpfMap.NO_PREALLOC);
            assertThat(table.fd()).isNegative();
        }
    }

    @Test
    void map_thatIsNotThere_isRefusedByName() {
        try (BpfObject object = TestObject.open("bindings")) {
            assertThatThrownBy(() -> object.map("nowhere"))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("object bindings has no map nowhere but [");
            assertThatThrownBy(() -> object.program("nothing"))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("no program nothing");
        }
    }

    @Test
    void open_garbage_saysWhatLibbpfSays() {
        byte[] garbage = "this is no ELF file, nor was it ever one. It only has enough bytes to look at."
                .getBytes(StandardCharsets.UTF_8);
        BpfException e = catchThrowableOfType(BpfException.class, () -> BpfObject.open("junk", garbage));
        assertThat(e.call()).isEqualTo("bpf_object__open_mem");
        assertThat(e.object()).isEqualTo("object junk");
        assertThat(e.errno()).isEqualTo(Errno.FORMAT);
        assertThat(e).hasMessageContaining("libbpf: ").hasMessageContaining("junk");
    }

    @Test
    void load_givesMapsAndProgramsDescriptorsThatCloseWithIt() {
        BpfObject object = TestObject.loaded("bindings");
        BpfMap words = object.map("words");
        BpfProgram add = object.program("add");
        assertThat(words.info().name()).isEqualTo("words");
        assertThat(add.info().name()).isEqualTo("add");
        words.close();
        assertThat(words.fd()).as("an object's map is not closed by itself").isNotNegative();

        object.close();

        assertThat(words.fd()).isEqualTo(-1);
        BpfException e = catchThrowableOfType(BpfException.class, words::info);
        assertThat(e.errno()).isIn(Errno.EBADF, Errno.EBADFD);
        object.close();
    }

    @Test
    void load_refusedByTheVerifier_carriesItsLog() {
        try (BpfObject object = TestObject.open("refused")) {
            VerifierException e = catchThrowableOfType(VerifierException.class, object::load);
            assertThat(e.object()).isEqualTo("program careless");
            assertThat(e.errno()).isEqualTo(Errno.EACCES);
            assertThat(e.log())
                    .contains("R0 invalid mem access 'map_value_or_null'")
                    .contains("return *value;");
            assertThat(e).hasMessageContaining("the verifier refused it").hasMessageContaining("map_value_or_null");
        }
    }

    @Test
    void load_refusedForItsMap_saysWhatLibbpfSays() {
        try (BpfObject object = TestObject.open("bindings")) {
            object.map("a_table_with_a_long_name").setMaxEntries(0);
            BpfException e = catchThrowableOfType(BpfException.class, object::load);
            assertThat(e.errno()).isEqualTo(Errno.EINVAL);
            assertThat(e).hasMessageContaining("object bindings").hasMessageContaining("a_table_with_a_long_name");
        }
    }

    @Test
    void initialValue_setBeforeLoading_isWhatTheProgramSees() {
        try (BpfObject object = TestObject.open("bindings");
                Arena arena = Arena.ofConfined()) {
            MemorySegment constants = object.map(".rodata").initialValue();
            assertThat(constants.get(JAVA_INT, 0)).isEqualTo(1);
            constants.set(JAVA_INT, 0, 41);
            object.load();
            object.map("words").mmap(arena).set(ValueLayout.JAVA_LONG, 0, 1);

            BpfProgram.TestRun run = object.program("add").testRun(arena.allocate(64), null, null, 1);

            assertThat(run.retval()).isEqualTo(42);
        }
    }

    @Test
    void initialValue_afterLoading_isGone() {
        try (BpfObject object = TestObject.open("bindings")) {
            MemorySegment constants = object.map(".rodata").initialValue();
            object.load();
            assertThatThrownBy(() -> constants.get(JAVA_INT, 0)).hasMessageContaining("closed");
        }
    }

    @Test
    void closed_itsPartsTouchNoFreedMemory() {
        BpfObject object = TestObject.open("bindings");
        BpfMap words = object.map("words");
        BpfProgram add = object.program("add");
        Btf btf = object.btf();
        object.close();
        assertThatThrownBy(() -> words.setMaxEntries(5))
                .hasMessage("map words belongs to no object, or to one that is closed");
        assertThatThrownBy(() -> add.setAutoload(false)).hasMessageStartingWith("program add belongs to no object");
        assertThatThrownBy(() -> btf.struct("key")).hasMessage("the types of object bindings are closed");
        assertThatThrownBy(object::load).isInstanceOf(BpfException.class);
        assertThatThrownBy(object::btf).isInstanceOf(BpfException.class);
    }

    @Test
    void setMaxEntries_beforeLoading_sizesTheMap() {
        try (BpfObject object = TestObject.open("bindings")) {
            object.map("words").setMaxEntries(77);
            object.load();
            assertThat(object.map("words").info().maxEntries()).isEqualTo(77);
            assertThat(object.map("words").maxEntries()).isEqualTo(77);
            assertThatThrownBy(() -> object.map("words").setMaxEntries(78))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("map words is loaded already");
        }
    }

    @Test
    void setAutoload_false_leavesTheProgramOut() {
        try (BpfObject object = TestObject.open("refused")) {
            object.program("careless").setAutoload(false);
            object.load();
            assertThat(object.program("careless").fd()).isEqualTo(-1);
            assertThat(object.map("table").fd()).isNotNegative();
        }
    }
}
