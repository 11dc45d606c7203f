package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.datapath.DeviceHooks.Attachment;
import io.shunt.datapath.DeviceHooks.Device;
import io.shunt.datapath.DeviceHooks.Hook;
import io.shunt.datapath.DeviceHooks.Side;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.LinkInfo;
import io.shunt.libbpf.TestObject;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Pins;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** {@link DeviceHooks} at the driver of a device. */
@Tag("kernel")
class DriverHooksTest {
    private static final Hook NATIVE = new Hook("driver_native", Side.NATIVE);
    private static final Hook GENERIC = new Hook("driver_generic", Side.GENERIC);

    private final Closing closing = new Closing();
    private final Namespace node = closing.add(Namespace.create("node"));
    private final Namespace peer = closing.add(Namespace.create("peer"));
    private final Pins pins = closing.add(Pins.create("drivers"));
    private final BpfRoot root = closing.add(BpfRoot.open(pins.path()));
    private final BpfObject object = closing.add(TestObject.loaded("frames"));
    private final DeviceHooks hooks = new DeviceHooks(root, object::program);

    @BeforeEach
    void link() {
        node.link("eth0", peer, "peer0");
    }

    @AfterEach
    void close() {
        closing.close();
    }

    private static Hook hook(Side side) {
        return side == Side.NATIVE ? NATIVE : GENERIC;
    }

    private Device device(Hook... wanted) {
        return new Device(node.index("eth0"), "eth0", Set.of(wanted));
    }

    private void follow(DeviceHooks some, Device... devices) {
        node.call(() -> {
            some.follow(List.of(devices));
            return true;
        });
    }

    /** How the kernel shows the program at the driver, such as xdp or xdpgeneric; "" if there is none. */
    private String shown() {
        String line = node.ip("-o", "link", "show", "dev", "eth0").getLast();
        return line.contains(" xdpgeneric") ? "xdpgeneric" : line.contains(" xdp") ? "xdp" : "";
    }

    private List<Attachment> attachments() {
        return node.call(hooks::attachments);
    }

    private LinkInfo pinned(Hook hook) {
        try (BpfLink link = BpfLink.openPinned(root.link(hook.program() + "@eth0"))) {
            return link.info();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"NATIVE", "GENERIC"})
    void follow_attachesAndDetaches(Side side) {
        follow(hooks, device(hook(side)));

        assertThat(hooks.failures()).isEmpty();
        assertThat(shown()).isEqualTo(side == Side.NATIVE ? "xdp" : "xdpgeneric");
        assertThat(attachments()).containsExactly(new Attachment("eth0", hook(side), true));

        follow(hooks, device());

        assertThat(hooks.failures()).isEmpty();
        assertThat(shown()).isEmpty();
        assertThat(root.link(hook(side).program() + "@eth0")).doesNotExist();
    }

    @ParameterizedTest
    @EnumSource(names = {"NATIVE", "GENERIC"})
    void aLaterProcess_swapsTheProgramInPlace(Side side) {
        follow(hooks, device(hook(side)));
        LinkInfo before = pinned(hook(side));
        BpfObject newer = closing.add(TestObject.loaded("frames"));

        follow(new DeviceHooks(root, newer::program), device(hook(side)));

        LinkInfo after = pinned(hook(side));
        assertThat(after.id()).isEqualTo(before.id());
        assertThat(after.programId())
                .isEqualTo(newer.program(hook(side).program()).info().id());
        assertThat(attachments()).containsExactly(new Attachment("eth0", hook(side), false));
    }

    @Test
    void anotherMode_takesThePlaceOfTheFirst() {
        follow(hooks, device(GENERIC));
        follow(hooks, device(NATIVE));

        assertThat(hooks.failures()).isEmpty();
        assertThat(shown()).isEqualTo("xdp");
        assertThat(root.link("driver_generic@eth0")).doesNotExist();
    }

    @ParameterizedTest
    @EnumSource(names = {"NATIVE", "GENERIC"})
    void aProgramOfSomebodyElse_staysAndIsTold(Side side) {
        int index = node.index("eth0");
        BpfLink other =
                node.call(() -> BpfLink.create(object.program("pass"), index, AttachType.XDP, BpfLink.XDP_NATIVE));
        try (other) {
            follow(hooks, device(hook(side)));

            assertThat(hooks.failures()).singleElement().satisfies(failure -> {
                assertThat(failure.device()).isEqualTo("eth0");
                assertThat(failure.message()).contains("somebody else's XDP program is there, and stays");
            });
            assertThat(attachments()).containsExactly(new Attachment("eth0", hook(side), false));
            assertThat(shown()).isEqualTo("xdp");
        }

        follow(hooks, device(hook(side)));

        assertThat(hooks.failures()).isEmpty();
    }

    @Test
    void aDriverThatCannot_isToldWithTheCure() {
        node.ip("link", "add", "bridge0", "type", "bridge");
        Device bridge = new Device(node.index("bridge0"), "bridge0", Set.of(NATIVE));

        follow(hooks, bridge, device(NATIVE));

        assertThat(hooks.failures()).singleElement().satisfies(failure -> {
            assertThat(failure.device()).isEqualTo("bridge0");
            assertThat(failure.message()).contains("use --acceleration=generic or off");
        });
        assertThat(shown()).isEqualTo("xdp");
    }

    @Test
    void aDeviceTooLargeForIt_isTold() {
        peer.ip("link", "set", "peer0", "mtu", "9000");

        follow(hooks, device(NATIVE));

        assertThat(hooks.failures())
                .singleElement()
                .satisfies(failure -> assertThat(failure.message()).contains("its MTU may be too large"));
    }

    @Test
    void aDeviceThatIsGone_isNoFailure() {
        follow(hooks, device(NATIVE));
        node.ip("link", "del", "eth0");

        follow(hooks, new Device(4711, "eth7", Set.of(NATIVE)));

        assertThat(hooks.failures()).isEmpty();
        assertThat(root.link("driver_native@eth0")).doesNotExist();
    }

    @Test
    void remove_detaches() throws Exception {
        follow(hooks, device(NATIVE));
        root.close();

        assertThat(Installation.remove(pins.path())).contains("detached " + root.link("driver_native@eth0"));

        assertThat(shown()).isEmpty();
    }
}
