package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.DeviceHooks.Attachment;
import io.shunt.datapath.DeviceHooks.Device;
import io.shunt.datapath.DeviceHooks.Failure;
import io.shunt.datapath.DeviceHooks.Hook;
import io.shunt.datapath.DeviceHooks.Side;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.BpfTcFilter;
import io.shunt.libbpf.TcDirection;
import io.shunt.libbpf.TestObject;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Pins;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Tag("kernel")
class DeviceHooksTest {
    private static final Hook INWARD = new Hook("inward", Side.INGRESS);
    private static final Hook ELSEWHERE = new Hook("inward_from_elsewhere", Side.INGRESS);
    private static final Hook OUTWARD = new Hook("outward", Side.EGRESS);

    private final Closing closing = new Closing();
    private final Namespace node = closing.add(Namespace.create("node"));
    private final Namespace peer = closing.add(Namespace.create("peer"));
    private final Pins pins = closing.add(Pins.create("hooks"));
    private final BpfRoot root = closing.add(BpfRoot.open(pins.path()));
    private final BpfObject object = closing.add(TestObject.loaded("hooks"));
    private final Arena arena = closing.add(Arena.ofShared());
    private final MemorySegment paths = object.map("paths").mmap(arena);

    @BeforeEach
    void link() {
        node.link("eth0.1", peer, "peer0");
        node.address("eth0.1", "10.1.0.1/24");
        peer.address("peer0", "10.1.0.2/24");
    }

    @AfterEach
    void close() {
        closing.close();
    }

    private DeviceHooks hooks(boolean tcx) {
        return hooks(object, tcx);
    }

    private DeviceHooks hooks(BpfObject loaded, boolean tcx) {
        return tcx
                ? new DeviceHooks(root, loaded::program)
                : new DeviceHooks(root, loaded::program, DeviceHooksTest::refuse);
    }

    /** Asks for what no kernel lets, and so is told what one without TCX says. */
    private static BpfLink refuse(BpfProgram program, int ifindex, AttachType type) {
        return BpfLink.create(program, ifindex, AttachType.CGROUP_INET4_CONNECT);
    }

    private Device device(Hook... wanted) {
        return new Device(node.index("eth0.1"), "eth0.1", Set.of(wanted));
    }

    private void follow(DeviceHooks hooks, Device... devices) {
        inside(() -> hooks.follow(List.of(devices)));
    }

    private void inside(Runnable action) {
        node.call(() -> {
            action.run();
            return true;
        });
    }

    private List<Attachment> attachments(DeviceHooks hooks) {
        return node.call(hooks::attachments);
    }

    /** The digits of the programs that a packet from the peer meets. */
    private String wayIn() {
        paths.setAtIndex(JAVA_LONG, 0, 0);
        send(peer, "10.1.0.1");
        await().until(() -> paths.getAtIndex(JAVA_LONG, 0) != 0);
        return String.valueOf(paths.getAtIndex(JAVA_LONG, 0));
    }

    private String wayOut() {
        paths.setAtIndex(JAVA_LONG, 1, 0);
        send(node, "10.1.0.2");
        await().until(() -> paths.getAtIndex(JAVA_LONG, 1) != 0);
        return String.valueOf(paths.getAtIndex(JAVA_LONG, 1));
    }

    private static void send(Namespace from, String to) {
        from.call(() -> {
            try (DatagramSocket socket = new DatagramSocket()) {
                socket.send(new DatagramPacket(new byte[1], 1, InetAddress.getByName(to), 9));
            }
            return true;
        });
    }

    private List<Integer> attached(TcDirection direction) {
        int index = node.index("eth0.1");
        return node.call(() -> BpfProgram.attached(index, direction.tcx(), false));
    }

    private int id(String program) {
        return object.program(program).info().id();
    }

