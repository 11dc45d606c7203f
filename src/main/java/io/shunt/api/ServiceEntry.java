package io.shunt.api;

import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.ServiceView.BackendView;
import io.shunt.snapshot.ServiceView.FrontendView;
import java.util.Comparator;
import java.util.List;

/**
 * One entry of /api/v1/services: a port of a Service in one family, and what the kernel has counted for it.
 *
 * @param port the port's name, "" if it has none
 * @param protocol TCP, UDP or SCTP
 * @param family IPv4 or IPv6
 * @param serviceId its id in the kernel maps, or -1 while it could not be programmed
 * @param sourceRanges who may come in by restricted frontends, in CIDR notation
 * @param affinitySeconds how long a client stays with its backend after its last connection; 0: not at all
 * @param algorithm what chooses the backend of packets from elsewhere: random or maglev
 * @param connections connects that were translated, and first datagrams to a backend
 * @param refused attempts while it had no backend
 * @param error why the kernel does not have this state, "" if it has
 */
public record ServiceEntry(
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
        long connections,
        long refused,
        String error) {
    /** By name, then port, protocol and family: the order in which people look for them. */
    static final Comparator<ServiceView> ORDER = Comparator.comparing(ServiceView::namespace)
            .thenComparing(ServiceView::name)
            .thenComparing(ServiceView::port)
            .thenComparing(ServiceView::protocol)
            .thenComparing(ServiceView::family);

    static ServiceEntry of(ServiceView service, ServiceCounters counters) {
        return new ServiceEntry(
                service.namespace(),
                service.name(),
                service.port(),
                service.protocol(),
                service.family(),
                service.serviceId(),
                service.frontends(),
                service.backends(),
                service.sourceRanges(),
                service.affinitySeconds(),
                service.algorithm(),
                counters.connections(),
                counters.refused(),
                service.error());
    }
}
