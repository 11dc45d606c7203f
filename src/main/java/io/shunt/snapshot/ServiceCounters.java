package io.shunt.snapshot;

/**
 * What the kernel has counted for one service since its id was given out.
 *
 * @param connections connects that were translated, and first datagrams to a backend
 * @param refused attempts while it had no backend
 */
public record ServiceCounters(long connections, long refused) {}
