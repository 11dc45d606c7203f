package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.LinkInfo;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Load;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** Installations one after the other on one bpf root, as daemons that are started again. */
@Tag("kernel")
class InstallationTest {
    private static final String VIP = "10.96.0.1";

    private Ground ground;
    private Pod pod;

    @BeforeEach
    void prepare() {
        ground = new Ground();
        pod = pod(ground.cgroup());
    }

    @AfterEach
    void clear() {
        ground.close();
    }

    private Pod pod(Cgroup cgroup) {
        Pod made = ground.add(new Pod(cgroup, "inst"));
        made.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        for (int i = 1; i <= 3; i++) {
            made.traffic().serve(Protocol.TCP, "10.0.0." + i, 8080, "b" + i);
        }
        return made;
    }

    private static VirtualService service(String name, String vip, int... hosts) {
        List<Backend> backends = new ArrayList<>();
        for (int host : hosts) {
            backends.add(new Backend(Address.of("10.0.0." + host), 8080, Backend.State.CLUSTER));
        }
        return new VirtualService(name, List.of(new Frontend(Address.of(vip), 80, Protocol.TCP)), backends);
    }

    /** What the kernel says of each pinned link, in the order of the hooks. */
    private List<LinkInfo> links() {
        List<LinkInfo> links = new ArrayList<>();
        for (SocketHook hook : SocketHook.values()) {
            try (BpfLink link =
                    BpfLink.openPinned(ground.pins().path().resolve("links").resolve(hook.program()))) {
                links.add(link.info());
            }
        }
        return links;
    }

    private static List<Integer> ids(List<LinkInfo> links) {
        return links.stream().map(LinkInfo::id).toList();
    }

    private static List<Integer> programIds(List<LinkInfo> links) {
        return links.stream().map(LinkInfo::programId).toList();
    }

    private static void assertNotTranslated(Traffic traffic) {
        assertThatExceptionOfType(CallFailedException.class)
                .isThrownBy(() -> traffic.request(VIP, 80))
                .extracting(CallFailedException::errno)
                .isEqualTo("ENETUNREACH");
    }

    @Test
    void everyBackend_isReached_andCounted() {
        try (Installation installation = ground.install()) {
            int id = ground.put(installation, service("a", VIP, 1, 2, 3));
            Load load = pod.traffic().load(Load.Kind.REQUEST, VIP, 80, 300, 1);
            assertThat(load.outcomes()).isEqualTo(Map.of("ok", 300L));
            assertThat(load.servers().keySet()).containsExactlyInAnyOrder("b1", "b2", "b3");
            assertThat(installation.counters()).isEqualTo(Map.of(id, new Installation.Counters(300, 0)));

            ground.put(installation, service("a", VIP));
            pod.traffic().load(Load.Kind.CONNECT, VIP, 80, 7, 1);
            assertThat(installation.counters()).isEqualTo(Map.of(id, new Installation.Counters(300, 7)));
            assertThat(installation.socketErrors())
                    .containsEntry("bad_set", 0L)
                    .containsEntry("tcp_origin_lost", 0L)
                    .containsEntry("udp_origin_lost", 0L);
        }
    }

    @Test
    void mapUse_isWhatIsThere() {
        try (Installation installation = ground.install(new MapSizes(100, 1_000, 1024))) {
            ground.put(installation, service("a", VIP, 1, 2, 3));
            List<Installation.MapUse> use = installation.mapUse();
            assertThat(use)
                    .extracting(map -> map.name() + " " + map.entries() + "/" + map.maxEntries())
                    .contains(
                            "frontends 2/400",
                            "node_addresses 0/4096",
                            "source_ranges 0/400",
                            "sets 2/202",
                            "slots 3/3000",
                            "backends 3/1001")
                    .anyMatch(map -> map.startsWith("tcp_origins -1/"));
            assertThat(use)
                    .allMatch(map -> !map.name().contains("."))
                    .anyMatch(
                            map -> map.name().equals("backends") && map.bytes() >= 1_001 * Layouts.BACKEND.byteSize());
        }
    }

