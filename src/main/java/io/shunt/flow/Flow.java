package io.shunt.flow;

/**
 * A conversation that the packet programs remember.
 *
 * @param protocol TCP, UDP or SCTP
 * @param client {@code address:port}
 * @param clientName whose address that is, "" if it is not known
 * @param frontend {@code address:port} that the client asks for
 * @param service {@code namespace/name}, "" if it is not known
 * @param port the Service port's name, "" if it has none
 * @param source {@code address:port} that the backend sees the client as
 * @param backend {@code address:port}
 * @param backendName whose address that is, "" if it is not known
 * @param state opening, answered, confirmed, half_closed, closed or reset
 * @param silentSeconds since the client spoke last
 */
public record Flow(
        String protocol,
        String client,
        String clientName,
        String frontend,
        String service,
        String port,
        String source,
        String backend,
        String backendName,
        String state,
        int silentSeconds) {}
