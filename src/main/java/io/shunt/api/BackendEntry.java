package io.shunt.api;

/**
 * One entry of /api/v1/backends: a backend of one service port. An address that serves several has as many entries.
 *
 * @param address {@code address:port}
 * @param state unready, draining, or who may be sent there: cluster, local or both
 * @param port the Service port's name, "" if it has none
 */
public record BackendEntry(
        String address, String state, String namespace, String service, String port, String protocol, String family) {}
