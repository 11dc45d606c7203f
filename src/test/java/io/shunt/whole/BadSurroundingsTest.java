package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.LinkInfo;
import io.shunt.libbpf.MapType;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Load;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Traffic;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Machines and flags that a daemon cannot run with: one line says what and what to do, and nothing that worked is lost. */
@Tag("kernel")
@Tag("process")
class BadSurroundingsTest {
    private static final String VIP = "10.96.0.10";
    /** One may be mounted above another. */
    private static final String NO_BPFFS = "while umount /sys/fs/bpf 2>/dev/null; do :; done; ";

    private static final String ONLY_WHAT_THE_CHART_GIVES = "--bounding-set=-all,+bpf,+net_admin,+perfmon";

    @TempDir
    private Path directory;

    private Site site;

    @BeforeEach
    void prepare() {
        site = new Site();
    }

    @AfterEach
    void clear() {
        site.close();
    }

    /** The one line on standard error, without its end. */
    private static String complaint(Launcher.Outcome outcome, int exitCode) {
        assertThat(outcome.exitCode()).as(outcome.toString()).isEqualTo(exitCode);
        assertThat(outcome.err().lines()).as(outcome.toString()).hasSize(1);
        assertThat(outcome.out()).doesNotContain("Exception", "\tat ");
        return outcome.err().strip();
    }

    private static Launcher inOwnMounts(String command) {
        return Launcher.plain().under("unshare", "--mount", "--propagation=private", "sh", "-c", command, "sh");
    }

    @Test
    void aBpfRootThatIsNoBpffs() {
        Path root = directory.resolve("pins");
        assertThat(complaint(site.run(Launcher.plain(), "--bpf-root=" + root), 1))
                .isEqualTo(
                        "shunt run: --bpf-root " + root + " is not in a bpffs: mount one there (mount -t bpf bpf DIR)"
                                + " or choose a directory below /sys/fs/bpf");
        assertThat(root).doesNotExist();
    }

    @Test
    void rulesOfKubeProxy_areToldOf_andNoObstacle() {
        site.node().namespace().run("nft", "add table ip kube-proxy");
        DaemonProcess daemon = site.start(
                        Launcher.plain()
                                .under(
                                        "nsenter",
                                        "--net=" + site.node().namespace().path()),
                        "file:" + site.manifests())
                .awaitServing();

        await().atMost(DaemonProcess.PATIENCE)
                .untilAsserted(() -> assertThat(daemon.log())
                        .contains(
                                "(table ip kube-proxy)", "Remove kube-proxy, then `shunt cleanup --kube-proxy-rules`"));
    }

    @Test
    void noBpffs_isMountedAtItsUsualPlace() {
        Launcher launcher = inOwnMounts(NO_BPFFS + "exec \"$@\"");
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        site.start(launcher, "file:" + site.manifests()).awaitReady();
        assertThat(site.node().traffic().request(VIP, 80)).isEqualTo("web-0");
        assertThat(site.bpfRoot()).doesNotExist();
    }

    @Test
    void noBpffs_andNotAllowedToMountIt() {
        Launcher launcher =
                inOwnMounts(NO_BPFFS + "exec setpriv " + ONLY_WHAT_THE_CHART_GIVES + " --inh-caps=-all \"$@\"");
        assertThat(complaint(site.run(launcher), 1))
                .startsWith("shunt run: --bpf-root " + site.bpfRoot() + " cannot be used: ")
                .contains("mount, bpffs at /sys/fs/bpf: EPERM")
                .endsWith("run as root (or with CAP_SYS_ADMIN) and mount a bpffs at /sys/fs/bpf");
    }

    @Test
    void aCgroupRootThatIsNoCgroup2() {
        assertThat(complaint(site.run(Launcher.plain(), "--cgroup-root=" + directory), 2))
                .isEqualTo(
                        "shunt run: --cgroup-root " + directory + " is not a cgroup2 directory: give one, or leave it"
                                + " out to use where cgroup2 is mounted");
        assertThat(complaint(site.run(Launcher.plain(), "--cgroup-root=" + directory.resolve("none")), 2))
                .contains("is not a cgroup2 directory");
    }

