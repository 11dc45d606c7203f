package io.shunt.flow;

/**
 * A port of a Service.
 *
 * @param service {@code namespace/name}, "" if it is not known
 * @param port its name, "" if it has none
 */
public record ServicePort(String service, String port) {
    /** That of an id that no Service has. */
    static final ServicePort UNKNOWN = new ServicePort("", "");
}
