package io.shunt.snapshot;

import java.util.Collection;
import java.util.Map;

/** The daemon's state as others may see it. Every method may be called from any thread and never waits for the control thread. */
public interface Snapshots {
    Status status();

    Health health();

    /** The services that should be programmed, in no order. */
    Collection<ServiceView> services();

    /** The kernel's counters by {@link ServiceView#serviceId()}, read from the kernel now, on the caller's thread. */
    Map<Integer, ServiceCounters> counters();
}
