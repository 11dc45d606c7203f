package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.daemon.RunOptions;
import io.shunt.daemon.StartupException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RunCommandTest {
    @TempDir
    private Path directory;

    private final Shell shell = new Shell();
    private Path cgroup;
    private Path kubeconfig;

    @BeforeEach
    void layOut() throws IOException {
        cgroup = Files.createDirectory(directory.resolve("cgroup"));
        Files.createFile(cgroup.resolve("cgroup.controllers"));
        kubeconfig = Files.createFile(directory.resolve("kubeconfig"));
        shell.environment.put("SHUNT_CGROUP_ROOT", cgroup.toString());
    }

    private RunOptions ran() {
        return Objects.requireNonNull(shell.ran, shell::err);
    }

    @Test
    void noFlags_giveTheDefaults() throws IOException {
        assertThat(shell.run("run")).as(shell.err()).isZero();

        assertThat(ran())
                .isEqualTo(new RunOptions(
                        "kubernetes",
                        null,
                        Files.readString(Path.of("/proc/sys/kernel/hostname"))
                                .strip()
                                .toLowerCase(Locale.ROOT),
                        cgroup,
                        Path.of("/sys/fs/bpf/shunt"),
                        65536,
                        262144,
                        new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), 10256),
                        new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 10249)));
    }

    @Test
    void everyFlag_isTaken() {
        int exitCode = shell.run(
                "run",
                "--source=kubernetes",
                "--kubeconfig=" + kubeconfig,
                "--hostname-override= Worker-1.example ",
                "--cgroup-root=" + cgroup,
                "--bpf-root=/sys/fs/bpf/other/../mine",
                "--max-services=1000",
                "--max-backends",
                "2000",
                "--healthz-bind-address=[::]:1",
                "--metrics-bind-address=[::1]:2");

        assertThat(exitCode).as(shell.err()).isZero();
        assertThat(ran())
                .isEqualTo(new RunOptions(
                        "kubernetes",
                        kubeconfig,
                        "worker-1.example",
                        cgroup,
                        Path.of("/sys/fs/bpf/mine"),
                        1000,
                        2000,
                        new InetSocketAddress(InetAddress.ofLiteral("::"), 1),
                        new InetSocketAddress(InetAddress.ofLiteral("::1"), 2)));
    }

    @Test
    void environment_countsWhereNoFlagIsGiven() {
        shell.environment.put("SHUNT_SOURCE", "file:" + directory);
        shell.environment.put("NODE_NAME", "from-environment");
        shell.environment.put("SHUNT_BPF_ROOT", "/sys/fs/bpf/environment");
        shell.environment.put("SHUNT_MAX_SERVICES", "17");
        shell.environment.put("SHUNT_METRICS_BIND_ADDRESS", "");

        assertThat(shell.run("run", "--hostname-override=from-flag"))
                .as(shell.err())
                .isZero();
        assertThat(ran().source()).isEqualTo("file:" + directory);
        assertThat(ran().nodeName()).isEqualTo("from-flag");
        assertThat(ran().bpfRoot()).isEqualTo(Path.of("/sys/fs/bpf/environment"));
        assertThat(ran().maxServices()).isEqualTo(17);
        assertThat(ran().metricsBindAddress().getPort()).isEqualTo(10249);
    }

    @Test
    void kubeconfigFromTheEnvironment_isForKubernetesOnly() {
        shell.environment.put("KUBECONFIG", "/nowhere");

        assertThat(shell.run("run", "--source=file:" + directory)).isZero();
        assertThat(ran().kubeconfig()).isNull();
        assertThat(shell.run("run")).isEqualTo(2);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--source=consul | --source must be kubernetes or file:DIR, not \"consul\"",
                "--source=file: | --source must be kubernetes or file:DIR, not \"file:\"",
                "--source=file:/nowhere/at/all | --source file:/nowhere/at/all: there is no such directory; make it, or"
                        + " give another",
                "--kubeconfig=/nowhere | --kubeconfig (or KUBECONFIG) /nowhere is not a file that can be read; give one,"
                        + " or leave it out to use the pod's service account",
                "--kubeconfig=/a:/b | --kubeconfig (or KUBECONFIG) /a:/b names several files; give one",
                "--hostname-override=a_b | --hostname-override (or NODE_NAME) must be a node's name (letters, digits, '-'"
                        + " and '.'), not \"a_b\"",
                "--cgroup-root=/proc | --cgroup-root /proc is not a cgroup2 directory: give one, or leave it out to use"
                        + " where cgroup2 is mounted",
                "--bpf-root=relative | --bpf-root must be an absolute path, as /sys/fs/bpf/shunt, not \"relative\"",
                "--max-services=0 | --max-services must be 1 to 1048576, not 0",
                "--max-services=1048577 | --max-services must be 1 to 1048576, not 1048577",
                "--max-backends=-1 | --max-backends must be 1 to 4194304, not -1",
                "--max-backends=many | Invalid value for option '--max-backends': 'many' is not an int",
                "--healthz-bind-address=localhost:1 | --healthz-bind-address must be an address and port, as"
                        + " 127.0.0.1:10256 or [::1]:10256, not \"localhost:1\"",
                "--metrics-bind-address=1.2.3.4:99999 | --metrics-bind-address must be an address and port, as"
                        + " 127.0.0.1:10249 or [::1]:10249, not \"1.2.3.4:99999\"",
                "--metrics-bind-address=0.0.0.0:10256 | --healthz-bind-address and --metrics-bind-address are both"
                        + " 0.0.0.0:10256: give two ports",
            })
    void wrongValue_isSaidInOneLine_andExits2(String flag, String message) {
        assertThat(shell.run("run", flag)).isEqualTo(2);

        assertThat(shell.err()).isEqualTo("shunt run: " + message + "\n");
        assertThat(shell.out()).isEmpty();
        assertThat(shell.ran).isNull();
    }

    @Test
    void unknownFlag_isAnsweredWithWhatComesClose() {
        assertThat(shell.run("run", "--max-service=3")).isEqualTo(2);
        assertThat(shell.err())
                .startsWith("shunt run: Unknown option: '--max-service=3'")
                .contains("--max-services", "See 'shunt run --help'.");
    }

    @Test
    void daemonThatCannotStart_saysWhyInOneLine() {
        shell.daemon = options -> {
            throw new StartupException("port 10249 is taken:\nstop it");
        };
        assertThat(shell.run("run")).isEqualTo(1);
        assertThat(shell.err()).isEqualTo("shunt run: port 10249 is taken: stop it\n");

        shell.daemon = options -> {
            throw StartupException.configuration("--bpf-root /tmp is not on a bpffs");
        };
        assertThat(shell.run("run")).isEqualTo(2);
        assertThat(shell.err()).isEqualTo("shunt run: --bpf-root /tmp is not on a bpffs\n");
    }

    @Test
    void faultOfTheDaemon_showsWhereItHappened() {
        shell.daemon = options -> {
            throw new IllegalStateException("impossible");
        };
        assertThat(shell.run("run")).isEqualTo(1);
        assertThat(shell.err()).contains("please report", "IllegalStateException: impossible", "RunCommandTest");
    }

    @Test
    void daemonsExitCode_isTheCommands() {
        shell.daemon = options -> 1;
        assertThat(shell.run("run")).isEqualTo(1);
    }

    @Test
    void help_tellsEachFlagsDefaultAndEnvironment() {
        assertThat(shell.run("run", "--help")).isZero();

        String help = shell.out().replaceAll("\\s+", " ");
        assertThat(help)
                .contains("Default: kubernetes. Environment: SHUNT_SOURCE.")
                .contains("Default: the pod's service account. Environment: KUBECONFIG.")
                .contains("Default: the host's name, in lower case. Environment: NODE_NAME.")
                .contains("Default: where cgroup2 is mounted. Environment: SHUNT_CGROUP_ROOT.")
                .contains("Default: /sys/fs/bpf/shunt. Environment: SHUNT_BPF_ROOT.")
                .contains("Default: 65536. Environment: SHUNT_MAX_SERVICES.")
                .contains("Default: 262144. Environment: SHUNT_MAX_BACKENDS.")
                .contains("Default: 0.0.0.0:10256.")
                .contains("Default: 127.0.0.1:10249.")
                .contains("Exit codes: 0 stopped", "Examples: shunt run");
    }

    @Test
    void flags_ofTheOptions_giveTheSameOptionsAgain() {
        assertThat(shell.run("run", "--kubeconfig=" + kubeconfig, "--metrics-bind-address=[::1]:2"))
                .isZero();
        RunOptions first = ran();

        List<String> arguments = new ArrayList<>(List.of("run"));
        first.flags().forEach((flag, value) -> arguments.add("--" + flag + "=" + value));
        assertThat(shell.run(arguments.toArray(String[]::new))).isZero();

        assertThat(ran()).isEqualTo(first);
    }
}