    @Test
    void close_leavesTrafficAsItIs_andTheNextUpdatesInPlace() {
        Map<Integer, Installation.Counters> counters;
        int id;
        try (Installation first = ground.install()) {
            id = ground.put(first, service("a", VIP, 1, 2));
            ground.put(first, service("gone", "10.96.0.2", 3));
        }
        assertThat(pod.traffic().load(Load.Kind.REQUEST, VIP, 80, 50, 1).servers())
                .containsOnlyKeys("b1", "b2");
        List<LinkInfo> before = links();

        try (Installation second = ground.install()) {
            assertThat(ids(links())).isEqualTo(ids(before));
            assertThat(programIds(links())).doesNotContainAnyElementsOf(programIds(before));
            assertThat(second.programs())
                    .hasSize(SocketHook.values().length)
                    .allMatch(Installation.AttachedProgram::attached)
                    .allMatch(program -> program.instructions() > 0);
            assertThat(second.datapath().unclaimed()).isEqualTo(2);
            counters = second.counters();
            assertThat(counters).containsEntry(id, new Installation.Counters(50, 0));

            assertThat(ground.put(second, service("a", VIP, 1, 2))).isEqualTo(id);
            assertThat(second.calls()).allMatch(call -> call.total() == 0);
            assertThat(pod.traffic().request("10.96.0.2", 80)).isEqualTo("b3");
            assertThat(ground.onControl(() -> second.datapath().removeUnclaimed()))
                    .isEqualTo(1);
            assertThatExceptionOfType(CallFailedException.class)
                    .isThrownBy(() -> pod.traffic().request("10.96.0.2", 80));
            await().untilAsserted(() -> assertThat(second.counters()).containsOnlyKeys(id));
        }
    }

    @Test
    void aLinkOnAnotherCgroup_isReplaced() {
        try (Installation first = ground.install()) {
            ground.put(first, service("a", VIP, 1));
        }
        Cgroup other = ground.add(Cgroup.create("other"));
        Pod otherPod = pod(other);
        assertNotTranslated(otherPod.traffic());
        List<LinkInfo> before = links();

        try (Installation second = Installation.open(
                ground.pins().path(), other.path(), Ground.SIZES, false, Ground.PACKETS, ground.control())) {
            assertThat(second.programs()).allMatch(Installation.AttachedProgram::attached);
            assertThat(second.cgroup()).isEqualTo(other.path());
            assertThat(otherPod.traffic().request(VIP, 80)).isEqualTo("b1");
            assertNotTranslated(pod.traffic());
            assertThat(ids(links())).doesNotContainAnyElementsOf(ids(before));
        }
        assertThat(otherPod.traffic().request(VIP, 80)).isEqualTo("b1");
    }

    @Test
    void aLinkOnACgroupThatIsGone_isReplaced() throws IOException {
        Path path = ground.cgroup().path().resolve("short-lived");
        Files.createDirectory(path);
        Installation.open(ground.pins().path(), path, Ground.SIZES, false, Ground.PACKETS, ground.control())
                .close();
        Files.delete(path);
        Files.createDirectory(path);

        try (Installation second =
                Installation.open(ground.pins().path(), path, Ground.SIZES, false, Ground.PACKETS, ground.control())) {
            assertThat(second.programs()).allMatch(Installation.AttachedProgram::attached);
        }
        try (Installation third =
                Installation.open(ground.pins().path(), path, Ground.SIZES, false, Ground.PACKETS, ground.control())) {
            Files.delete(path);
            assertThat(third.programs()).noneMatch(Installation.AttachedProgram::attached);
        }
    }

    @Test
    void aLinkThatSomebodyDetached_shows() {
        try (Installation installation = ground.install()) {
            try (BpfLink link = BpfLink.openPinned(ground.pins().path().resolve("links/connect4"))) {
                link.detach();
            }
            assertThat(installation.programs())
                    .filteredOn(program -> !program.attached())
                    .extracting(Installation.AttachedProgram::name)
                    .containsExactly("connect4");
        }
        try (Installation next = ground.install()) {
            assertThat(next.programs()).allMatch(Installation.AttachedProgram::attached);
        }
    }

    private Audit.Repairs audit(Installation installation) {
        return ground.onControl(() -> installation.audit().goOn(Long.MAX_VALUE).orElseThrow());
    }

    @Test
    void aLinkThatSomebodyDetached_isAttachedAgain() {
        try (Installation installation = ground.install()) {
            ground.put(installation, service("a", VIP, 1));
            assertThat(audit(installation).made()).isEmpty();
            for (String name : List.of("connect4", "getpeername6")) {
                try (BpfLink link =
                        BpfLink.openPinned(ground.pins().path().resolve("links").resolve(name))) {
                    link.detach();
                }
            }
            assertNotTranslated(pod.traffic());

            Audit.Repairs repairs = audit(installation);
            assertThat(repairs.failure()).isEmpty();
            assertThat(repairs.made()).isEqualTo(Map.of("links", 2));
            assertThat(repairs.examples()).containsExactly("links: connect4 was lost", "links: getpeername6 was lost");
            assertThat(installation.programs()).allMatch(Installation.AttachedProgram::attached);
            assertThat(pod.traffic().request(VIP, 80)).isEqualTo("b1");
            assertThat(audit(installation).made()).isEmpty();
        }
        assertThat(pod.traffic().request(VIP, 80)).as("also without a daemon").isEqualTo("b1");
    }

