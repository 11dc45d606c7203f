package io.shunt.snapshot;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The daemon at a glance.
 *
 * @param healthy nothing listed in {@code complaints}
 * @param complaints what is wrong now, one line each; empty if all is well
 * @param services virtual services that are programmed
 * @param failedServices virtual services that could not be programmed as they should be
 * @param backends those of the programmed services that serve
 * @param socketErrors what the socket programs could not do, and how often
 * @param packets how packets fare that no socket program saw the sender of
 * @param staleSockets how sockets fare that are connected to a backend that has left
 * @param ephemeralNodePorts node ports that the kernel may give to clients too, in ascending order
 * @param audit what others have changed in the kernel
 * @param errors the last errors, newest first, also those that have healed
 */
public record Status(
        String version,
        String node,
        Instant started,
        boolean healthy,
        List<String> complaints,
        SourceView source,
        List<ProgramView> programs,
        List<MapView> maps,
        int services,
        int failedServices,
        int backends,
        List<CallView> calls,
        List<ErrorCount> socketErrors,
        PacketsView packets,
        StaleSocketsView staleSockets,
        List<Integer> ephemeralNodePorts,
        AuditView audit,
        List<ErrorView> errors) {
    /**
     * @param kind {@code kubernetes} or {@code file}
     * @param location the API server's URL or the directory
     * @param listed whether it has told everything that existed
     * @param lastEvent when it last said anything, null if never
     */
    public record SourceView(
            String kind,
            String location,
            boolean listed,
            @Nullable Instant lastEvent,
            List<ProblemView> problems,
            List<EventCount> events,
            List<ErrorCount> errors) {}

    /** A thing that the source could not use; what worked before it is still in force. */
    public record ProblemView(String object, String where, String field, String message, String cure) {}

    /**
     * @param kind {@code service}, {@code endpointslice} or {@code node}
     * @param action {@code set} or {@code delete}
     */
    public record EventCount(String kind, String action, long count) {}

    /** @param cause a short label, stable for alerts */
    public record ErrorCount(String cause, long count) {}

    /** @param instructions what the verifier walked through to accept it */
    public record ProgramView(String name, String hook, String target, boolean attached, int instructions) {}

    /**
     * @param entries in use, -1 where the kernel does not tell
     * @param bytes kernel memory charged to it
     */
    public record MapView(String name, int entries, int maxEntries, long bytes) {}

    /** How often a kernel call was made for a map, and how often it failed. */
    public record CallView(String call, String map, long count, long errors) {}

    /**
     * @param refusal why packets are not translated at any device, for people to read; empty if they are
     * @param unmatchedDevices what was named as a device and is none that is up
     * @param deviceFailures how often a program could not be put to a device or taken from one since the daemon has
     *     started
     * @param flows that are remembered, as of some seconds ago; -1 if nobody has looked yet
     * @param maxFlows how many can be
     * @param forgottenFlows since the daemon has started
     * @param evictedFlows that were not confirmed yet, and had to make room for others; since the daemon has started
     * @param drops of all services together, by reason and direction, since the maps were pinned
     */
    public record PacketsView(
            List<DeviceView> devices,
            String refusal,
            List<String> unmatchedDevices,
            long deviceFailures,
            int flows,
            int maxFlows,
            long forgottenFlows,
            long evictedFlows,
            List<DropView> drops) {}

    /**
     * @param direction {@code ingress} or {@code egress}, as the device's own machine sees it
     * @param attached whether the kernel runs the program there
     */
    public record DeviceView(String device, String program, String direction, boolean attached) {}

    /** @param direction {@code to_backend} or {@code to_client} */
    public record DropView(String reason, String direction, long count) {}

    /**
     * @param state whether they are ended, and what keeps them from being so, for people to read
     * @param endedUdp how many UDP sockets were ended since the daemon has started
     * @param endedTcp how many TCP connections
     */
    public record StaleSocketsView(String state, long endedUdp, long endedTcp) {}

    /**
     * @param lastRun when what the kernel has was last compared with what it should have; null: not yet
     * @param runs since the daemon has started
     * @param failures how many of these could not compare everything, or not repair it
     * @param trouble why the last one could not, for people to read; empty if it could
     */
    public record AuditView(
            @Nullable Instant lastRun, long runs, long failures, String trouble, List<RepairCount> repairs) {}

    /** @param map or {@code links}, for programs that were attached again */
    public record RepairCount(String map, long count) {}

    public record ErrorView(Instant at, String object, String message) {}
}
