package io.shunt.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigFileTest {
    private static final Path PATH = Path.of("/etc/kp.conf");
    private static final String HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

    @TempDir
    private Path directory;

    private static ConfigFile whole(String text) {
        return ConfigFile.of(PATH, text.getBytes(StandardCharsets.UTF_8));
    }

    private static KubeProxyConfiguration says(String fields) {
        return whole(HEAD + fields).says();
    }

    private static String kubeadm() {
        try (InputStream in = Objects.requireNonNull(ConfigFileTest.class.getResourceAsStream("kubeadm.yaml"))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void kubeadmsFile_saysOnlyWhereTheApiServerIs_andTheClusterCidr() {
        ConfigFile file = whole(kubeadm());

        assertThat(file.unknown()).isEmpty();
        assertThat(file.says().meaningless()).isEmpty();
        assertThat(file.says().localDetection())
                .isEqualTo(new LocalDetection(
                        "ClusterCIDR",
                        List.of(
                                Prefix.parse("10.244.0.0/16").orElseThrow(),
                                Prefix.parse("fd00:10:244::/56").orElseThrow()),
                        ""));
        assertThat(file.says().get(KubeProxySettings.KUBECONFIG)).contains("/var/lib/kube-proxy/kubeconfig.conf");
        assertThat(file.says().nodeIp()).isEmpty();
        assertThat(file.says().given().keySet())
                .containsExactlyInAnyOrderElementsOf(KubeProxySettings.all().stream()
                        .filter(setting -> List.of(
                                        "bindAddress",
                                        "bindAddressHardFail",
                                        "clientConnection.burst",
                                        "clientConnection.kubeconfig",
                                        "clientConnection.qps",
                                        "clusterCIDR",
                                        "conntrack.tcpBeLiberal",
                                        "enableProfiling",
                                        "iptables.masqueradeAll",
                                        "ipvs.strictARP",
                                        "logging.options.json.infoBufferSize",
                                        "logging.options.text.infoBufferSize",
                                        "logging.verbosity",
                                        "nftables.masqueradeAll",
                                        "winkernel.enableDSR",
                                        "winkernel.forwardHealthCheckVip")
                                .contains(setting.field()))
                        .toList());
    }

    @Test
    void allThatIsObeyed_isTaken() {
        KubeProxyConfiguration says = says("""
                clientConnection: {kubeconfig: /k}
                hostnameOverride: Node-1
                bindAddress: 192.0.2.1
                healthzBindAddress: 192.0.2.2
                metricsBindAddress: "[::1]:7"
                nodePortAddresses: [10.0.0.0/8, "fd00::/8"]
                iptables: {localhostNodePorts: false, syncPeriod: 1m}
                oomScoreAdj: -999
                logging: {verbosity: 4}
                nftables: {masqueradeAll: true}
                clusterCIDR: 10.0.0.0/8
                detectLocalMode: InterfaceNamePrefix
                detectLocal: {interfaceNamePrefix: gke}
                conntrack: {maxPerCore: 0, min: 9, tcpEstablishedTimeout: 0s, udpStreamTimeout: 1m}
                """);

        assertThat(says.get(KubeProxySettings.KUBECONFIG)).contains("/k");
        assertThat(says.get(KubeProxySettings.HOSTNAME_OVERRIDE)).contains("Node-1");
        assertThat(says.nodeIp()).contains(Address.of("192.0.2.1"));
        assertThat(says.get(KubeProxySettings.HEALTHZ_BIND_ADDRESS)).contains("192.0.2.2");
        assertThat(says.get(KubeProxySettings.METRICS_BIND_ADDRESS)).contains("[::1]:7");
        assertThat(says.nodePortAddresses()).containsExactly("10.0.0.0/8", "fd00::/8");
        assertThat(says.localhostNodePorts()).isFalse();
        assertThat(says.syncPeriod()).isEqualTo(Duration.ofMinutes(1));
        assertThat(says.get(KubeProxySettings.OOM_SCORE_ADJ)).contains(-999);
        assertThat(says.get(KubeProxySettings.VERBOSITY)).contains(4);
        assertThat(says.masqueradeAll()).isTrue();
        assertThat(says.localDetection()).isEqualTo(new LocalDetection("InterfaceNamePrefix", List.of(), "gke"));
        assertThat(says.flows(64)).isEqualTo(9);
        assertThat(says.get(KubeProxySettings.TCP_ESTABLISHED_TIMEOUT)).contains(Duration.ZERO);
        assertThat(says.get(KubeProxySettings.UDP_STREAM_TIMEOUT)).contains(Duration.ofMinutes(1));
        assertThat(says.meaningless()).isEmpty();
    }

    @Test
    void json_isReadToo_alsoWithTabs() {
        ConfigFile file = whole("""
                \t{
                \t"apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                \t"kind": "KubeProxyConfiguration",
                \t"iptables": {"syncPeriod": "45s"}
                }
                """);
        assertThat(file.says().syncPeriod()).isEqualTo(Duration.ofSeconds(45));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            {}                                                   | 30 |         | true
            {mode: iptables, ipvs: {syncPeriod: 5s}}             | 30 |         | true
            {mode: ipvs, ipvs: {syncPeriod: 5s}}                 |  5 |         | false
            {mode: nftables}                                     | 30 | primary | false
            {mode: nftables, nftables: {syncPeriod: 5s}}         |  5 | primary | false
            {mode: nftables, nodePortAddresses: [10.0.0.0/8]}    | 30 | 10.0.0.0/8 | false
            {nodePortAddresses: [primary]}                       | 30 | primary | true
            {iptables: {localhostNodePorts: true}}               | 30 |         | true
            """)
    void aMode_bringsItsDefaults(String fields, int syncSeconds, String addresses, boolean localhost) {
        KubeProxyConfiguration says =
                says(fields.substring(1, fields.length() - 1).replaceAll("^(mode: \\w+), ", "$1\n"));
        assertThat(says.syncPeriod()).isEqualTo(Duration.ofSeconds(syncSeconds));
        assertThat(says.nodePortAddresses())
                .isEqualTo(Optional.ofNullable(addresses).stream().toList());
        assertThat(says.localhostNodePorts()).isEqualTo(localhost);
    }

    @Test
    void anIpv6BindAddress_movesTheServersDefaults() {
        KubeProxyConfiguration says = says("bindAddress: '::'\n");
        assertThat(says.get(KubeProxySettings.HEALTHZ_BIND_ADDRESS)).contains("[::]:10256");
        assertThat(says.get(KubeProxySettings.METRICS_BIND_ADDRESS)).contains("[::1]:10249");
        assertThat(says("bindAddress: '::'\nhealthzBindAddress: 127.0.0.1:1")
                        .get(KubeProxySettings.HEALTHZ_BIND_ADDRESS))
                .contains("127.0.0.1:1");
    }

    @Test
    void whatHasNoMeaningHere_isNamed_unlessItAsksForNothing() {
        assertThat(says("""
                        clientConnection: {qps: 5, burst: 10, contentType: application/json}
                        configSyncPeriod: 15m0s
                        conntrack: {maxPerCore: 32768, min: 0, tcpEstablishedTimeout: 24h0m0s, udpTimeout: 0s}
                        detectLocalMode: InterfaceNamePrefix
                        detectLocal: {interfaceNamePrefix: gke}
                        enableProfiling: true
                        featureGates: {NFTablesProxyMode: true}
                        iptables: {masqueradeAll: true, masqueradeBit: 14, minSyncPeriod: 10s}
                        ipvs: {scheduler: rr, excludeCIDRs: [], strictARP: false}
                        logging: {format: json, flushFrequency: 5000000000, vmodule: [{filePattern: a, verbosity: 1}]}
                        """).meaningless())
                .containsExactly(
                        "clientConnection.qps",
                        "clientConnection.burst",
                        "clientConnection.contentType",
                        "configSyncPeriod",
                        "enableProfiling",
                        "featureGates",
                        "iptables.masqueradeBit",
                        "iptables.minSyncPeriod",
                        "ipvs.scheduler",
                        "logging.format",
                        "logging.flushFrequency",
                        "logging.vmodule");
    }

    @Test
    void whatIsUnknown_isNamedAndPassedOver() {
        ConfigFile file = whole(HEAD + """
                udpIdleTimeout: 250ms
                conntrack:
                  max: null
                  min: 0
                iptables:
                  new: {deep: [1, {a: b}]}
                  syncPeriod: 10s
                mode: iptables
                mode: ipvs
                iptables.localhostNodePorts: false
                ---
                more: 1
                """);
        assertThat(file.unknown())
                .containsExactly(
                        "udpIdleTimeout",
                        "conntrack.max",
                        "iptables.new",
                        "mode a second time, which counts",
                        "iptables.localhostNodePorts",
                        "what follows the first document");
        assertThat(file.says().get(KubeProxySettings.MODE)).contains("ipvs");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            mode: userspace                     | line 3: mode must be iptables, ipvs or nftables, not "userspace"
            mode: 5                             | line 3: mode must be iptables, ipvs or nftables, not 5: put it in quotes
            mode: [ipvs]                        | line 3: mode must be iptables, ipvs or nftables, not a list
            hostnameOverride: 123               | line 3: hostnameOverride must be text, not 123: put it in quotes
            bindAddress: localhost              | line 3: bindAddress must be an IP address, not "localhost"
            healthzBindAddress: 10256           | line 3: healthzBindAddress must be an address and port, as 127.0.0.1:10256 or [::1]:10256, not 10256: put it in quotes
            healthzBindAddress: 0.0.0.0:99999   | line 3: healthzBindAddress must be an address and port, as 127.0.0.1:10256 or [::1]:10256, not "0.0.0.0:99999"
            metricsBindAddress: localhost:1     | line 3: metricsBindAddress must be an address and port, as 127.0.0.1:10249 or [::1]:10249, not "localhost:1"
            clusterCIDR: 10.244.0.0             | line 3: clusterCIDR must be a CIDR, or one of each family as 10.244.0.0/16,fd00:10:244::/56, not "10.244.0.0"
            clusterCIDR: 10.0.0.0/8,11.0.0.0/8  | line 3: clusterCIDR must be a CIDR, or one of each family as 10.244.0.0/16,fd00:10:244::/56, not "10.0.0.0/8,11.0.0.0/8"
            nodePortAddresses: primary          | line 3: nodePortAddresses must be a list, not "primary"
            nodePortAddresses: [10.0.0.0/8, 10.0.0.0/33] | line 3: nodePortAddresses[1] must be a CIDR, as 10.0.0.0/8 or fd00::/8, not "10.0.0.0/33"
            nodePortAddresses: [10.0.0.0/8, primary] | line 3: nodePortAddresses[1] must be a CIDR, as 10.0.0.0/8 or fd00::/8, not "primary"
            nodePortAddresses: [10.0.0.0/8, 1]  | line 3: nodePortAddresses[1] must be a CIDR, as 10.0.0.0/8 or fd00::/8, not 1: put it in quotes
            configSyncPeriod: -1s               | line 3: configSyncPeriod must be a duration above 0, as 30s or 1m, not "-1s"
            configSyncPeriod: 900               | line 3: configSyncPeriod must be a duration above 0, as 30s or 1m, not 900: put it in quotes
            "iptables: {syncPeriod: 30}"        | line 3: iptables.syncPeriod must be a duration above 0, as 30s or 1m, not 30: put it in quotes
            "iptables: {masqueradeBit: 32}"     | line 3: iptables.masqueradeBit must be a whole number from 0 to 31, not "32"
            "iptables: {masqueradeBit: '14'}"   | line 3: iptables.masqueradeBit must be a whole number from 0 to 31, not "14"
            "iptables: {masqueradeAll: 1}"      | line 3: iptables.masqueradeAll must be true or false, not 1
            "iptables: {localhostNodePorts: yes}" | line 3: iptables.localhostNodePorts must be true or false, not "yes"
            iptables: 1                         | line 3: iptables must hold fields, not 1
            "conntrack: {min: -1}"              | line 3: conntrack.min must be a whole number of 0 or more, not "-1"
            "conntrack: {udpTimeout: -1s}"      | line 3: conntrack.udpTimeout must be a duration of 0 or more, as 30s or 1m, not "-1s"
            "clientConnection: {qps: fast}"     | line 3: clientConnection.qps must be a number, not "fast"
            "clientConnection: {burst: 1.5}"    | line 3: clientConnection.burst must be a whole number of 0 or more, not "1.5"
            "featureGates: {A: maybe}"          | line 3: featureGates must be fields, each true or false, not A: "maybe"
            featureGates: [A]                   | line 3: featureGates must be fields, each true or false, not a list
            detectLocalMode: Guess              | line 3: detectLocalMode must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix, not "Guess"
            detectLocalMode: BridgeInterface    | detectLocalMode is BridgeInterface, which needs detectLocal.bridgeInterface: give it
            oomScoreAdj: 1001                   | line 3: oomScoreAdj must be a whole number from -1000 to 1000, not "1001"
            "logging: {format: xml}"            | line 3: logging.format must be text or json, not "xml"
            "logging: {verbosity: -1}"          | line 3: logging.verbosity must be a whole number of 0 or more, not "-1"
            "logging: {options: {json: {infoBufferSize: big}}}" | line 3: logging.options.json.infoBufferSize must be a quantity, as 0 or 64Ki, not "big"
            "ipvs: {excludeCIDRs: [10.0.0.1]}"  | line 3: ipvs.excludeCIDRs[0] must be a CIDR, as 10.0.0.0/8 or fd00::/8, not "10.0.0.1"
            "iptables: {minSyncPeriod: 1m}"     | iptables.minSyncPeriod must not be longer than the sync period, 30s, but is 1m0s
            "hostnameOverride: &a x\\nmode: *a" | line 4: mode is an alias: write out what it stands for
            """)
    void aWrongField_isNamedWithItsFileAndLine(String fields, String message) {
        String yaml = fields.startsWith("\"")
                ? fields.substring(1, fields.length() - 1).replace("\\n", "\n")
                : fields;
        assertThatThrownBy(() -> says(yaml + "\n"))
                .isInstanceOf(ConfigurationException.class)
                .hasMessage("--config /etc/kp.conf: " + message);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            ``                                | apiVersion is missing: write apiVersion: kubeproxy.config.k8s.io/v1alpha1
            kind: KubeProxyConfiguration      | apiVersion is missing: write apiVersion: kubeproxy.config.k8s.io/v1alpha1
            apiVersion: kubeproxy.config.k8s.io/v1alpha1 | kind is missing: write kind: KubeProxyConfiguration
            apiVersion: v1                    | line 1: apiVersion must be kubeproxy.config.k8s.io/v1alpha1, not "v1"
            kind: ConfigMap                   | line 1: kind must be KubeProxyConfiguration, not "ConfigMap"
            - a                               | line 1: must be the fields of a KubeProxyConfiguration, not a list
            just text                         | line 1: must be the fields of a KubeProxyConfiguration, not "just text"
            """)
    void whatIsNoKubeProxyConfiguration_isRefused(String text, String message) {
        assertThatThrownBy(() -> whole(text)).hasMessage("--config /etc/kp.conf: " + message);
    }

    @Test
    void whatIsNoYaml_isRefusedWithItsLine() {
        assertThatThrownBy(() -> says("a: [1\nb: }"))
                .isInstanceOf(ConfigurationException.class)
                .message()
                .startsWith("--config /etc/kp.conf: line 4: no YAML or JSON: ")
                .endsWith(": correct it")
                .hasLineCount(1);
        assertThatThrownBy(() -> whole("{\"apiVersion\": }"))
                .message()
                .startsWith("--config /etc/kp.conf: line 1: no YAML or JSON: ");
        assertThatThrownBy(() -> ConfigFile.of(PATH, new byte[] {(byte) 0xff, 0}))
                .hasMessage("--config /etc/kp.conf is no text in UTF-8: write YAML or JSON");
    }

    @Test
    void aFileThatIsNotThere_isSaid() throws IOException {
        Path none = directory.resolve("none");
        assertThatThrownBy(() -> ConfigFile.read(none))
                .hasMessage("--config " + none + " is not a file that can be read: give one");
        assertThatThrownBy(() -> ConfigFile.read(directory))
                .hasMessage("--config " + directory + " is not a file that can be read: give one");
        Files.writeString(none, HEAD);
        assertThat(ConfigFile.read(none).says().given()).isEmpty();
    }

    @Test
    void whatIsWritten_readsAsTheSameAgain() {
        KubeProxyConfiguration says = says("""
                mode: nftables
                bindAddress: "::1"
                nodePortAddresses: [primary]
                nftables: {syncPeriod: 1m30s}
                featureGates: {A: true, B: false}
                clientConnection: {qps: 2.5}
                oomScoreAdj: 7
                """);
        ConfigFile again = whole(says.toYaml());

        assertThat(again.unknown()).isEmpty();
        for (KubeProxySetting<?> setting : says.given().keySet()) {
            assertThat(again.says().get(setting)).as(setting.field()).isEqualTo(says.get(setting));
        }
        assertThat(again.says().get(KubeProxySettings.IPVS_SYNC_PERIOD)).contains(Duration.ofSeconds(30));
    }
}
