package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Node.NodePod;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** `shunt run --init-only` and the cgroup2 that a node lacks, in mount namespaces of the test's own. */
@Tag("kernel")
@Tag("process")
class InitOnlyTest {
    private static final String NO_CGROUP2 = "umount --all --types cgroup2 && ";
    private static final String MOUNTS = " && cat /proc/self/mounts";

    @TempDir
    private Path directory;

    private Site site;
    private Path mountPoint;

    @BeforeEach
    void prepare() throws IOException {
        mountPoint = Files.createDirectory(directory.resolve("cgroupv2"));
        site = new Site();
    }

    @AfterEach
    void clear() {
        site.close();
    }

    private static Launcher inOwnMounts(String script) {
        return Launcher.plain().under("unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh");
    }

    /**
     * In a cgroup namespace of its own that begins at a cgroup: what is mounted from the machine's own would take the
     * options back that cgroup2 is mounted with elsewhere.
     */
    private static Launcher inOwnCgroups(Path cgroup, String script) {
        return Launcher.plain()
                .under(
                        "sh",
                        "-c",
                        "echo $$ > \"$0\"/cgroup.procs && exec unshare --cgroup --mount --propagation=private sh -c '"
                                + script + "' sh \"$@\"",
                        cgroup.toString());
    }

    private Launcher.Outcome initOnly(Launcher launcher) {
        return launcher.run("run", "--init-only", "--bpf-root=" + site.bpfRoot(), "--cgroup-root=" + mountPoint);
    }

    /** The lines of /proc/mounts that tell of it. */
    private List<String> mounts(Launcher.Outcome outcome) {
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        return outcome.out()
                .lines()
                .filter(line -> line.contains(" " + mountPoint + " "))
                .toList();
    }

    @Test
    void whereNoneIs_cgroup2IsMounted_once() {
        Launcher.Outcome outcome = initOnly(inOwnCgroups(Cgroup.root(), NO_CGROUP2 + "\"$@\" && \"$@\"" + MOUNTS));
        assertThat(mounts(outcome)).singleElement().asString().startsWith("cgroup2 " + mountPoint + " cgroup2 rw");
        assertThat(outcome.err()).isEmpty();
    }

    /** That it is the same mount is seen by what the mount alone has. */
    @Test
    void whereOneIsElsewhere_itIsMountedFromThere() {
        Launcher.Outcome outcome =
                initOnly(inOwnMounts("mount -o remount,bind,ro " + Cgroup.root() + " && \"$@\"" + MOUNTS));
        assertThat(mounts(outcome)).singleElement().asString().contains(" cgroup2 ro");
        assertThat(outcome.err()).isEmpty();
    }

    @Test
    void theDaemon_servesByWhatWasMounted() {
        NodePod server = site.servers(1).getFirst();
        site.write(
                "web.yaml",
                Manifest.service("web", List.of("10.96.0.10"), "http 80 TCP"),
                Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
        Launcher launcher = inOwnMounts("\"$1\" run --init-only --bpf-root=" + site.bpfRoot() + " --cgroup-root="
                + mountPoint + " && exec \"$@\"");
        Path cgroup = mountPoint.resolve(Cgroup.root().relativize(site.cgroupRoot()));
        site.start(launcher, "file:" + site.manifests(), "--cgroup-root=" + cgroup)
                .awaitReady();
        assertThat(cgroup).doesNotExist();
        assertThat(site.node().traffic().request("10.96.0.10", 80)).isEqualTo("web-0");
    }

    @Test
    void aPartOfTheCgroups_isWarnedOf() {
        Launcher.Outcome outcome = initOnly(inOwnCgroups(site.cgroupRoot(), NO_CGROUP2 + "\"$@\""));
        assertThat(outcome.exitCode()).as(outcome.toString()).isZero();
        assertThat(outcome.err().lines())
                .singleElement()
                .asString()
                .startsWith("shunt run: warning: " + mountPoint + " is not the machine's whole cgroup2 but a part")
                .endsWith("run this in the host's cgroup namespace, as privileged containers are");
    }

    @Test
    void whoMayNotMount_isToldTheCure() {
        Launcher.Outcome outcome = initOnly(
                inOwnMounts("exec setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon --inh-caps=-all \"$@\""));
        assertThat(outcome.exitCode()).as(outcome.toString()).isOne();
        assertThat(outcome.err().lines())
                .singleElement()
                .asString()
                .startsWith("shunt run: --cgroup-root " + mountPoint + ": no cgroup2 can be mounted there: mount, ")
                .contains(": EPERM")
                .endsWith("run this as root (or with CAP_SYS_ADMIN), in a container as a privileged one, or mount it"
                        + " yourself (mount -t cgroup2 none DIR)");
    }

    @Test
    void nothingIsMounted_overWhatSomebodyHas() throws IOException {
        Path file = Files.createFile(mountPoint.resolve("file"));
        Launcher.Outcome outcome = initOnly(inOwnMounts("\"$@\"; code=$?; ls " + mountPoint + "; exit $code"));
        assertThat(outcome.exitCode()).as(outcome.toString()).isOne();
        assertThat(outcome.err())
                .isEqualTo("shunt run: --cgroup-root " + mountPoint + " is neither a cgroup2 directory nor an empty"
                        + " one, where cgroup2 could be mounted: name one of the two, as /run/shunt/cgroupv2\n");
        assertThat(outcome.out()).isEqualTo(file.getFileName() + "\n");
    }
}
