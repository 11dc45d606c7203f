package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.shunt.testbed.Namespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class BpfTcFilterTest {
    private static final int LOOPBACK = 1;

    private final Namespace namespace = Namespace.create("filter");
    private final BpfObject object = TestObject.loaded("bindings");
    private final BpfProgram add = object.program("add");
    private final BpfProgram tell = object.program("tell");

    @AfterEach
    void close() {
        object.close();
        namespace.close();
    }

    private void inside(Runnable test) {
        namespace.call(() -> {
            test.run();
            return true;
        });
    }

    @Test
    void attach_putsOneProgramInThePlaceOfAnother() {
        inside(() -> {
            BpfTcFilter filter = new BpfTcFilter(LOOPBACK, TcDirection.EGRESS, 7, 3);
            assertThat(filter.programId()).isEmpty();

            filter.attach(add);

            assertThat(filter.programId()).hasValue(add.info().id());
            assertThat(new BpfTcFilter(LOOPBACK, TcDirection.INGRESS, 7, 3).programId())
                    .isEmpty();

            filter.attach(tell);

            assertThat(filter.programId()).hasValue(tell.info().id());
        });
    }

    @Test
    void detach_leavesOtherFilters() {
        inside(() -> {
            BpfTcFilter filter = new BpfTcFilter(LOOPBACK, TcDirection.INGRESS, 7, 3);
            BpfTcFilter other = new BpfTcFilter(LOOPBACK, TcDirection.INGRESS, 8, 3);
            filter.detach();
            filter.attach(add);
            other.attach(tell);

            filter.detach();
            filter.detach();

            assertThat(filter.programId()).isEmpty();
            assertThat(other.programId()).hasValue(tell.info().id());
        });
    }

    @Test
    void attach_whereAnotherQdiscKeepsClsactOut_saysSo() {
        namespace.ip("link", "add", "bridge0", "type", "bridge");
        namespace.run("tc", "qdisc", "add", "dev", "bridge0", "ingress");
        int bridge = namespace.index("bridge0");
        inside(() -> {
            BpfTcFilter filter = new BpfTcFilter(bridge, TcDirection.EGRESS, 7, 3);
            BpfException e = catchThrowableOfType(BpfException.class, () -> filter.attach(add));
            assertThat(e.errno()).isEqualTo(Errno.EEXIST);
            assertThat(e)
                    .hasMessageStartingWith("bpf_tc_hook_create, filter 7 of priority 3 at EGRESS of device " + bridge);
            assertThat(filter.programId()).isEmpty();
        });
    }

    @Test
    void attach_toNoDevice_saysSo() {
        inside(() -> {
            BpfTcFilter filter = new BpfTcFilter(4711, TcDirection.INGRESS, 7, 3);
            BpfException e = catchThrowableOfType(BpfException.class, () -> filter.attach(add));
            assertThat(e.errno()).isEqualTo(Errno.ENODEV);
            assertThat(e)
                    .hasMessageStartingWith("bpf_tc_hook_create, filter 7 of priority 3 at INGRESS of device 4711");
            assertThat(filter.programId()).isEmpty();
        });
    }
}
