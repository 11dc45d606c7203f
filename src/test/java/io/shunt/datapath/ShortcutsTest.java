package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.BpfTcFilter;
import io.shunt.libbpf.TcDirection;
import io.shunt.libbpf.TestObject;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class ShortcutsTest {
    private static final String DEVICE = "veth1";

    private final Closing closing = new Closing();
    private final Namespace node = closing.add(Namespace.create("node"));
    private final Namespace pod = closing.add(Namespace.create("pod"));
    private final BpfObject object = closing.add(TestObject.loaded("hooks"));
    private final BpfProgram ours = object.program("outward");
    private final BpfProgram others = object.program("inward");
    private int device;
    private long now = -5;
    private final Shortcuts shortcuts = new Shortcuts(() -> now);

    @BeforeEach
    void link() {
        pod.link("eth0", node, DEVICE);
        device = node.index(DEVICE);
    }

    @AfterEach
    void close() {
        closing.close();
    }

    private Set<Integer> among(Integer... devices) {
        return node.call(() -> shortcuts.among(Set.of(devices), ours));
    }

    private void probationPasses() {
        now += Shortcuts.PROBATION.toNanos();
    }

    /** Whether the device is a shortcut once it has been seen as it is now for long enough. */
    private boolean isOne(int index) {
        assertThat(among(index)).isEmpty();
        probationPasses();
        return among(index).contains(index);
    }

    private BpfTcFilter filter(TcDirection direction, int handle, int priority) {
        return new BpfTcFilter(device, direction, handle, priority);
    }

    @Test
    void pairIntoAnotherNamespace_isOneAfterItsProbation() {
        assertThat(among(device)).isEmpty();
        now += Shortcuts.PROBATION.toNanos() - 1;
        assertThat(among(device)).isEmpty();
        now++;
        assertThat(among(device)).containsExactly(device);
    }

    @Test
    void deviceThatIsNotAskedFor_isNone() {
        assertThat(isOne(device)).isTrue();
        assertThat(among()).isEmpty();
        assertThat(among(device)).as("it begins anew").isEmpty();
    }

    @Test
    void pairWithinTheNamespace_isNone() {
        node.ip("link", "add", "here", "type", "veth", "peer", "name", "there");
        assertThat(isOne(node.index("here"))).isFalse();
    }

    @Test
    void deviceOfAnotherKind_isNone() {
        node.ip("link", "add", "bridge0", "type", "bridge");
        assertThat(isOne(node.index("bridge0"))).isFalse();
    }

    @Test
    void portOfABridge_isNone() {
        node.ip("link", "add", "bridge0", "type", "bridge");
        node.ip("link", "set", DEVICE, "master", "bridge0");
        assertThat(isOne(device)).isFalse();
    }

    @Test
    void deviceThatIsGone_isNone() {
        assertThat(isOne(device)).isTrue();
        node.ip("link", "del", DEVICE);
        assertThat(among(device)).isEmpty();
    }

    @Test
    void queueThatLimits_endsIt_andWithoutItTheProbationBeginsAnew() {
        assertThat(isOne(device)).isTrue();
        node.run(
                "tc", "qdisc", "add", "dev", DEVICE, "root", "tbf", "rate", "1mbit", "burst", "10k", "latency", "50ms");
        assertThat(among(device)).isEmpty();
        probationPasses();
        assertThat(among(device)).isEmpty();
        node.run("tc", "qdisc", "del", "dev", DEVICE, "root");
        assertThat(isOne(device)).isTrue();
    }

    @Test
    void programOfOthersOnItsWayOut_endsIt() {
        try (BpfLink own = attach(ours, AttachType.TCX_EGRESS);
                BpfLink way = attach(others, AttachType.TCX_INGRESS)) {
            assertThat(isOne(device)).isTrue();
            try (BpfLink other = attach(others, AttachType.TCX_EGRESS)) {
                assertThat(among(device)).isEmpty();
            }
            assertThat(isOne(device)).isTrue();
        }
    }

    private BpfLink attach(BpfProgram program, AttachType type) {
        return node.call(() -> BpfLink.create(program, device, type));
    }

    @Test
    void filterOfOthersOnItsWayOut_endsIt() {
        node.call(() -> {
            filter(TcDirection.EGRESS, 0x5348, 10).attach(ours);
            filter(TcDirection.INGRESS, 1, 1).attach(others);
            return true;
        });
        assertThat(isOne(device)).isTrue();
        for (BpfTcFilter other : Set.of(filter(TcDirection.EGRESS, 1, 1), filter(TcDirection.EGRESS, 1, 10))) {
            node.call(() -> {
                other.attach(others);
                return true;
            });
            assertThat(among(device)).as(other.toString()).isEmpty();
            node.call(() -> {
                other.detach();
                return true;
            });
            assertThat(isOne(device)).as(other.toString()).isTrue();
        }
    }
}
