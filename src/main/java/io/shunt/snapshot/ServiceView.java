package io.shunt.snapshot;

import java.util.List;

/**
 * One port of one Service in one family, as it is programmed.
 *
 * @param port the port's name, "" if it has none
 * @param protocol TCP, UDP or SCTP
 * @param family IPv4 or IPv6
 * @param serviceId its id in the kernel maps, or -1 while it could not be programmed
 * @param frontends {@code address:port/protocol}
 * @param error why the kernel does not have this state, "" if it has
 */
public record ServiceView(
        String namespace,
        String name,
        String port,
        String protocol,
        String family,
        int serviceId,
        List<String> frontends,
        List<BackendView> backends,
        String error) {
    /**
     * @param address {@code address:port}
     * @param state active or draining
     */
    public record BackendView(String address, String state) {}
}
