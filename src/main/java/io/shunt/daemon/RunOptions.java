package io.shunt.daemon;

import java.net.InetSocketAddress;
import java.nio.file.Path;
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
        InetSocketAddress metricsBindAddress) {}
