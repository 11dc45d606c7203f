package io.shunt.config;

import io.shunt.config.KubeProxySetting.Use;
import io.shunt.net.Address;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * All settings of kube-proxy 1.36, those first that Shunt obeys. Fields are those of KubeProxyConfiguration v1alpha1
 * (k8s.io/kube-proxy/config/v1alpha1), flags those of cmd/kube-proxy/app/options.go on Linux, and what they may be is
 * what pkg/proxy/apis/config/validation says.
 */
public final class KubeProxySettings {
    public static final int HEALTHZ_PORT = 10256;
    public static final int METRICS_PORT = 10249;

    private static final int ANY = Integer.MAX_VALUE;
    private static final List<KubeProxySetting<?>> TABLE = new ArrayList<>();

    public static final KubeProxySetting<String> KUBECONFIG = obeyed(
            "clientConnection.kubeconfig",
            "kubeconfig",
            Shape.text("FILE"),
            new Use("KUBECONFIG", "", "the pod's service account", "How to reach the API server."));

    public static final KubeProxySetting<String> MASTER = obeyed(
            "",
            "master",
            Shape.text("URL"),
            new Use(
                    "",
                    "",
                    "what the kubeconfig or the pod says",
                    "Where the API server is, as https://10.0.0.1:6443."));

    public static final KubeProxySetting<String> HOSTNAME_OVERRIDE = obeyed(
            "hostnameOverride",
            "hostname-override",
            Shape.text("NAME"),
            new Use(
                    "NODE_NAME",
                    "",
                    "the host's name, in lower case",
                    "This node's name, as its Node object is called."));

    public static final KubeProxySetting<String> HEALTHZ_BIND_ADDRESS = obeyed(
            "healthzBindAddress",
            "healthz-bind-address",
            Shape.ipPort(HEALTHZ_PORT),
            new Use(
                    "SHUNT_HEALTHZ_BIND_ADDRESS",
                    "0.0.0.0:" + HEALTHZ_PORT,
                    "",
                    "Where /healthz, /livez and /readyz are served; IPv6 as [::1]:10256, port 0 for any free one."
                            + " 0.0.0.0 takes both families. Empty: nowhere."));

    public static final KubeProxySetting<String> METRICS_BIND_ADDRESS = obeyed(
            "metricsBindAddress",
            "metrics-bind-address",
            Shape.ipPort(METRICS_PORT),
            new Use(
                    "SHUNT_METRICS_BIND_ADDRESS",
                    "127.0.0.1:" + METRICS_PORT,
                    "",
                    "Where /metrics and /api/v1 are served, which `shunt status` and `shunt service` read. Empty:"
                            + " nowhere."));

    public static final KubeProxySetting<Integer> HEALTHZ_PORT_FLAG = obeyed(
            "",
            "healthz-port",
            Shape.integer(0, 65535),
            new Use("", "", "", "The port for a --healthz-bind-address without one; 0: nowhere. Deprecated."));

    public static final KubeProxySetting<Integer> METRICS_PORT_FLAG = obeyed(
            "",
            "metrics-port",
            Shape.integer(0, 65535),
            new Use("", "", "", "The port for a --metrics-bind-address without one; 0: nowhere. Deprecated."));

    public static final KubeProxySetting<Address> BIND_ADDRESS = obeyed(
            "bindAddress",
            "bind-address",
            Shape.ip(),
            new Use(
                    "",
                    "",
                    "what the Node object says",
                    "This node's address of one family; nothing is bound to it. 0.0.0.0 and :: say nothing. --node-ip"
                            + " counts more."));

    public static final KubeProxySetting<List<String>> NODE_PORT_ADDRESSES = obeyed(
            "nodePortAddresses",
            "nodeport-addresses",
            Shape.nodeAddresses(),
            new Use(
                    "SHUNT_NODEPORT_ADDRESSES",
                    "",
                    "all; in nftables mode `primary`",
                    "Which of this node's addresses take NodePorts: those in these CIDRs, or `primary`, those that the"
                            + " Node object names. A family of which no CIDR is given takes them on all."));

    public static final KubeProxySetting<Boolean> LOCALHOST_NODE_PORTS = obeyed(
            "iptables.localhostNodePorts",
            "iptables-localhost-nodeports",
            Shape.truth(),
            new Use(
                    "",
                    "true",
                    "",
                    "Whether NodePorts are reached at 127.0.0.1 too. In nftables and ipvs mode they never are."));

    public static final KubeProxySetting<String> MODE = obeyed(
            "mode",
            "proxy-mode",
            Shape.oneOf("MODE", "iptables", "ipvs", "nftables"),
            new Use(
                    "",
                    "iptables",
                    "",
                    "Shunt works by eBPF in every mode; what remains of a mode is its defaults, for NodePorts, and which"
                            + " sync period counts."));

    public static final KubeProxySetting<Duration> IPTABLES_SYNC_PERIOD = obeyed(
            "iptables.syncPeriod",
            "iptables-sync-period",
            Shape.durationAboveZero(),
            new Use("", "30s", "", "A change that has waited twice as long makes /healthz and /livez say so."));

