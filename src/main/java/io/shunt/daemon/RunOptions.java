package io.shunt.daemon;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Forwarding;
import io.shunt.config.ConfigFile;
import io.shunt.config.GoDuration;
import io.shunt.config.LocalDetection;
import io.shunt.datapath.Acceleration;
import io.shunt.datapath.FlowTimeouts;
import io.shunt.net.Address;
import io.shunt.net.HostPort;
import io.shunt.net.Prefix;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What `shunt run` was asked to do.
 *
 * @param source {@code kubernetes} or {@code file:DIR}
 * @param config the file that much of this was read from, null if there is none; the daemon ends when it says
 *     something else
 * @param kubeconfig null: in-cluster configuration
 * @param apiServer the API server's URL instead of the one that the kubeconfig or the pod names, null: that one
 * @param nodeName this node's name, as its Node object is called
 * @param nodeIps this node's addresses instead of those that its Node object names, at most one of each family; of a
 *     family that is not here, that one
 * @param cgroupRoot the cgroup2 directory whose sockets are translated
 * @param bpfRoot a directory on a bpffs, where links and maps are pinned; made if missing
 * @param maxServices how many virtual services (Service ports, counted for each family) the maps hold
 * @param maxBackends how many backends the maps hold, all services together
 * @param algorithm how backends are chosen where the Service does not say
 * @param maglevTableSize how many slots a Maglev table has, a prime number
 * @param maxMaglevTables how many of them the maps hold at least
 * @param nodePortAddresses which of this node's addresses take NodePorts: CIDRs, bits beyond their prefix may be set; or
 *     {@code primary} alone, those that the Node object names; empty, all. A family of which no CIDR is here takes them
 *     on all
 * @param devices at which devices packets are translated, as {@link io.shunt.host.NodeDevices#of} reads it
 * @param acceleration whether packets from the network are translated at its devices' drivers
 * @param forwarding how those from elsewhere reach backends on other nodes where the Service does not say
 * @param masqueradeAll whether the node speaks in the name of all who ask for a cluster IP by a packet
 * @param localDetection how it is told who is inside, and asks for a cluster IP in his own name
 * @param maxFlows how many confirmed conversations of packets are remembered
 * @param flowTimeouts for how long
 * @param localhostNodePorts whether NodePorts are reached at 127.0.0.1 too
 * @param hostNamespaceOnly whether only sockets of the host's network namespace are translated
 * @param endStaleTcp whether TCP connections to backends that are gone are ended
 * @param syncPeriod a change that has waited twice as long makes the daemon unhealthy
 * @param healthzBindAddress null: not served
 * @param metricsBindAddress null: not served
 * @param oomScoreAdj -1000 to 1000, null: as it is
 * @param verbosity klog's level: 0 or more, 4 tells of every step
 * @param remark what was given and does not count, in one line; "" if all does
 */
public record RunOptions(
        String source,
        @Nullable ConfigFile config,
        @Nullable Path kubeconfig,
        @Nullable String apiServer,
        String nodeName,
        List<Address> nodeIps,
        Path cgroupRoot,
        Path bpfRoot,
        int maxServices,
        int maxBackends,
        Algorithm algorithm,
        int maglevTableSize,
        int maxMaglevTables,
        List<String> nodePortAddresses,
        boolean localhostNodePorts,
        List<String> devices,
        Acceleration acceleration,
        Forwarding forwarding,
        boolean masqueradeAll,
        LocalDetection localDetection,
        int maxFlows,
        FlowTimeouts flowTimeouts,
        boolean hostNamespaceOnly,
        boolean endStaleTcp,
        Duration syncPeriod,
        @Nullable InetSocketAddress healthzBindAddress,
        @Nullable InetSocketAddress metricsBindAddress,
        @Nullable Integer oomScoreAdj,
        int verbosity,
        String remark) {
    /** Whether an API server says what to do, and so knows this node. */
    boolean isOfCluster() {
        return source.equals("kubernetes");
    }

    /**
     * What is in force, by group: what kube-proxy has a setting for under the name and in the form of its own /configz,
     * and all flags under {@code shunt}.
     */
    Map<String, Map<String, ?>> configuration() {
        Map<String, Object> kubeProxy = new LinkedHashMap<>();
        kubeProxy.put("apiVersion", "kubeproxy.config.k8s.io/v1alpha1");
        kubeProxy.put("kind", "KubeProxyConfiguration");
        kubeProxy.put("clientConnection", Map.of("kubeconfig", kubeconfig == null ? "" : kubeconfig.toString()));
        kubeProxy.put("hostnameOverride", nodeName);
        kubeProxy.put("healthzBindAddress", address(healthzBindAddress));
        kubeProxy.put("metricsBindAddress", address(metricsBindAddress));
        kubeProxy.put("mode", "ebpf");
        kubeProxy.put("nodePortAddresses", nodePortAddresses);
        kubeProxy.put("clusterCIDR", clusterCidr());
        kubeProxy.put("detectLocalMode", localDetection.mode());
        kubeProxy.put(
                "detectLocal",
                Map.of(
                        "bridgeInterface", localDetection.byBridge() ? localDetection.device() : "",
                        "interfaceNamePrefix", localDetection.byPrefix() ? localDetection.device() : ""));
        Map<String, Object> conntrack = new LinkedHashMap<>();
        conntrack.put("min", maxFlows);
        conntrack.put("tcpEstablishedTimeout", GoDuration.format(flowTimeouts.tcpEstablished()));
        conntrack.put("tcpCloseWaitTimeout", GoDuration.format(flowTimeouts.tcpHalfClosed()));
        conntrack.put("udpTimeout", GoDuration.format(flowTimeouts.udp()));
        conntrack.put("udpStreamTimeout", GoDuration.format(flowTimeouts.udpStream()));
        kubeProxy.put("conntrack", conntrack);
        Map<String, Object> iptables = new LinkedHashMap<>();
        iptables.put("masqueradeAll", masqueradeAll);
        iptables.put("localhostNodePorts", localhostNodePorts);
        iptables.put("syncPeriod", GoDuration.format(syncPeriod));
        kubeProxy.put("iptables", iptables);
        if (oomScoreAdj != null) {
            kubeProxy.put("oomScoreAdj", oomScoreAdj);
        }
        Map<String, Map<String, ?>> groups = new LinkedHashMap<>();
        groups.put("kubeproxy.config.k8s.io", kubeProxy);
        groups.put("shunt", flags());
        return groups;
    }

    /** The flags that give these options without a configuration file, with their values. */
    public Map<String, String> flags() {
        Map<String, String> flags = new LinkedHashMap<>();
        flags.put("source", source);
        if (kubeconfig != null) {
            flags.put("kubeconfig", kubeconfig.toString());
        }
        if (apiServer != null) {
            flags.put("master", apiServer);
        }
        flags.put("hostname-override", nodeName);
        if (!nodeIps.isEmpty()) {
            flags.put("node-ip", nodeIps.stream().map(Address::toString).collect(Collectors.joining(",")));
        }
        flags.put("cgroup-root", cgroupRoot.toString());
        flags.put("bpf-root", bpfRoot.toString());
        flags.put("max-services", Integer.toString(maxServices));
        flags.put("max-backends", Integer.toString(maxBackends));
        flags.put("algorithm", algorithm.toString());
        flags.put("maglev-table-size", Integer.toString(maglevTableSize));
        flags.put("max-maglev-tables", Integer.toString(maxMaglevTables));
        flags.put("nodeport-addresses", String.join(",", nodePortAddresses));
        flags.put("iptables-localhost-nodeports", Boolean.toString(localhostNodePorts));
        if (!devices.isEmpty()) {
            flags.put("devices", String.join(",", devices));
        }
        flags.put("acceleration", acceleration.name().toLowerCase(Locale.ROOT));
        flags.put("forwarding", forwarding.toString());
        flags.put("masquerade-all", Boolean.toString(masqueradeAll));
        flags.put("cluster-cidr", clusterCidr());
        flags.put("detect-local-mode", localDetection.mode());
        flags.put("pod-bridge-interface", localDetection.byBridge() ? localDetection.device() : "");
        flags.put("pod-interface-name-prefix", localDetection.byPrefix() ? localDetection.device() : "");
        flags.put("max-flows", Integer.toString(maxFlows));
        flags.put("conntrack-tcp-timeout-established", GoDuration.format(flowTimeouts.tcpEstablished()));
        flags.put("conntrack-tcp-timeout-close-wait", GoDuration.format(flowTimeouts.tcpHalfClosed()));
        flags.put("conntrack-udp-timeout", GoDuration.format(flowTimeouts.udp()));
        flags.put("conntrack-udp-timeout-stream", GoDuration.format(flowTimeouts.udpStream()));
        flags.put("socket-host-namespace-only", Boolean.toString(hostNamespaceOnly));
        flags.put("end-stale-tcp", Boolean.toString(endStaleTcp));
        flags.put("iptables-sync-period", GoDuration.format(syncPeriod));
        flags.put("healthz-bind-address", address(healthzBindAddress));
        flags.put("metrics-bind-address", address(metricsBindAddress));
        if (oomScoreAdj != null) {
            flags.put("oom-score-adj", oomScoreAdj.toString());
        }
        flags.put("v", Integer.toString(verbosity));
        return flags;
    }

    private String clusterCidr() {
        return localDetection.ranges().stream().map(Prefix::toString).collect(Collectors.joining(","));
    }

    private static String address(@Nullable InetSocketAddress address) {
        return address == null ? "" : HostPort.format(address);
    }
}
