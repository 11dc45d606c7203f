package io.shunt.whole;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.testbed.Node.NodePod;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The daemon as examples/systemd starts it: with the unit's command and the rights that it leaves. */
@Tag("kernel")
@Tag("process")
class StartedBySystemdTest {
    private static final Path UNIT = Path.of("examples/systemd/shunt.service");
    private static final String VIP = "10.96.0.10";

    @TempDir
    private Path directory;

    /** What a setting of the unit says. */
    private static String setting(String name) throws IOException {
        try (Stream<String> lines = Files.lines(UNIT)) {
            return lines.filter(line -> line.startsWith(name + "="))
                    .map(line -> line.substring(name.length() + 1))
                    .collect(Collectors.joining(" "));
        }
    }

    @Test
    void systemd_understandsTheUnit() throws Exception {
        String program = setting("ExecStart").replaceFirst(" .*", "");
        // Whether the program is in its place is checked too, and here it is not.
        Path unit = Files.writeString(
                directory.resolve("shunt.service"), Files.readString(UNIT).replace(program, "/bin/true"));
        Process systemd = new ProcessBuilder(
                        "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit.toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(systemd.getInputStream().readAllBytes());

        assertThat(systemd.waitFor()).as(said).isZero();
        assertThat(said).doesNotContain("shunt.service");
    }

    @Test
    void whatTheUnitLeaves_isEnough() throws IOException {
        String capabilities = Stream.of(setting("CapabilityBoundingSet").split(" "))
                .map(name -> ",+" + name.toLowerCase(Locale.ROOT).replaceFirst("^cap_", ""))
                .collect(Collectors.joining("", "-all", ""));
        List<String> command = List.of(setting("ExecStart").split(" "));
        assertThat(command).containsExactly("/usr/lib/shunt/bin/shunt", "run", "--source=file:/etc/shunt/services");
        assertThat(setting("NoNewPrivileges")).isEqualTo("yes");
        assertThat(setting("ProtectSystem")).isEqualTo("strict");
        assertThat(setting("PrivateTmp")).isEqualTo("yes");
        Launcher launcher = Launcher.plain()
                .under(
                        "unshare",
                        "--mount",
                        "--propagation=private",
                        "sh",
                        "-c",
                        "mount --bind /tmp /tmp && mount -o remount,bind,ro / && exec setpriv --no-new-privs"
                                + " --bounding-set=" + capabilities + " --inh-caps=-all \"$@\"",
                        "sh");
        try (Site site = new Site()) {
            NodePod server = site.servers(1).getFirst();
            site.moveIn(
                    "web.yaml",
                    Manifest.service("web", List.of(VIP), "http 80 TCP"),
                    Manifest.slice("web", "IPv4", List.of(server.v4()), "http " + Site.HTTP + " TCP"));
            DaemonProcess daemon =
                    site.start(launcher, "file:" + site.manifests()).awaitReady();

            assertThat(site.node().traffic().request(VIP, 80)).isEqualTo("web-0");
            assertThat(daemon.status().staleSockets().state()).startsWith("on");
            assertThat(daemon.log()).doesNotContain(" WARN ", " ERROR ");
        }
    }
}
