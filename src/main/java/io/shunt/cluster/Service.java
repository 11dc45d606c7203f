package io.shunt.cluster;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A Service that a proxy has to serve; those that kube-proxy skips (headless, ExternalName, another proxy's) never
 * become one.
 *
 * @param clusterIps one or two addresses, at most one a family
 * @param ports in the Service's order; names, (port, protocol) and (node port, protocol) are unique
 * @param external how it is reached by other addresses than those
 * @param internalPolicy where connections to its cluster IPs may go
 * @param affinitySeconds how long a client stays with its backend after its last connection (session affinity
 *     ClientIP), 1 to 86400; 0 without affinity
 * @param algorithm how a backend is chosen (annotation {@code shunt.io/algorithm}), null if the Service does not say
 * @param forwarding how those from elsewhere reach backends on other nodes (annotation {@code shunt.io/forwarding}), null
 *     if the Service does not say
 */
public record Service(
        ObjectName name,
        List<Address> clusterIps,
        List<Port> ports,
        External external,
        TrafficPolicy internalPolicy,
        int affinitySeconds,
        @Nullable Algorithm algorithm,
        @Nullable Forwarding forwarding) {
    public Service {
        clusterIps = List.copyOf(clusterIps);
        ports = List.copyOf(ports);
    }

    /** A Service that says neither how a backend is chosen nor how those from elsewhere are forwarded. */
    public Service(
            ObjectName name,
            List<Address> clusterIps,
            List<Port> ports,
            External external,
            TrafficPolicy internalPolicy,
            int affinitySeconds) {
        this(name, clusterIps, ports, external, internalPolicy, affinitySeconds, null, null);
    }

    /** A Service that has cluster IPs and nothing special. */
    public Service(ObjectName name, List<Address> clusterIps, List<Port> ports) {
        this(name, clusterIps, ports, External.NONE, TrafficPolicy.CLUSTER, 0);
    }

    /**
     * One port of a Service. The target port is not here: endpoints say it themselves, under the same port name.
     *
     * @param name the port's name, "" if it has none
     * @param port 1 to 65535
     * @param nodePort 1 to 65535, 0 if it has none
     */
    public record Port(String name, Protocol protocol, int port, int nodePort) {
        /** A port without a node port. */
        public Port(String name, Protocol protocol, int port) {
            this(name, protocol, port, 0);
        }
    }

    /**
     * The ways in from outside the cluster, which those inside may take too.
     *
     * @param ips the Service's external IPs ({@code spec.externalIPs}), of either family
     * @param loadBalancerIps where its load balancer delivers to ({@code status.loadBalancer.ingress} with an ip and
     *     ipMode VIP), of either family
     * @param sourceRanges from where its load-balancer IPs of their families may be reached
     * @param restricted the families whose load-balancer IPs may be reached from there alone: those of the ranges, and
     *     those that shall have some of which none can be used, which nobody reaches
     * @param policy where connections from outside may go
     * @param healthCheckNodePort where load balancers ask whether this node has endpoints, 1 to 65535; 0 if they do not
     *     (only with type LoadBalancer and policy Local)
     */
    public record External(
            List<Address> ips,
            List<Address> loadBalancerIps,
            List<Prefix> sourceRanges,
            Set<IpFamily> restricted,
            TrafficPolicy policy,
            int healthCheckNodePort) {
        /** No other way in. */
        public static final External NONE =
                new External(List.of(), List.of(), List.of(), Set.of(), TrafficPolicy.CLUSTER, 0);

        public External {
            ips = List.copyOf(ips);
            loadBalancerIps = List.copyOf(loadBalancerIps);
            sourceRanges = List.copyOf(sourceRanges);
            restricted = Set.copyOf(restricted);
        }

        /** One whose source ranges can all be used: a family without any is open. */
        public External(
                List<Address> ips,
                List<Address> loadBalancerIps,
                List<Prefix> sourceRanges,
                TrafficPolicy policy,
                int healthCheckNodePort) {
            this(
                    ips,
                    loadBalancerIps,
                    sourceRanges,
                    sourceRanges.stream().map(Prefix::family).collect(Collectors.toSet()),
                    policy,
                    healthCheckNodePort);
        }
    }
}
