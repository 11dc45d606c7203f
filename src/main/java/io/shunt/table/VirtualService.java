package io.shunt.table;

import java.util.List;

/**
 * One service of the table: every frontend leads to the same backends. A frontend belongs to one virtual service at
 * most, and all addresses of one virtual service are of one family.
 *
 * @param name unique in the table and opaque to it; for people to read
 * @param frontends without duplicates
 * @param backends without two of the same address and port
 */
public record VirtualService(String name, List<Frontend> frontends, List<Backend> backends) {
    public VirtualService {
        frontends = List.copyOf(frontends);
        backends = List.copyOf(backends);
    }
}