    public static final KubeProxySetting<Duration> IPVS_SYNC_PERIOD = obeyed(
            "ipvs.syncPeriod",
            "ipvs-sync-period",
            Shape.durationAboveZero(),
            new Use("", "30s", "", "The same in ipvs mode."));

    public static final KubeProxySetting<Duration> NFTABLES_SYNC_PERIOD =
            obeyed("nftables.syncPeriod", "", Shape.durationAboveZero(), new Use("", "30s", "", "In nftables mode."));

    public static final KubeProxySetting<Boolean> MASQUERADE_ALL = obeyed(
            "iptables.masqueradeAll",
            "masquerade-all",
            Shape.truth(),
            new Use(
                    "",
                    "false",
                    "",
                    "Whether whoever asks for a cluster IP by a packet reaches it in this node's name. Not at sockets."));

    public static final KubeProxySetting<Boolean> NFTABLES_MASQUERADE_ALL =
            obeyed("nftables.masqueradeAll", "", Shape.truth(), new Use("", "false", "", "The same; either says it."));

    public static final KubeProxySetting<String> CLUSTER_CIDR = obeyed(
            "clusterCIDR",
            "cluster-cidr",
            Shape.cidrPair(),
            new Use(
                    "",
                    "",
                    "nobody is told from anybody",
                    "The addresses of pods, a range for each family: whoever asks for a cluster IP from elsewhere reaches it in this node's name."));

    public static final KubeProxySetting<String> DETECT_LOCAL_MODE = obeyed(
            "detectLocalMode",
            "detect-local-mode",
            Shape.oneOf("MODE", LocalDetection.CLUSTER_CIDR, "NodeCIDR", LocalDetection.BRIDGE, LocalDetection.PREFIX),
            new Use(
                    "",
                    "ClusterCIDR",
                    "",
                    "How pods are told from whoever is elsewhere: by their addresses, --cluster-cidr; or by the devices to them, which are found in mode NodeCIDR, and named otherwise."));

    public static final KubeProxySetting<String> BRIDGE_INTERFACE = obeyed(
            "detectLocal.bridgeInterface",
            "pod-bridge-interface",
            Shape.text("NAME"),
            new Use("", "", "", "In mode BridgeInterface, the bridge whose ports lead to pods."));

    public static final KubeProxySetting<String> INTERFACE_NAME_PREFIX = obeyed(
            "detectLocal.interfaceNamePrefix",
            "pod-interface-name-prefix",
            Shape.text("PREFIX"),
            new Use("", "", "", "In mode InterfaceNamePrefix, how the names of all devices to pods begin."));

    public static final KubeProxySetting<Integer> CONNTRACK_MAX_PER_CORE = obeyed(
            "conntrack.maxPerCore",
            "conntrack-max-per-core",
            Shape.integer(0, ANY),
            new Use(
                    "",
                    "32768",
                    "",
                    "How many flows are remembered for each CPU of the machine, up to 1048576 in all; 0: --conntrack-min. A flow is a conversation of packets, not of sockets. Netfilter is left alone."));

    public static final KubeProxySetting<Integer> CONNTRACK_MIN = obeyed(
            "conntrack.min",
            "conntrack-min",
            Shape.integer(0, ANY),
            new Use("", "131072", "", "How many at least, with however few CPUs."));

    public static final KubeProxySetting<Duration> TCP_ESTABLISHED_TIMEOUT = obeyed(
            "conntrack.tcpEstablishedTimeout",
            "conntrack-tcp-timeout-established",
            Shape.durationOfZeroOrMore(),
            new Use(
                    "",
                    "24h0m0s",
                    "",
                    "After how long a silence the flow of a TCP connection is forgotten; 0: five days, as by netfilter."));

    public static final KubeProxySetting<Duration> TCP_CLOSE_WAIT_TIMEOUT = obeyed(
            "conntrack.tcpCloseWaitTimeout",
            "conntrack-tcp-timeout-close-wait",
            Shape.durationOfZeroOrMore(),
            new Use("", "1h0m0s", "", "The same once one side has closed it; 0: 60 s."));

    public static final KubeProxySetting<Duration> UDP_TIMEOUT = obeyed(
            "conntrack.udpTimeout",
            "conntrack-udp-timeout",
            Shape.durationOfZeroOrMore(),
            new Use("", "0s", "", "The same of UDP that was not answered; 0: 30 s."));

    public static final KubeProxySetting<Duration> UDP_STREAM_TIMEOUT = obeyed(
            "conntrack.udpStreamTimeout",
            "conntrack-udp-timeout-stream",
            Shape.durationOfZeroOrMore(),
            new Use("", "0s", "", "The same of UDP to and fro; 0: 120 s."));

    public static final KubeProxySetting<Integer> OOM_SCORE_ADJ = obeyed(
            "oomScoreAdj",
            "oom-score-adj",
            Shape.integer(-1000, 1000),
            new Use(
                    "",
                    "",
                    "as the daemon is started",
                    "How gladly the kernel kills the daemon when memory runs out."));

