package io.shunt.datapath;

import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfProgram;
import io.shunt.libbpf.Errno;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.libbpf.Rtnetlink.Link;
import io.shunt.libbpf.Rtnetlink.Qdisc;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * By which devices packets may be passed straight into the namespace behind them, as bpf_redirect_peer does. What goes that
 * way meets nothing that sits on the device's way out, and waits for nothing: so there must be nobody but this daemon. Such a
 * device is a pair of veth that is no port of another device, with its other end in another namespace, without a queue, and
 * without programs or filters of others where packets leave.
 *
 * <p>The kernel says nothing when a TCX program comes. So a device has to be seen like that for a while before it counts:
 * who makes a device and attaches to it does the one soon after the other. For one thread.
 */
final class Shortcuts {
    /** Who begins it is looked at again after it at the latest when HostNetwork looks in its own time. */
    static final Duration PROBATION = Duration.ofSeconds(20);

    private static final String NO_QUEUE = "noqueue";
    private static final Set<String> WITHOUT_QUEUE = Set.of(NO_QUEUE, "clsact", "ingress");

    private final LongSupplier clock;
    /** When a device was first seen to be one, without a break since. */
    private final Map<Integer, Long> since = new HashMap<>();

    /** @param clock in nanoseconds, as {@link System#nanoTime} */
    Shortcuts(LongSupplier clock) {
        this.clock = clock;
    }

    /**
     * Which of these devices are shortcuts now, asked from the kernel, in the network namespace of the calling thread.
     *
     * @param ours the program on their way out that does not count
     * @throws BpfException if the kernel does not tell
     */
    Set<Integer> among(Collection<Integer> devices, BpfProgram ours) {
        long now = clock.getAsLong();
        // Where no device is wanted the program need not be loaded.
        Set<Integer> candidates = devices.isEmpty()
                ? new HashSet<>()
                : candidates(devices, ours.info().id());
        since.keySet().retainAll(candidates);
        candidates.forEach(device -> since.putIfAbsent(device, now));
        candidates.removeIf(device -> now - since.getOrDefault(device, now) < PROBATION.toNanos());
        return candidates;
    }

    private Set<Integer> candidates(Collection<Integer> devices, int ours) {
        Set<Integer> candidates = new HashSet<>();
        try (Rtnetlink kernel = new Rtnetlink()) {
            Set<Integer> apart = kernel.linksToOtherNamespaces();
            Map<Integer, Set<String>> queues = kernel.qdiscs().stream()
                    .collect(Collectors.groupingBy(Qdisc::link, Collectors.mapping(Qdisc::kind, Collectors.toSet())));
            for (Link link : kernel.links()) {
                int device = link.index();
                Set<String> kinds = queues.getOrDefault(device, Set.of());
                if (devices.contains(device)
                        && link.kind().equals("veth")
                        && link.master() == 0
                        && apart.contains(device)
                        && kinds.contains(NO_QUEUE)
                        && WITHOUT_QUEUE.containsAll(kinds)
                        && areAlone(kernel, device, kinds, ours)) {
                    candidates.add(device);
                }
            }
        }
        return candidates;
    }

    private static boolean areAlone(Rtnetlink kernel, int device, Set<String> qdiscs, int ours) {
        try {
            return links(device).stream().allMatch(program -> program == ours)
                    && (!qdiscs.contains("clsact")
                            || kernel.egressFilters(device).stream().allMatch(DeviceHooks::isOurs));
        } catch (BpfException e) {
            if (e.errno().equals(Errno.ENODEV) || e.errno().equals(Errno.EINVAL)) {
                // It is gone, or its clsact.
                return false;
            }
            throw e;
        }
    }

    private static List<Integer> links(int device) {
        try {
            return BpfProgram.attached(device, AttachType.TCX_EGRESS, false);
        } catch (BpfException e) {
            if (e.errno().equals(Errno.EINVAL)) {
                // The kernel has no TCX.
                return List.of();
            }
            throw e;
        }
    }
}
