package io.shunt.api;

/**
 * A line of /api/v1/flows that is no entry.
 *
 * @param notice what to know of the others, for people to read
 */
public record Notice(String notice) {}
