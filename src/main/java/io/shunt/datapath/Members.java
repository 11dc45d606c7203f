package io.shunt.datapath;

import io.shunt.table.Backend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The backends that take new connections of one reach.
 *
 * @param ids what the kernel calls each
 */
record Members(List<Backend> backends, List<Integer> ids) {
    private static final Comparator<Backend> ORDER =
            Comparator.comparing(Backend::address).thenComparingInt(Backend::port);

    /**
     * Those of a service.
     *
     * @param all the service's backends
     * @param inOrder whether all nodes have to choose the same, and so in an order that all have
     * @param ids those of the backends, one each
     */
    static Members of(List<Backend> all, boolean inOrder, int[] ids, Reach reach) {
        IntStream takers =
                IntStream.range(0, ids.length).filter(i -> all.get(i).state().takes(reach));
        List<Integer> order = inOrder
                ? takers.boxed().sorted(Comparator.comparing(all::get, ORDER)).toList()
                : takers.boxed().toList();
        return new Members(
                order.stream().map(all::get).toList(),
                order.stream().map(i -> ids[i]).toList());
    }

    /**
     * How large a table they get: none that is not asked for, or that no frontend leads to. One backend needs none, and
     * where there are more of them than slots each has one in a plain run.
     */
    int tableSize(VirtualService service, Reach reach) {
        boolean isUsed = service.frontends().values().stream()
                .anyMatch(access -> access.inside() == reach || access.outside() == reach);
        return isUsed && backends.size() > 1 && backends.size() <= service.tableSize() ? service.tableSize() : 0;
    }

    /** What stands in the slots of a plain run. */
    int[] run() {
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    /** What stands in the slots of a table. */
    int[] table(int size) {
        return IntStream.of(Maglev.table(backends, size)).map(ids::get).toArray();
    }

    /** Whether the others make the same table. */
    boolean fillLike(Members others) {
        return ids.equals(others.ids)
                && backends.stream()
                        .map(Backend::weight)
                        .toList()
                        .equals(others.backends.stream().map(Backend::weight).toList());
    }
}
