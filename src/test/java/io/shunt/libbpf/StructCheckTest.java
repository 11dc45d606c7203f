package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class StructCheckTest {
    private static final StructLayout KEY = MemoryLayout.structLayout(
                    MemoryLayout.sequenceLayout(16, JAVA_BYTE).withName("address"),
                    JAVA_SHORT.withName("port"),
                    JAVA_BYTE.withName("protocol"),
                    JAVA_BYTE.withName("flags"))
            .withName("key");

    private static final StructLayout VALUE = MemoryLayout.structLayout(
                    JAVA_LONG.withName("word"),
                    JAVA_INT.withName("state"),
                    MemoryLayout.unionLayout(JAVA_INT.withName("low")),
                    MemoryLayout.sequenceLayout(3, JAVA_SHORT).withName("counts"),
                    MemoryLayout.paddingLayout(2))
            .withName("value");

    private final BpfObject object = TestObject.open("bindings");
    private final Btf btf = object.btf();

    @AfterEach
    void close() {
        object.close();
    }

    @Test
    void struct_givesMembersThroughTypedefsQualifiersArraysAndEnums() {
        assertThat(btf.struct("key"))
                .contains(new BtfStruct(
                        "key",
                        20,
                        List.of(
                                new BtfStruct.Member("address", 0, 16),
                                new BtfStruct.Member("port", 16, 2),
                                new BtfStruct.Member("protocol", 18, 1),
                                new BtfStruct.Member("flags", 19, 1))));
        assertThat(btf.struct("value").orElseThrow().members())
                .containsExactly(
                        new BtfStruct.Member("word", 0, 8),
                        new BtfStruct.Member("state", 8, 4),
                        new BtfStruct.Member("", 12, 4),
                        new BtfStruct.Member("counts", 16, 6));
        assertThat(btf.struct("nothing")).isEmpty();
    }

    @Test
    void struct_withBitFields_isRefused() {
        assertThatThrownBy(() -> btf.struct("bits"))
                .isInstanceOf(UnsupportedOperationException.class)
                .hasMessage("struct bits: member one is a bit field");
    }

    @Test
    void verify_ofLayoutsThatAgree_isSilent() {
        StructCheck.verify(btf, KEY);
        StructCheck.verify(btf, VALUE);
    }

    @Test
    void verify_ofAStructInTheKernel_comparesTheSame() {
        object.load();
        int id = object.map("a_table_with_a_long_name").info().btfId();
        try (Btf kernel = Btf.fromKernel(id)) {
            StructCheck.verify(kernel, KEY);
            StructCheck.verify(kernel, VALUE);
        }
    }

    @Test
    void verify_listsEveryDifference() {
        StructLayout wrong = MemoryLayout.structLayout(
                        MemoryLayout.sequenceLayout(16, JAVA_BYTE).withName("address"),
                        JAVA_BYTE.withName("protocol"),
                        MemoryLayout.paddingLayout(1),
                        JAVA_INT.withByteAlignment(2).withName("port"),
                        JAVA_SHORT.withName("extra"))
                .withName("key");
        LayoutMismatchException e =
                catchThrowableOfType(LayoutMismatchException.class, () -> StructCheck.verify(btf, wrong));
        assertThat(e.differences())
                .containsExactly(
                        "C has size 20, Java has 24",
                        "member port: C has offset 16 size 2, Java has offset 18 size 4",
                        "member protocol: C has offset 18 size 1, Java has offset 16 size 1",
                        "member flags: C has offset 19 size 1, Java has none",
                        "member extra: C has none, Java has offset 22 size 2");
        assertThat(e).hasMessageStartingWith("struct key: C has size 20, Java has 24; member port: C has");
    }

    @Test
    void verify_ofAStructThatIsNotThere_saysWhereItLooked() {
        assertThatThrownBy(() -> StructCheck.verify(btf, KEY.withName("lock")))
                .isInstanceOf(LayoutMismatchException.class)
                .hasMessage("struct lock: there is no such struct in the types of object bindings");
    }

    @Test
    void fromKernel_ofAnIdThatIsNotThere_isEnoent() {
        BpfException e = catchThrowableOfType(BpfException.class, () -> Btf.fromKernel(Integer.MAX_VALUE));
        assertThat(e.errno()).isEqualTo(Errno.ENOENT);
        assertThat(e.call()).isEqualTo("btf__load_from_kernel_by_id");
    }
}
