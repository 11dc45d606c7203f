package io.shunt.flow;

import java.time.Instant;

/**
 * A packet that was dropped or answered instead of sent on, or a socket's call that was refused.
 *
 * @param id goes up from drop to drop, also from one daemon to the next
 * @param protocol TCP, UDP or SCTP, or the number of another
 * @param source {@code address:port} as the sender had it; the address alone if the port is not known
 * @param sourceName whose address that is, "" if it is not known; of a socket's call that the kernel had not given an
 *     address yet, {@code a socket of this node}
 * @param destination the same of whom it was sent to
 * @param destinationName the same
 * @param service {@code namespace/name}, "" if it is not known
 * @param port the Service port's name, "" if it has none
 * @param reason as in the metric
 * @param direction {@code to_backend} or {@code to_client}
 * @param device where the packet was seen, "" for a socket's call
 * @param more whether others were dropped within that second that are not told
 */
public record Drop(
        long id,
        Instant time,
        String protocol,
        String source,
        String sourceName,
        String destination,
        String destinationName,
        String service,
        String port,
        String reason,
        String direction,
        String device,
        boolean more) {
    Drop withId(long newId) {
        return new Drop(
                newId,
                time,
                protocol,
                source,
                sourceName,
                destination,
                destinationName,
                service,
                port,
                reason,
                direction,
                device,
                more);
    }
}