    @Test
    void aCgroupThatIsGone_failsTheAudit_whichRepairsTheMapsNevertheless() throws IOException {
        Path path = ground.cgroup().path().resolve("short-lived");
        Files.createDirectory(path);
        try (Installation installation =
                Installation.open(ground.pins().path(), path, Ground.SIZES, false, Ground.PACKETS, ground.control())) {
            ground.put(installation, service("a", VIP, 1));
            Files.delete(path);
            try (BpfMap frontends = BpfMap.openPinned(ground.pins().path().resolve("maps/frontends"));
                    Arena arena = Arena.ofConfined()) {
                MemorySegment key = arena.allocate(frontends.keySize());
                assertThat(frontends.nextKey(null, key)).isTrue();
                assertThat(frontends.delete(key)).isTrue();
            }
            Audit.Repairs repairs = audit(installation);
            assertThat(repairs.failure()).contains(path.toString());
            assertThat(repairs.made()).isEqualTo(Map.of("frontends", 1));
            assertThat(installation.programs()).noneMatch(Installation.AttachedProgram::attached);

            Files.createDirectory(path);
            assertThat(audit(installation).made()).isEqualTo(Map.of("links", SocketHook.values().length));
            assertThat(installation.programs()).allMatch(Installation.AttachedProgram::attached);
        }
    }

    @Test
    void otherSizes_waitForACleanup_andSaySo() {
        try (Installation first = ground.install(new MapSizes(8, 32, 1024))) {
            ground.put(first, service("a", VIP, 1));
        }
        Logger logger = (Logger) LoggerFactory.getLogger(Installation.class);
        ListAppender<ILoggingEvent> logged = new ListAppender<>();
        logged.start();
        logger.addAppender(logged);
        try (Installation second = ground.install(new MapSizes(16, 32, 1024))) {
            assertThat(logged.list)
                    .extracting(ILoggingEvent::getFormattedMessage)
                    .containsExactlyInAnyOrder(
                            "map frontends keeps its 32 entries (64 are configured): run `shunt cleanup` before the next"
                                    + " start to resize it",
                            "map source_ranges keeps its 32 entries (64 are configured): run `shunt cleanup` before the"
                                    + " next start to resize it",
                            "map sets keeps its 18 entries (34 are configured): run `shunt cleanup` before the next start"
                                    + " to resize it",
                            "map service_stats keeps its 8 entries (16 are configured): run `shunt cleanup` before the"
                                    + " next start to resize it");
            for (int n = 2; n <= 8; n++) {
                ground.put(second, service("s" + n, "10.96.0." + n, 1));
            }
            ground.put(second, service("a", VIP, 1));
            assertThatExceptionOfType(TableFullException.class)
                    .isThrownBy(() -> ground.put(second, service("s9", "10.96.0.9", 1)))
                    .withMessage("map sets is full (8 entries): raise --max-services");
            assertThat(pod.traffic().request(VIP, 80)).isEqualTo("b1");
        } finally {
            logger.detachAppender(logged);
        }
    }

    private List<Path> pins(String directory) throws IOException {
        try (Stream<Path> pins = Files.list(ground.pins().path().resolve(directory))) {
            return pins.sorted().toList();
        }
    }

    @Test
    void remove_endsTranslation_andSaysWhatItDid() throws IOException {
        try (Installation installation = ground.install()) {
            ground.put(installation, service("a", VIP, 1));
            assertThatExceptionOfType(InstallationException.class)
                    .isThrownBy(() -> Installation.remove(ground.pins().path()))
                    .withMessageContaining("is in use by another shunt daemon");
            assertThat(pod.traffic().request(VIP, 80)).isEqualTo("b1");
        }
        List<String> expected = new ArrayList<>();
        pins("links").forEach(pin -> expected.add("detached " + pin));
        pins("maps").forEach(pin -> expected.add("removed " + pin));
        expected.add("removed " + ground.pins().path());
        assertThat(expected).hasSizeGreaterThan(SocketHook.values().length + 5);
        assertThat(Installation.remove(ground.pins().path())).isEqualTo(expected);
        assertThat(ground.pins().path()).doesNotExist();
        assertNotTranslated(pod.traffic());
        assertThat(Installation.remove(ground.pins().path())).isEmpty();
    }

    @Test
    void aConnectionThatIsOpen_keepsItsServiceAddressOverARestart() {
        Traffic.Socket socket = pod.traffic().socket(Traffic.Kind.TCP4);
        try (Installation first = ground.install()) {
            ground.put(first, service("a", VIP, 1));
            socket.connect(VIP, 80);
        }
        try (Installation second = ground.install()) {
            ground.put(second, service("a", VIP, 1));
            assertThat(socket.peerName().toString()).isEqualTo(VIP + " 80");
        }
    }
}
