package io.shunt.snapshot;

/**
 * Packets that were dropped, or answered instead of sent on.
 *
 * @param serviceId for which service; 0 while none is known, -2: services that are gone
 * @param reason a short label, stable for alerts
 * @param direction {@code to_backend} or {@code to_client}
 */
public record Drop(int serviceId, String reason, String direction, long count) {}