    private List<String> pinned() throws IOException {
        return root.links().stream().map(pin -> pin.getFileName().toString()).toList();
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void follow_attachesWhatIsWanted_andDetachesWhatIsNot(boolean tcx) throws IOException {
        DeviceHooks hooks = hooks(tcx);
        follow(hooks, device(INWARD, OUTWARD));

        assertThat(hooks.failures()).isEmpty();
        assertThat(attachments(hooks))
                .containsExactlyInAnyOrder(
                        new Attachment("eth0.1", INWARD, true), new Attachment("eth0.1", OUTWARD, true));
        assertThat(pinned()).containsExactly("inward@eth0:1", "outward@eth0:1");
        assertThat(attached(TcDirection.INGRESS)).isEqualTo(tcx ? List.of(id("inward")) : List.of());
        assertThat(wayIn()).isEqualTo("1");
        assertThat(wayOut()).isEqualTo("3");

        follow(hooks, device(ELSEWHERE, OUTWARD));

        assertThat(hooks.failures()).isEmpty();
        assertThat(attachments(hooks)).allMatch(Attachment::isInForce);
        assertThat(pinned()).containsExactly("inward_from_elsewhere@eth0:1", "outward@eth0:1");
        assertThat(wayIn()).isEqualTo("2");

        follow(hooks);

        assertThat(hooks.failures()).isEmpty();
        assertThat(pinned()).isEmpty();
        follow(hooks, device(INWARD));
        assertThat(wayIn()).isEqualTo("1");
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void sitAt_findsWhatAnEarlierProcessLeft_asLongAsItIsThere(boolean tcx) {
        assertThat(sitAt(device(INWARD))).isFalse();
        follow(hooks(tcx), device(INWARD));

        assertThat(sitAt(device(INWARD))).isTrue();
        assertThat(sitAt(device(INWARD, OUTWARD))).isFalse();
        assertThat(sitAt(device(ELSEWHERE))).isFalse();

        node.ip("link", "del", "eth0.1");
        link();
        assertThat(sitAt(device(INWARD))).isFalse();
    }

    private boolean sitAt(Device device) {
        return node.call(() -> hooks(true).sitAt(device));
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void follow_byALaterProcess_swapsTheProgramInPlace(boolean tcx) throws IOException {
        follow(hooks(tcx), device(INWARD));
        int before = tcx ? linkId() : 0;
        try (BpfObject later = TestObject.loaded("hooks")) {
            DeviceHooks hooks = hooks(later, tcx);

            follow(hooks, device(INWARD));

            assertThat(attachments(hooks)).containsExactly(new Attachment("eth0.1", INWARD, true));
            assertThat(tcx ? linkId() : 0).isEqualTo(before);
            assertThat(pinned()).containsExactly("inward@eth0:1");
            MemorySegment laterPaths = later.map("paths").mmap(arena);
            send(peer, "10.1.0.1");
            await().until(() -> laterPaths.getAtIndex(JAVA_LONG, 0) == 1);

            follow(hooks);
            assertThat(pinned()).isEmpty();
        }
    }

    private int linkId() {
        try (BpfLink link = BpfLink.openPinned(root.link("inward@eth0:1"))) {
            return link.info().id();
        }
    }

    @Test
    void follow_leavesLinksOfOthersInForceAndInOrder() {
        int index = node.index("eth0.1");
        DeviceHooks hooks = hooks(true);
        BpfLink other = node.call(
                () -> BpfLink.create(object.program("inward_from_elsewhere"), index, TcDirection.INGRESS.tcx()));
        try (other) {
            follow(hooks, device(INWARD));
            assertThat(wayIn()).isEqualTo("21");
            assertThat(attached(TcDirection.INGRESS)).containsExactly(id("inward_from_elsewhere"), id("inward"));

            follow(hooks);
            assertThat(wayIn()).isEqualTo("2");
        }
    }

    @Test
    void follow_leavesFiltersOfOthersInForceAndInOrder() {
        BpfTcFilter first = new BpfTcFilter(node.index("eth0.1"), TcDirection.INGRESS, 1, 1);
        BpfTcFilter last = new BpfTcFilter(node.index("eth0.1"), TcDirection.INGRESS, 1, 49152);
        inside(() -> {
            first.attach(object.program("inward_from_elsewhere"));
            last.attach(object.program("inward_from_elsewhere"));
        });
        DeviceHooks hooks = hooks(false);

        follow(hooks, device(INWARD));
        assertThat(hooks.failures()).isEmpty();
        assertThat(wayIn()).isEqualTo("212");

        follow(hooks);
        assertThat(wayIn()).isEqualTo("22");
    }

    @Test
    void aFilterOfSomebodyElseInOurPlace_staysAndIsTold() throws IOException {
        follow(hooks(false), device(INWARD));
        BpfTcFilter ours = filterOf(root.link("inward@eth0:1"));
        follow(hooks(false));
        inside(() -> ours.attach(object.program("inward_from_elsewhere")));
        DeviceHooks hooks = hooks(false);

        follow(hooks, device(INWARD, OUTWARD));

        assertThat(hooks.failures()).singleElement().satisfies(failure -> {
            assertThat(failure.device()).isEqualTo("eth0.1");
            assertThat(failure.hook()).isEqualTo("inward");
            assertThat(failure.message()).contains("is program inward_from_els of somebody else");
        });
        assertThat(wayIn()).isEqualTo("2");
        assertThat(wayOut()).isEqualTo("3");
        assertThat(attachments(hooks))
                .containsExactlyInAnyOrder(
                        new Attachment("eth0.1", INWARD, false), new Attachment("eth0.1", OUTWARD, true));
    }

    private static BpfTcFilter filterOf(Path pin) throws IOException {
        List<String> words =
                Arrays.asList(Files.readSymbolicLink(pin).toString().split("/"));
        assertThat(words).startsWith("clsact", "ingress").hasSize(5);
        return new BpfTcFilter(
                Integer.parseInt(words.get(2)),
                TcDirection.INGRESS,
                Integer.parseInt(words.get(3)),
                Integer.parseInt(words.get(4)));
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void aDeviceThatCameBackUnderItsName_isAttachedToAnew(boolean tcx) throws IOException {
        DeviceHooks hooks = hooks(tcx);
        follow(hooks, device(INWARD));
        node.ip("link", "del", "eth0.1");
        link();
        assertThat(attachments(hooks)).noneMatch(Attachment::isInForce);

        follow(hooks, device(INWARD));

        assertThat(hooks.failures()).isEmpty();
        assertThat(pinned()).containsExactly("inward@eth0:1");
        assertThat(wayIn()).isEqualTo("1");
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void aDeviceThatIsGone_isNoFailure_andKeepsNobodyWaiting(boolean tcx) throws IOException {
        DeviceHooks hooks = hooks(tcx);
        follow(hooks, new Device(4711, "eth7", Set.of(INWARD)), device(INWARD));
        assertThat(hooks.failures()).isEmpty();
        assertThat(wayIn()).isEqualTo("1");

        node.ip("link", "del", "eth0.1");
        follow(hooks);

        assertThat(hooks.failures()).isEmpty();
        assertThat(pinned()).isEmpty();
    }

    /** As a pod's that ends just then. */
    @ParameterizedTest(name = "already attached to {0}")
    @ValueSource(booleans = {false, true})
    void aDeviceThatVanishesWhileItIsAttachedTo_isNoFailure_andKeepsNobodyWaiting(boolean late) throws IOException {
        node.ip("link", "add", "bridge0", "type", "bridge");
        Device other = new Device(node.index("bridge0"), "bridge0", Set.of(INWARD));
        int vanishing = node.index("eth0.1");
        DeviceHooks hooks = new DeviceHooks(root, object::program, (program, ifindex, type) -> {
            if (ifindex == vanishing && !late) {
                node.ip("link", "del", "eth0.1");
            }
            BpfLink link = BpfLink.create(program, ifindex, type);
            if (ifindex == vanishing) {
                node.ip("link", "del", "eth0.1");
            }
            return link;
        });

        follow(hooks, device(INWARD), other);

        assertThat(hooks.failures()).isEmpty();
        assertThat(attachments(hooks))
                .containsExactly(new Attachment("eth0.1", INWARD, false), new Attachment("bridge0", INWARD, true));
        follow(hooks, other);
        assertThat(hooks.failures()).isEmpty();
        assertThat(pinned()).containsExactly("inward@bridge0");
    }

    @Test
    void aLinkThatSomebodyHasDetached_isAttachedAnew() {
        DeviceHooks hooks = hooks(true);
        follow(hooks, device(INWARD));
        try (BpfLink link = BpfLink.openPinned(root.link("inward@eth0:1"))) {
            link.detach();
        }
        assertThat(attachments(hooks)).noneMatch(Attachment::isInForce);

        follow(hooks, device(INWARD));

        assertThat(wayIn()).isEqualTo("1");
    }

    @Test
    void whatFails_isToldOfItsDevice_andTriedAgain() {
        node.ip("link", "add", "bridge0", "type", "bridge");
        node.run("tc", "qdisc", "add", "dev", "eth0.1", "ingress");
        DeviceHooks hooks = hooks(false);
        Device other = new Device(node.index("bridge0"), "bridge0", Set.of(OUTWARD));

        follow(hooks, device(OUTWARD), other);

        assertThat(hooks.failures()).singleElement().satisfies(failure -> {
            assertThat(failure.device()).isEqualTo("eth0.1");
            assertThat(failure.hook()).isEqualTo("outward");
            assertThat(failure.message()).contains("has a qdisc of the kind ingress");
        });
        assertThat(attachments(hooks)).contains(new Attachment("bridge0", OUTWARD, true));

        node.run("tc", "qdisc", "del", "dev", "eth0.1", "ingress");
        follow(hooks, device(OUTWARD), other);

        assertThat(hooks.failures()).isEmpty();
        assertThat(wayOut()).isEqualTo("3");
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void aRootThatIsGone_isTold(boolean tcx) {
        pins.close();
        DeviceHooks hooks = hooks(tcx);

        follow(hooks, device(INWARD));

        assertThat(hooks.failures()).extracting(Failure::device).containsExactlyInAnyOrder("eth0.1", "*");
        assertThat(attachments(hooks)).noneMatch(Attachment::isInForce);
        assertThat(attached(TcDirection.INGRESS)).isEmpty();
    }

    @ParameterizedTest(name = "TCX {0}")
    @ValueSource(booleans = {true, false})
    void remove_detachesAllOfIt(boolean tcx) throws Exception {
        follow(hooks(tcx), device(INWARD, OUTWARD));
        root.close();

        List<String> removed = node.call(() -> Installation.remove(pins.path()));

        assertThat(removed)
                .containsExactly(
                        "detached " + root.link("inward@eth0:1"),
                        "detached " + root.link("outward@eth0:1"),
                        "removed " + root.path());
        assertThat(pins.path()).doesNotExist();
        assertThat(attached(TcDirection.INGRESS)).isEmpty();
        assertThat(node.run("tc", "filter", "show", "dev", "eth0.1", "ingress")).isEmpty();
    }
}