    public static final KubeProxySetting<Integer> VERBOSITY = obeyed(
            "logging.verbosity",
            "v",
            Shape.integer(0, ANY),
            new Use("", "0", "", "How much is logged; 4 or more tells of every step."));

    static final KubeProxySetting<Duration> IPTABLES_MIN_SYNC_PERIOD =
            ignored("iptables.minSyncPeriod", "iptables-min-sync-period", Shape.durationOfZeroOrMore());
    static final KubeProxySetting<Duration> IPVS_MIN_SYNC_PERIOD =
            ignored("ipvs.minSyncPeriod", "ipvs-min-sync-period", Shape.durationOfZeroOrMore());
    static final KubeProxySetting<Duration> NFTABLES_MIN_SYNC_PERIOD =
            ignored("nftables.minSyncPeriod", "", Shape.durationOfZeroOrMore());

    static {
        ignored("clientConnection.acceptContentTypes", "", Shape.text("TYPES"));
        ignored("clientConnection.contentType", "kube-api-content-type", Shape.text("TYPE"));
        ignored("clientConnection.qps", "kube-api-qps", Shape.number());
        ignored("clientConnection.burst", "kube-api-burst", Shape.integer(0, ANY));
        ignored("configSyncPeriod", "config-sync-period", Shape.durationAboveZero());
        ignored("bindAddressHardFail", "bind-address-hard-fail", Shape.truth());
        ignored("enableProfiling", "profiling", Shape.truth());
        ignored("showHiddenMetricsForVersion", "show-hidden-metrics-for-version", Shape.text("VERSION"));
        ignored("featureGates", "feature-gates", Shape.truths());
        ignored("portRange", "", Shape.text("RANGE"));
        ignored("windowsRunAsService", "", Shape.truth());
        ignored("iptables.masqueradeBit", "iptables-masquerade-bit", Shape.integer(0, 31));
        ignored("ipvs.scheduler", "ipvs-scheduler", Shape.text("NAME"));
        ignored("ipvs.excludeCIDRs", "ipvs-exclude-cidrs", Shape.cidrs());
        ignored("ipvs.strictARP", "ipvs-strict-arp", Shape.truth());
        ignored("ipvs.tcpTimeout", "ipvs-tcp-timeout", Shape.durationOfZeroOrMore());
        ignored("ipvs.tcpFinTimeout", "ipvs-tcpfin-timeout", Shape.durationOfZeroOrMore());
        ignored("ipvs.udpTimeout", "ipvs-udp-timeout", Shape.durationOfZeroOrMore());
        ignored("nftables.masqueradeBit", "", Shape.integer(0, 31));
        ignored("conntrack.tcpBeLiberal", "conntrack-tcp-be-liberal", Shape.truth());
        ignored("winkernel.networkName", "", Shape.text("NAME"));
        ignored("winkernel.sourceVip", "", Shape.text("IP"));
        ignored("winkernel.enableDSR", "", Shape.truth());
        ignored("winkernel.rootHnsEndpointName", "", Shape.text("NAME"));
        ignored("winkernel.forwardHealthCheckVip", "", Shape.truth());
        ignored("logging.format", "logging-format", Shape.oneOf("FORMAT", "text", "json"));
        ignored("logging.flushFrequency", "log-flush-frequency", Shape.durationOrNanos());
        ignored("logging.vmodule", "vmodule", Shape.anything("PATTERN=N,..."));
        ignored("logging.options.text.splitStream", "log-text-split-stream", Shape.truth());
        ignored("logging.options.text.infoBufferSize", "log-text-info-buffer-size", Shape.quantity());
        ignored("logging.options.json.splitStream", "log-json-split-stream", Shape.truth());
        ignored("logging.options.json.infoBufferSize", "log-json-info-buffer-size", Shape.quantity());
        // klog's own, which kube-proxy's reference lists too.
        for (String flag : List.of(
                "add-dir-header", "alsologtostderr", "logtostderr", "one-output", "skip-headers", "skip-log-headers")) {
            ignored("", flag, Shape.truth());
        }
        for (String flag : List.of(
                "boot-id-file",
                "log-backtrace-at",
                "log-dir",
                "log-file",
                "log-file-max-size",
                "machine-id-file",
                "stderrthreshold")) {
            ignored("", flag, Shape.text("TEXT"));
        }
    }

    private KubeProxySettings() {}

    /** All of them. */
    public static List<KubeProxySetting<?>> all() {
        return Collections.unmodifiableList(TABLE);
    }

    /** The port of an address that is given without one. */
    public static int usualPort(KubeProxySetting<String> bindAddress) {
        return bindAddress == HEALTHZ_BIND_ADDRESS ? HEALTHZ_PORT : METRICS_PORT;
    }

    private static <T> KubeProxySetting<T> obeyed(String field, String flag, Shape<T> shape, Use use) {
        KubeProxySetting<T> setting = new KubeProxySetting<>(field, flag, shape, use);
        TABLE.add(setting);
        return setting;
    }

    private static <T> KubeProxySetting<T> ignored(String field, String flag, Shape<T> shape) {
        KubeProxySetting<T> setting = new KubeProxySetting<>(field, flag, shape, null);
        TABLE.add(setting);
        return setting;
    }
}
