package io.shunt.daemon;

import io.shunt.api.HostPort;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What `shunt run` was asked to do.
 *
 * @param source {@code kubernetes} or {@code file:DIR}
 * @param kubeconfig null: in-cluster configuration
 * @param nodeName this node's name, as its Node object is called
 * @param cgroupRoot the cgroup2 directory whose sockets are translated
 * @param bpfRoot a directory on a bpffs, where links and maps are pinned; made if missing
 * @param maxServices how many virtual services (Service ports, counted for each family) the maps hold
 * @param maxBackends how many backends the maps hold, all services together
 */
public record RunOptions(
        String source,
        @Nullable Path kubeconfig,
        String nodeName,
        Path cgroupRoot,
        Path bpfRoot,
        int maxServices,
        int maxBackends,
        InetSocketAddress healthzBindAddress,
        InetSocketAddress metricsBindAddress) {
    /** The flags that give these options, with their values, in the order of `shunt run --help`. */
    public Map<String, String> flags() {
        Map<String, String> flags = new LinkedHashMap<>();
        flags.put("source", source);
        if (kubeconfig != null) {
            flags.put("kubeconfig", kubeconfig.toString());
        }
        flags.put("hostname-override", nodeName);
        flags.put("cgroup-root", cgroupRoot.toString());
        flags.put("bpf-root", bpfRoot.toString());
        flags.put("max-services", Integer.toString(maxServices));
        flags.put("max-backends", Integer.toString(maxBackends));
        flags.put("healthz-bind-address", HostPort.format(healthzBindAddress));
        flags.put("metrics-bind-address", HostPort.format(metricsBindAddress));
        return flags;
    }
}
