package io.shunt.table;

import io.shunt.net.Prefix;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * One service of the table: every frontend leads to the same backends. A frontend belongs to one virtual service at
 * most, and all addresses of one virtual service are of one family.
 *
 * @param name unique in the table and opaque to it; for people to read
 * @param frontends with what becomes of those who come by them
 * @param backends without two of the same address and port
 * @param sourceRanges who may come in by restricted frontends
 * @param affinitySeconds how long a client stays with its backend after its last connection; 0: not at all
 * @param tableSize a prime number: a client's address and port choose the backend, the same on every node, by a table of
 *     so many slots; 0: it is chosen at random
 */
public record VirtualService(
        String name,
        Map<Frontend, Access> frontends,
        List<Backend> backends,
        List<Prefix> sourceRanges,
        int affinitySeconds,
        int tableSize) {
    public VirtualService {
        frontends = Map.copyOf(frontends);
        backends = List.copyOf(backends);
        sourceRanges = List.copyOf(sourceRanges);
    }

    /** One whose backends are chosen at random. */
    public VirtualService(
            String name,
            Map<Frontend, Access> frontends,
            List<Backend> backends,
            List<Prefix> sourceRanges,
            int affinitySeconds) {
        this(name, frontends, backends, sourceRanges, affinitySeconds, 0);
    }

    /** One that everyone may use, and that remembers no client. */
    public VirtualService(String name, List<Frontend> frontends, List<Backend> backends) {
        this(name, open(frontends), backends, List.of(), 0);
    }

    private static Map<Frontend, Access> open(List<Frontend> frontends) {
        return frontends.stream().collect(Collectors.toMap(frontend -> frontend, frontend -> Access.OPEN));
    }
}
