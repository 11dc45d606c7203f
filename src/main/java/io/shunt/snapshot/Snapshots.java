package io.shunt.snapshot;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The daemon's state as others may see it. Every method may be called from any thread and never waits for the control thread. */
public interface Snapshots {
    Status status();

    Health health();

    /** Whether everything the source listed is programmed and the programs are attached, which the kernel is asked for. */
    boolean ready();

    /** The services that should be programmed, in no order; each view is made when it is taken, for there may be many. */
    Stream<ServiceView> services();

    /** The kernel's counters by {@link ServiceView#serviceId()}, read from the kernel now, on the caller's thread. */
    Map<Integer, ServiceCounters> counters();

    /** What the packet programs have dropped, read from the kernel now, on the caller's thread. */
    List<Drop> drops();

    /** What load balancers may ask of this node, and what to answer them. */
    HealthChecks healthChecks();

    /** Services whose policy keeps traffic on a node that has no endpoint of theirs, by policy and family. */
    List<LocalShortage> localShortages();

    /** Requests to the API server; none if the source asks no API server. */
    ApiRequests apiRequests();
}