    @Test
    void noCgroup2AtAll() {
        Launcher launcher = inOwnMounts("umount --all --types cgroup2 && exec \"$@\"");
        Launcher.Outcome outcome = launcher.run(
                "run",
                "--source=file:" + site.manifests(),
                "--bpf-root=" + site.bpfRoot(),
                "--metrics-bind-address=[::1]:0");
        assertThat(complaint(outcome, 1))
                .isEqualTo("shunt run: no cgroup2 file system is mounted: mount one (mount -t cgroup2 none"
                        + " /sys/fs/cgroup), or give --cgroup-root");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--bounding-set=-all",
                "--bounding-set=-sys_admin,-perfmon",
                "--bounding-set=-sys_admin,-net_admin",
                "--bounding-set=-sys_admin,-bpf",
            })
    void missingCapabilities(String taken) {
        Launcher launcher = Launcher.plain().under("setpriv", taken, "--inh-caps=-all");
        assertThat(complaint(site.run(launcher), 1))
                .isEqualTo(
                        "shunt run: missing capabilities: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
                                + " (CAP_SYS_ADMIN to mount a bpffs)");
    }

    @Test
    void whatTheChartGives_isEnough_alsoToTakeOver() {
        Launcher launcher = Launcher.plain().under("setpriv", ONLY_WHAT_THE_CHART_GIVES, "--inh-caps=-all");
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        String source = "file:" + site.manifests();
        site.start(launcher, source).awaitReady().terminate();
        KernelTable left = site.table();

        DaemonProcess second = site.start(launcher, source).awaitReady();
        assertThat(second.status().healthy()).as(second.log()).isTrue();
        assertThat(site.table()).isEqualTo(left);
        assertThat(site.node().traffic().request(VIP, 80)).isEqualTo("web-0");
    }

    /** What a security module, seccomp or a rootless container does: all capabilities, and EPERM all the same. */
    @Test
    void capabilitiesThatDoNotHelp() {
        Launcher launcher = Launcher.plain().under("unshare", "--user", "--map-root-user");
        assertThat(complaint(site.run(launcher), 1))
                .contains(
                        ": EPERM",
                        "AppArmor or SELinux",
                        "appArmorProfile Unconfined",
                        "a user namespace",
                        "journalctl -k");
    }

    @Test
    void aBpfRootThatNobodyMayWriteTo() throws IOException {
        Path theirs = Files.createDirectory(Path.of(site.bpfRoot() + "-theirs"));
        try {
            Files.setAttribute(theirs, "unix:uid", 65534);
            Files.setPosixFilePermissions(theirs, PosixFilePermissions.fromString("rwx--x--x"));
            Launcher launcher = Launcher.plain().under("setpriv", ONLY_WHAT_THE_CHART_GIVES, "--inh-caps=-all");
            assertThat(complaint(site.run(launcher, "--bpf-root=" + theirs.resolve("shunt")), 1))
                    .startsWith("shunt run: --bpf-root " + theirs + "/shunt cannot be used: permission denied at ")
                    .contains("AppArmor or SELinux");
        } finally {
            Files.delete(theirs);
        }
    }

    @Test
    void aReadOnlyBpffs() {
        Launcher launcher = inOwnMounts("mount -o remount,bind,ro /sys/fs/bpf && exec \"$@\"");
        assertThat(complaint(site.run(launcher), 1))
                .startsWith("shunt run: --bpf-root " + site.bpfRoot() + " cannot be used: ")
                .contains("Read-only file system: the bpffs has to be mounted such that directories can be made in it");
    }

    /** Programs are attached to a directory that is open for reading. */
    @Test
    void aReadOnlyCgroupMount_doesNotMatter() {
        Launcher launcher = inOwnMounts("mount -o remount,bind,ro " + Cgroup.root() + " && exec \"$@\"");
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        site.start(launcher, "file:" + site.manifests()).awaitReady();
        assertThat(site.node().traffic().request(VIP, 80)).isEqualTo("web-0");
    }

    @Test
    void aContainersOwnPartOfTheCgroups_isWarnedOf() {
        Launcher launcher = Launcher.plain()
                .under(
                        "sh",
                        "-c",
                        "echo $$ > \"$0\"/cgroup.procs && exec unshare --cgroup --mount --propagation=private sh -c '"
                                + "umount --all --types cgroup2 && mount -t cgroup2 none " + Cgroup.root()
                                + " && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"' sh \"$@\"",
                        site.cgroupRoot().toString());
        Launcher.Outcome outcome = launcher.run(
                "run", "--source=file:" + site.manifests(), "--bpf-root=" + site.bpfRoot(), "--devices=none");
        assertThat(outcome.err().lines().toList())
                .hasSize(2)
                .first()
                .asString()
                .startsWith("shunt run: warning: " + Cgroup.root() + " is not the machine's whole cgroup2 but a part")
                .endsWith("name that by --cgroup-root");
    }

    @Test
    void noLibbpf() {
        Launcher launcher = Launcher.plain().with("SHUNT_JAVA_OPTS", "-Dshunt.libbpf=nope.so");
        assertThat(complaint(site.run(launcher), 1))
                .isEqualTo(
                        "shunt run: nope.so was not found: install libbpf 1.0 or newer (Debian: apt install libbpf1)");
        Launcher.Outcome cleanup = launcher.run("cleanup", "--bpf-root=" + site.bpfRoot());
        assertThat(cleanup.exitCode()).as(cleanup.toString()).isZero();
    }

    @Test
    void aKernelThatIsTooOld() {
        Launcher launcher = Launcher.plain().under("setarch", "--uname-2.6");
        assertThat(complaint(site.run(launcher), 1))
                .matches("shunt run: kernel 2\\.6\\.\\S+ is too old: shunt needs Linux 5\\.15 or newer");
        assertThat(site.bpfRoot()).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--healthz-bind-address", "--metrics-bind-address"})
    void aPortThatIsTaken(String flag) throws IOException {
        try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
            String address = "127.0.0.1:" + taken.getLocalPort();
            assertThat(complaint(site.run(Launcher.plain(), flag + "=" + address), 1))
                    .isEqualTo("shunt run: port " + taken.getLocalPort() + " is taken (" + flag + " " + address
                            + "): stop what listens there (kube-proxy, if it still runs on this node), or give another"
                            + " address:port");
            assertThat(site.bpfRoot()).doesNotExist();
        }
    }

    @Test
    void aPortThatIsTaken_leavesToTheEarlierDaemonsProgramsWhatTheyDo() throws IOException {
        Traffic client = served();
        KernelTable left = site.table();
        List<LinkInfo> links = links();
        try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
            assertThat(complaint(
                            site.run(Launcher.plain(), "--metrics-bind-address=127.0.0.1:" + taken.getLocalPort()), 1))
                    .contains("is taken");
        }
        assertThat(links()).hasSizeGreaterThan(1).isEqualTo(links);
        assertThat(site.table()).isEqualTo(left);
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
    }

    /** With the ids of the programs that they lead to. */
    private List<LinkInfo> links() throws IOException {
        try (Stream<Path> pins = Files.list(site.bpfRoot().resolve("links"))) {
            return pins.sorted()
                    .map(pin -> {
                        try (BpfLink link = BpfLink.openPinned(pin)) {
                            return link.info();
                        }
                    })
                    .toList();
        }
    }

    @Test
    void anAddressThatIsNotOfThisMachine() {
        assertThat(complaint(site.run(Launcher.plain(), "--healthz-bind-address=192.0.2.1:0"), 1))
                .isEqualTo(
                        "shunt run: no interface of this machine has the address (--healthz-bind-address 192.0.2.1:0):"
                                + " give one that it has, or 0.0.0.0");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    --source=files      | --source must be kubernetes or file:DIR, not "files"
                    --source=file:/none | --source file:/none: there is no such directory; make it, or give another
                    --max-services=0    | --max-services must be 1 to 1048576, not 0
                    --max-backends=x    | Invalid value for option '--max-backends': 'x' is not an int
                    --hostname-override=a_b | --hostname-override (or NODE_NAME) must be a node's name (letters, digits, '-' and '.'), not "a_b"
                    --bpf-root=shunt    | --bpf-root must be an absolute path, as /sys/fs/bpf/shunt, not "shunt"
                    --metrics-bind-address=localhost:1 | --metrics-bind-address must be an address and port, as 127.0.0.1:10249 or [::1]:10249, not "localhost:1"
                    """)
    void aFlagWithAWrongValue(String flag, String message) {
        assertThat(complaint(site.run(Launcher.plain(), flag), 2)).isEqualTo("shunt run: " + message);
    }

    @Test
    void aFlagThatIsUnknown() {
        Launcher.Outcome outcome = Launcher.plain().run("run", "--sauce=file:/tmp");
        assertThat(outcome.exitCode()).isEqualTo(2);
        assertThat(outcome.err())
                .isEqualTo("shunt run: Unknown option: '--sauce=file:/tmp'\nSee 'shunt run --help'.\n");
    }

    /** Traffic that an earlier daemon left to go on, whatever becomes of the next. */
    private Traffic served() {
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of(VIP), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        site.start().awaitReady().terminate();
        return site.node().traffic();
    }

    @Test
    void aPinnedMapOfAnotherValueSize_isLeftAlone() throws IOException {
        Traffic client = served();
        Path pin = site.bpfRoot().resolve("maps/service_stats");
        Files.delete(pin);
        try (BpfMap other = BpfMap.create("service_stats", MapType.PERCPU_HASH, 4, 24, 512, BpfMap.NO_PREALLOC)) {
            other.pin(pin);
        }
        String complaint = complaint(site.run(Launcher.plain()), 1);
        assertThat(complaint)
                .isEqualTo("shunt run: pinned map " + pin + " has another layout (value size 24 instead of 16): made by"
                        + " another version of shunt. Run `shunt cleanup --bpf-root " + site.bpfRoot()
                        + "`, then start again");
        assertThat(client.load(Load.Kind.REQUEST, VIP, 80, 20, 1).servers()).containsOnlyKeys("web-0");

        assertThat(Launcher.plain()
                        .run("cleanup", "--bpf-root=" + site.bpfRoot())
                        .exitCode())
                .isZero();
        site.start().awaitReady();
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
    }

    @Test
    void pinnedMapsWithOtherMembers_areLeftAlone() throws IOException {
        Traffic client = served();
        KernelTable left = site.table();
        Path layout = site.bpfRoot().resolve("layout");
        String ours = Files.readSymbolicLink(layout).toString();
        Files.delete(layout);
        Files.createSymbolicLink(layout, Path.of("0badcafe"));

        assertThat(complaint(site.run(Launcher.plain()), 1))
                .isEqualTo("shunt run: the maps pinned in " + site.bpfRoot() + "/maps have another layout (layout"
                        + " 0badcafe instead of " + ours + "): made by another version of shunt. Run `shunt cleanup"
                        + " --bpf-root " + site.bpfRoot() + "`, then start again");
        assertThat(client.request(VIP, 80)).isEqualTo("web-0");
        assertThat(site.table()).isEqualTo(left);
    }
}
