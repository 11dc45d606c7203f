package io.shunt.snapshot;

import java.util.List;

/**
 * One port of one Service in one family, as it is programmed.
 *
 * @param port the port's name, "" if it has none
 * @param protocol TCP, UDP or SCTP
 * @param family IPv4 or IPv6
 * @param serviceId its id in the kernel maps, or -1 while it could not be programmed
 * @param sourceRanges who may come in by restricted frontends, in CIDR notation
 * @param affinitySeconds how long a client stays with its backend after its last connection; 0: not at all
 * @param algorithm what chooses the backend of packets from elsewhere: random or maglev
 * @param error why the kernel does not have this state, "" if it has
 */
public record ServiceView(
        String namespace,
        String name,
        String port,
        String protocol,
        String family,
        int serviceId,
        List<FrontendView> frontends,
        List<BackendView> backends,
        List<String> sourceRanges,
        int affinitySeconds,
        String algorithm,
        String error) {
    /**
     * @param address {@code address:port/protocol}; 0.0.0.0 and [::] stand for the node's addresses
     * @param inside how far connections from this node may go: cluster or local
     * @param outside how far those from elsewhere may go
     * @param restricted whether only the source ranges may come in
     */
    public record FrontendView(String address, String inside, String outside, boolean restricted) {}

    /**
     * @param address {@code address:port}
     * @param state unready, draining, or who may be sent there: cluster, local (those who have to stay on this node) or both
     */
    public record BackendView(String address, String state) {}
}
