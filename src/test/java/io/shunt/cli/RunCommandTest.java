package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Forwarding;
import io.shunt.config.LocalDetection;
import io.shunt.daemon.RunOptions;
import io.shunt.daemon.StartupException;
import io.shunt.datapath.Acceleration;
import io.shunt.datapath.FlowTimeouts;
import io.shunt.libbpf.Cpus;
import io.shunt.net.Address;
import io.shunt.net.Prefix;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
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
                        null,
                        null,
                        Files.readString(Path.of("/proc/sys/kernel/hostname"))
                                .strip()
                                .toLowerCase(Locale.ROOT),
                        List.of(),
                        cgroup,
                        Path.of("/sys/fs/bpf/shunt"),
                        65536,
                        262144,
                        Algorithm.RANDOM,
                        16381,
                        0,
                        List.of(),
                        true,
                        List.of(),
                        Acceleration.OFF,
                        Forwarding.SNAT,
                        false,
                        LocalDetection.NONE,
                        Math.max(131_072, 32_768 * Cpus.online()),
                        FlowTimeouts.USUAL,
                        false,
                        false,
                        Duration.ofSeconds(30),
                        new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), 10256),
                        new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 10249),
                        null,
                        0,
                        ""));
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
                "--algorithm=maglev",
                "--maglev-table-size=4093",
                "--max-maglev-tables=12",
                "--healthz-bind-address=[::]:1",
                "--metrics-bind-address=[::1]:2",
                "--master=https://10.0.0.1:6443",
                "--node-ip=192.0.2.1,fd00::1",
                "--nodeport-addresses=10.0.0.0/8",
                "--nodeport-addresses=192.0.2.1/32,fd00::/8",
                "--iptables-localhost-nodeports=false",
                "--devices=eth0,pod:veth*",
                "--devices=bond?",
                "--acceleration=native",
                "--forwarding=hybrid",
                "--masquerade-all",
                "--cluster-cidr=10.244.1.0/16,fd00:10:244::/56",
                "--max-flows=3000",
                "--conntrack-max-per-core=5",
                "--conntrack-tcp-timeout-established=1h",
                "--conntrack-tcp-timeout-close-wait=1m",
                "--conntrack-udp-timeout=5s",
                "--conntrack-udp-timeout-stream=0",
                "--socket-host-namespace-only",
                "--end-stale-tcp=true",
                "--iptables-sync-period=1m",
                "--oom-score-adj=-999",
                "-v=4");

        assertThat(exitCode).as(shell.err()).isZero();
        assertThat(ran())
                .isEqualTo(new RunOptions(
                        "kubernetes",
                        null,
                        kubeconfig,
                        "https://10.0.0.1:6443",
                        "worker-1.example",
                        List.of(Address.of("192.0.2.1"), Address.of("fd00::1")),
                        cgroup,
                        Path.of("/sys/fs/bpf/mine"),
                        1000,
                        2000,
                        Algorithm.MAGLEV,
                        4093,
                        12,
                        List.of("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"),
                        false,
                        List.of("eth0", "pod:veth*", "bond?"),
                        Acceleration.NATIVE,
                        Forwarding.HYBRID,
                        true,
                        new LocalDetection(
                                "ClusterCIDR",
                                List.of(
                                        Prefix.parse("10.244.0.0/16").orElseThrow(),
                                        Prefix.parse("fd00:10:244::/56").orElseThrow()),
                                ""),
                        3000,
                        new FlowTimeouts(
                                Duration.ofHours(1), Duration.ofMinutes(1), Duration.ofSeconds(5), Duration.ZERO),
                        true,
                        true,
                        Duration.ofMinutes(1),
                        new InetSocketAddress(InetAddress.ofLiteral("::"), 1),
                        new InetSocketAddress(InetAddress.ofLiteral("::1"), 2),
                        -999,
                        4,
                        ""));
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
                "--forwarding=DSR | --forwarding must be snat, dsr or hybrid, not \"DSR\"",
                "--max-flows=0 | --max-flows must be 1 to 8388608, not 0",
                "--conntrack-udp-timeout=-1s | --conntrack-udp-timeout must be a duration of 0 or more, as 30s or 1m, not"
                        + " \"-1s\"",
                "--cluster-cidr=10.0.0.0/8,11.0.0.0/8 | --cluster-cidr must be a CIDR, or one of each family as"
                        + " 10.244.0.0/16,fd00:10:244::/56, not \"10.0.0.0/8,11.0.0.0/8\"",
                "--detect-local-mode=Guess | --detect-local-mode must be ClusterCIDR, NodeCIDR, BridgeInterface or"
                        + " InterfaceNamePrefix, not \"Guess\"",
                "--max-backends=-1 | --max-backends must be 1 to 4194304, not -1",
                "--max-backends=many | Invalid value for option '--max-backends': 'many' is not an int",
                "--algorithm=rr | --algorithm must be random or maglev, not \"rr\"",
                "--maglev-table-size=16384 | --maglev-table-size must be a prime number, not 16384: the next is 16411",
                "--maglev-table-size=131072 | --maglev-table-size must be a prime number from 251 to 131071, not 131072",
                "--maglev-table-size=7 | --maglev-table-size must be a prime number from 251 to 131071, not 7",
                "--max-maglev-tables=16388 | --max-maglev-tables must be 0 to 16387 with --maglev-table-size 16381, not"
                        + " 16388",
                "--max-maglev-tables=-1 | --max-maglev-tables must be 0 to 16387 with --maglev-table-size 16381, not -1",
                "--healthz-bind-address=localhost:1 | --healthz-bind-address must be an address and port, as"
                        + " 127.0.0.1:10256 or [::1]:10256, not \"localhost:1\"",
                "--metrics-bind-address=1.2.3.4:99999 | --metrics-bind-address must be an address and port, as"
                        + " 127.0.0.1:10249 or [::1]:10249, not \"1.2.3.4:99999\"",
                "--node-ip=10.0.0.1,10.0.0.2 | --node-ip must be this node's addresses, at most one of each family, not"
                        + " \"10.0.0.1,10.0.0.2\"",
                "--node-ip=node | --node-ip must be this node's addresses, at most one of each family, not \"node\"",
                "--nodeport-addresses=10.0.0.0/8,primary | --nodeport-addresses must be a CIDR, as 10.0.0.0/8 or"
                        + " fd00::/8, not \"primary\"",
                "--iptables-sync-period=30 | --iptables-sync-period must be a duration above 0, as 30s or 1m, not \"30\"",
                "--iptables-sync-period=0 | --iptables-sync-period must be a duration above 0, as 30s or 1m, not \"0\"",
                "--iptables-min-sync-period=1m | --iptables-min-sync-period must not be longer than the sync period, 30s,"
                        + " but is 1m0s",
                "--masquerade-all=maybe | --masquerade-all must be true or false, not \"maybe\"",
                "--proxy-mode=userspace | --proxy-mode must be iptables, ipvs or nftables, not \"userspace\"",
                "--oom-score-adj=1001 | --oom-score-adj must be a whole number from -1000 to 1000, not \"1001\"",
                "--bind-address=node | --bind-address must be an IP address, not \"node\"",
                "--cluster-cidr=10.0.0.0 | --cluster-cidr must be a CIDR, or one of each family as"
                        + " 10.244.0.0/16,fd00:10:244::/56, not \"10.0.0.0\"",
                "--detect-local-mode=BridgeInterface | --detect-local-mode is BridgeInterface, which needs"
                        + " detectLocal.bridgeInterface: give it",
                "--feature-gates=A | --feature-gates must be NAME=true or NAME=false, not \"A\"",
                "-v=loud | --v must be a whole number of 0 or more, not \"loud\"",
                "--config=/nowhere | --config /nowhere is not a file that can be read: give one",
                "--metrics-bind-address=0.0.0.0:10256 | --healthz-bind-address and --metrics-bind-address are both"
                        + " 0.0.0.0:10256: give two ports",
                "--healthz-bind-address=[::]:10249 | --healthz-bind-address and --metrics-bind-address are [::]:10249 and"
                        + " 127.0.0.1:10249, and the one takes the port at all addresses: give two ports",
                "--metrics-bind-address=[fd00::1]:10256 | --healthz-bind-address and --metrics-bind-address are"
                        + " 0.0.0.0:10256 and [fd00::1]:10256, and the one takes the port at all addresses: give two ports",
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
    void aFlagGivenTwice_countsAsGivenLast() {
        assertThat(shell.run(
                        "run",
                        "--max-services=1",
                        "--max-services=2",
                        "--v=1",
                        "-v",
                        "3",
                        "--kubeconfig=/nowhere",
                        "--kubeconfig=" + kubeconfig))
                .as(shell.err())
                .isZero();
        assertThat(ran().maxServices()).isEqualTo(2);
        assertThat(ran().verbosity()).isEqualTo(3);
        assertThat(ran().kubeconfig()).isEqualTo(kubeconfig);
        assertThat(shell.err()).isEmpty();
    }

    @Test
    void flows_areSizedAsNetfiltersTableWas() {
        assertThat(shell.run("run", "--conntrack-max-per-core=0", "--conntrack-min=77"))
                .isZero();
        assertThat(ran().maxFlows()).isEqualTo(77);
        assertThat(shell.run("run", "--conntrack-max-per-core=100", "--conntrack-min=1"))
                .isZero();
        assertThat(ran().maxFlows()).isEqualTo(100 * Cpus.online());
        assertThat(shell.run("run", "--conntrack-max-per-core=9999999", "--conntrack-min=1"))
                .isZero();
        assertThat(ran().maxFlows()).isEqualTo(1_048_576);
        assertThat(shell.run("run", "--conntrack-max-per-core=0", "--conntrack-min=2000000000"))
                .isZero();
        assertThat(ran().maxFlows()).isEqualTo(8_388_608);
    }

    @Test
    void localDetection_isByRangeOrByDevice() {
        assertThat(shell.run("run", "--detect-local-mode=NodeCIDR", "--cluster-cidr=10.0.0.0/8"))
                .isZero();
        assertThat(ran().localDetection()).isEqualTo(new LocalDetection("NodeCIDR", List.of(), ""));
        assertThat(ran().localDetection().isOn()).isTrue();
        assertThat(shell.run("run", "--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cni0"))
                .isZero();
        assertThat(ran().localDetection()).isEqualTo(new LocalDetection("BridgeInterface", List.of(), "cni0"));
        assertThat(shell.run("run", "--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=veth"))
                .isZero();
        assertThat(ran().localDetection().byPrefix()).isTrue();
        assertThat(shell.run("run")).isZero();
        assertThat(ran().localDetection().isOn()).isFalse();
    }

    @Test
    void bindAddress_isTheNodesAddress_whereNodeIpSaysNothing() {
        assertThat(shell.run("run", "--bind-address=0.0.0.0")).isZero();
        assertThat(ran().nodeIps()).isEmpty();
        assertThat(shell.run("run", "--bind-address=fd00::1", "--node-ip=10.0.0.1"))
                .isZero();
        assertThat(ran().nodeIps()).containsExactly(Address.of("10.0.0.1"), Address.of("fd00::1"));
        assertThat(shell.run("run", "--bind-address=10.0.0.2", "--node-ip=10.0.0.1"))
                .isZero();
        assertThat(ran().nodeIps()).containsExactly(Address.of("10.0.0.1"));
    }

    @Test
    void anEmptyAddressOrPortZero_servesNothing() {
        assertThat(shell.run("run", "--healthz-bind-address=", "--metrics-port=0"))
                .as(shell.err())
                .isZero();
        assertThat(ran().healthzBindAddress()).isNull();
        assertThat(ran().metricsBindAddress()).isNull();

        assertThat(shell.run("run", "--healthz-bind-address=192.0.2.1", "--healthz-port=9", "--metrics-port=9"))
                .isZero();
        assertThat(ran().healthzBindAddress()).isEqualTo(new InetSocketAddress(InetAddress.ofLiteral("192.0.2.1"), 9));
        assertThat(ran().metricsBindAddress().getPort()).isEqualTo(10249);
    }

    @Test
    void onePortAtTwoAddresses_isTaken() {
        assertThat(shell.run("run", "--healthz-bind-address=192.0.2.1:10249", "--metrics-bind-address=127.0.0.1:10249"))
                .as(shell.err())
                .isZero();
        assertThat(shell.run("run", "--healthz-bind-address=0.0.0.0:0", "--metrics-bind-address=127.0.0.1:0"))
                .as(shell.err())
                .isZero();
    }

    /** What GCE's configure-helper.sh starts kube-proxy with, and flags of every other kind. */
    @Test
    void kubeProxysCommandLine_isTaken_andWhatHasNoMeaningIsNamed() {
        int exitCode = shell.run(
                "run",
                "--kubeconfig=" + kubeconfig,
                "--cluster-cidr=10.64.0.0/14",
                "--oom-score-adj=-998",
                "--v=2",
                "--feature-gates=ExperimentalCriticalPodAnnotation=true",
                "--iptables-sync-period=1m",
                "--iptables-min-sync-period=10s",
                "--ipvs-sync-period=1m",
                "--ipvs-min-sync-period=10s",
                "--detect-local-mode=NodeCIDR",
                "--proxy-mode=nftables",
                "--conntrack-tcp-be-liberal",
                "--conntrack-max-per-core=0",
                "--masquerade-all=false",
                "--kube-api-qps=5",
                "--config-sync-period=15m",
                "--profiling",
                "--logging-format=json",
                "--vmodule=proxier=4",
                "--log-json-split-stream",
                "--logtostderr=true",
                "--log_dir=/var/log/a_b",
                "--kube_api_content_type",
                "application/json",
                "--ipvs-exclude-cidrs=10.0.0.0/8,fd00::/8",
                "--cleanup=false",
                "--init-only=false");

        assertThat(exitCode).as(shell.err()).isZero();
        assertThat(ran().syncPeriod()).isEqualTo(Duration.ofMinutes(1));
        assertThat(ran().nodePortAddresses()).containsExactly("primary");
        assertThat(ran().localhostNodePorts()).isFalse();
        assertThat(ran().oomScoreAdj()).isEqualTo(-998);
        assertThat(ran().verbosity()).isEqualTo(2);
        assertThat(ran().remark())
                .startsWith("without meaning here: ")
                .doesNotContain(";", "--conntrack-max-per-core", "--masquerade-all", "--v,", "--proxy-mode");
        assertThat(ran().remark().substring("without meaning here: ".length()).split(", "))
                .containsExactlyInAnyOrder(
                        "--feature-gates",
                        "--iptables-min-sync-period",
                        "--ipvs-min-sync-period",
                        "--conntrack-tcp-be-liberal",
                        "--kube-api-qps",
                        "--config-sync-period",
                        "--profiling",
                        "--logging-format",
                        "--vmodule",
                        "--log-json-split-stream",
                        "--logtostderr",
                        "--log-dir",
                        "--kube-api-content-type",
                        "--ipvs-exclude-cidrs");
    }

    private Path config(String fields) throws IOException {
        return Files.writeString(
                directory.resolve("config.conf"),
                "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n" + fields);
    }

    @Test
    void besideAConfigurationFile_fewOfKubeProxysFlagsCount() throws IOException {
        Path config = config("""
                clientConnection: {kubeconfig: %s}
                hostnameOverride: from-file
                metricsBindAddress: 127.0.0.1:9
                configSyncPeriod: 1m
                logging: {verbosity: 1}
                color: blue
                """.formatted(kubeconfig));
        shell.environment.put("NODE_NAME", "from-environment");
        shell.environment.put("SHUNT_METRICS_BIND_ADDRESS", "127.0.0.1:8");
        shell.environment.put("SHUNT_HEALTHZ_BIND_ADDRESS", "127.0.0.1:7");

        assertThat(shell.run("run", "--config=" + config)).as(shell.err()).isZero();
        assertThat(ran().nodeName()).isEqualTo("from-file");
        assertThat(ran().verbosity()).isEqualTo(1);

        int exitCode = shell.run(
                "run",
                "--config=" + config,
                "--hostname-override=from-flag",
                "--master=https://10.0.0.1",
                "-v=5",
                "--max-services=7",
                "--metrics-bind-address=nonsense",
                "--proxy-mode=ipvs");
        assertThat(exitCode).as(shell.err()).isZero();
        assertThat(ran().config()).isNotNull();
        assertThat(ran().kubeconfig()).isEqualTo(kubeconfig);
        assertThat(ran().apiServer()).isEqualTo("https://10.0.0.1");
        assertThat(ran().nodeName()).isEqualTo("from-flag");
        assertThat(ran().verbosity()).isEqualTo(5);
        assertThat(ran().maxServices()).isEqualTo(7);
        assertThat(ran().metricsBindAddress().getPort()).isEqualTo(9);
        assertThat(ran().healthzBindAddress().getPort()).isEqualTo(7);
        assertThat(ran().localhostNodePorts()).isTrue();
        assertThat(ran().remark())
                .isEqualTo("without meaning here: configSyncPeriod; not read beside --config: --metrics-bind-address,"
                        + " --proxy-mode; unknown: color");
    }

    @Test
    void whatIsWrongInAConfigurationFile_isNamedWithFileAndField() throws IOException {
        Path config = config("mode: userspace\n");
        assertThat(shell.run("run", "--config=" + config)).isEqualTo(2);
        assertThat(shell.err())
                .isEqualTo("shunt run: --config " + config
                        + ": line 3: mode must be iptables, ipvs or nftables, not \"userspace\"\n");

        config("hostnameOverride: a_b\n");
        assertThat(shell.run("run", "--config=" + config)).isEqualTo(2);
        assertThat(shell.err())
                .isEqualTo("shunt run: --config " + config
                        + ": hostnameOverride must be a node's name (letters, digits, '-' and '.'), not \"a_b\"\n");

        config("clientConnection: {kubeconfig: /nowhere}\n");
        assertThat(shell.run("run", "--config=" + config)).isEqualTo(2);
        assertThat(shell.err())
                .startsWith("shunt run: --config " + config
                        + ": clientConnection.kubeconfig /nowhere is not a file that can be read");
        assertThat(shell.ran).isNull();
    }

    @Test
    void writeConfigTo_writesWhatIsInForce_andEnds() throws IOException {
        Path written = directory.resolve("written.yaml");
        assertThat(shell.run("run", "--write-config-to=" + written, "--proxy-mode=ipvs", "--ipvs-sync-period=7s"))
                .as(shell.err())
                .isZero();
        assertThat(shell.ran).isNull();
        assertThat(written).content().contains("mode: \"ipvs\"", "syncPeriod: \"7s\"", "healthzBindAddress:");

        assertThat(shell.run("run", "--config=" + written)).as(shell.err()).isZero();
        assertThat(ran().syncPeriod()).isEqualTo(Duration.ofSeconds(7));
        assertThat(ran().remark()).isEmpty();
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
