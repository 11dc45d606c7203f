package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Services whose backends Maglev's tables choose, in the maps. */
class TablesTest {
    private static final int SIZE = 251;
    private static final int BACKENDS = 100;
    private static final int PLAIN = 150;

    /** Room for three tables. */
    private final MemoryMaps maps = new MemoryMaps(64, PLAIN + 3 * SIZE, BACKENDS + 1, 64);

    private final List<Runnable> waiting = new ArrayList<>();
    private final AtomicInteger writes = new AtomicInteger();
    private Datapath datapath = new Datapath(maps, waiting::add);

    @BeforeEach
    void countWrites() {
        maps.beforeWrite = writes::incrementAndGet;
    }

    private void endGracePeriod() {
        List<Runnable> due = List.copyOf(waiting);
        waiting.clear();
        due.forEach(Runnable::run);
    }

    private int put(VirtualService service) {
        Datapath.Outcome outcome = datapath.put(List.of(service), Set.of()).getFirst();
        if (outcome.failure() != null) {
            throw outcome.failure();
        }
        return outcome.serviceId();
    }

    private static Frontend frontend(int n) {
        return new Frontend(Address.of("10.96.0." + n), 80, Protocol.TCP);
    }

    private static Backend backend(int n) {
        return new Backend(Address.of("10.0.0." + n), 8080, Backend.State.BOTH);
    }

    private static VirtualService service(int n, Access access, int tableSize, List<Backend> backends) {
        return new VirtualService("s" + n, Map.of(frontend(n), access), backends, List.of(), 0, tableSize);
    }

    private static VirtualService maglev(int n, Integer... backends) {
        return service(
                n,
                Access.OPEN,
                SIZE,
                Arrays.stream(backends).map(TablesTest::backend).toList());
    }

    private static VirtualService random(int n, Integer... backends) {
        return service(
                n,
                Access.OPEN,
                0,
                Arrays.stream(backends).map(TablesTest::backend).toList());
    }

    private static List<Backend> table(List<Backend> sorted) {
        return Arrays.stream(Maglev.table(sorted, SIZE)).mapToObj(sorted::get).toList();
    }

    /** What the maps do not remember is left out. */
    private static List<Backend> weightless(List<Backend> backends) {
        return backends.stream()
                .map(each -> new Backend(each.address(), each.port(), each.state()))
                .toList();
    }

    @Test
    void put_hasATableThatIsHashed() {
        int id = put(maglev(1, 3, 1, 2));

        assertThat(maps.choices(frontend(1))).isEqualTo(table(List.of(backend(1), backend(2), backend(3))));
        assertThat(maps.frontends).containsEntry(frontend(1), new Route(id, Access.OPEN, 0, true));
    }

    @Test
    void put_onAnotherNode_withOtherIds_choosesTheSame() {
        MemoryMaps others = new MemoryMaps(64, PLAIN + 3 * SIZE, BACKENDS + 1, 64);
        Datapath other = new Datapath(others, waiting::add);
        other.put(List.of(random(7, 9, 8, 7, 3)), Set.of());
        other.put(List.of(maglev(1, 2, 4, 1, 3)), Set.of());

        put(maglev(1, 1, 2, 3, 4));

        assertThat(maps.choices(frontend(1))).isEqualTo(others.choices(frontend(1)));
        assertThat(maps.frontends.get(frontend(1)).serviceId())
                .isNotEqualTo(others.frontends.get(frontend(1)).serviceId());
    }

    @Test
    void put_theSameMembers_writesNothing() {
        put(maglev(1, 1, 2, 3));
        writes.set(0);

        put(maglev(1, 3, 2, 1));

        assertThat(writes).hasValue(0);
    }

    @Test
    void put_anotherDrains_writesNoSlot() {
        put(maglev(1, 1, 2));
        Run before = maps.set(1, Reach.CLUSTER);
        writes.set(0);
        List<Backend> more =
                List.of(backend(1), backend(2), new Backend(backend(3).address(), 8080, Backend.State.DRAINING));

        put(service(1, Access.OPEN, SIZE, more));

        // The new backend itself.
        assertThat(writes).hasValue(1);
        assertThat(maps.set(maps.frontends.get(frontend(1)).serviceId(), Reach.CLUSTER))
                .isEqualTo(maps.set(1, Reach.CLUSTER))
                .isEqualTo(before);
    }

    @Test
    void put_anotherWeight_fillsANewTable() {
        put(maglev(1, 1, 2));
        List<Backend> weighted = List.of(backend(1), new Backend(backend(2).address(), 8080, Backend.State.BOTH, 3));

        put(service(1, Access.OPEN, SIZE, weighted));

        assertThat(maps.choices(frontend(1))).isEqualTo(weightless(table(weighted)));
        assertThat(maps.choices(frontend(1)).stream().filter(backend(2)::equals))
                .hasSizeBetween(187, 190);
    }

    @Test
    void put_oneBackend_needsNoTable() {
        put(maglev(1, 1));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(datapath.entries("slots")).isOne();
    }

    @Test
    void put_moreBackendsThanSlots_hasEachOnceInTheOrderOfAllNodes() {
        put(service(1, Access.OPEN, 3, List.of(backend(4), backend(2), backend(3), backend(1))));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1), backend(2), backend(3), backend(4));
    }

    /** A table is large, so only what some client may choose from is one. */
    @Test
    void put_reachThatNoFrontendHas_isAPlainRun() {
        List<Backend> backends =
                List.of(backend(1), backend(2), new Backend(backend(3).address(), 8080, Backend.State.CLUSTER));
        Access local = new Access(Reach.CLUSTER, Reach.LOCAL, false, true);

        put(service(1, Access.OPEN, SIZE, backends));

        assertThat(maps.choices(frontend(1), Reach.CLUSTER)).isEqualTo(table(backends));
        assertThat(maps.choices(frontend(1), Reach.LOCAL)).containsExactly(backend(1), backend(2));

        put(service(1, local, SIZE, backends));

        assertThat(maps.choices(frontend(1), Reach.LOCAL)).isEqualTo(table(List.of(backend(1), backend(2))));
        endGracePeriod();
        assertThat(datapath.entries("slots")).isEqualTo(2 * SIZE);
    }

    @Test
    void put_bothReachesTheSame_shareATable() {
        put(service(1, new Access(Reach.CLUSTER, Reach.LOCAL, false, true), SIZE, List.of(backend(1), backend(2))));

        assertThat(datapath.entries("slots")).isEqualTo(SIZE);
    }

    @Test
    void put_anotherAlgorithm_changesInPlace() {
        int id = put(random(1, 2, 1));
        assertThat(maps.choices(frontend(1))).containsExactly(backend(2), backend(1));

        assertThat(put(maglev(1, 2, 1))).isEqualTo(id);

        assertThat(maps.choices(frontend(1))).isEqualTo(table(List.of(backend(1), backend(2))));
        assertThat(maps.frontends.get(frontend(1)).hashed()).isTrue();

        assertThat(put(random(1, 2, 1))).isEqualTo(id);

        assertThat(maps.choices(frontend(1))).containsExactly(backend(2), backend(1));
        assertThat(maps.frontends.get(frontend(1)).hashed()).isFalse();
        endGracePeriod();
        assertThat(datapath.entries("slots")).isEqualTo(2);
    }

    @Test
    void put_afterARestart_keepsTheTable() {
        put(maglev(1, 1, 2, 3));
        datapath = new Datapath(maps, waiting::add);
        writes.set(0);

        put(maglev(1, 3, 1, 2));
        put(maglev(1, 1, 2, 3));

        assertThat(writes).hasValue(0);
    }

    @Test
    void put_noRoomForATable_hasItsBackendsNevertheless_untilRoomComes() {
        put(maglev(1, 1, 2));
        put(maglev(2, 1, 2));
        put(maglev(3, 1, 2));
        List<Backend> neighbour = maps.choices(frontend(1));

        assertThatThrownBy(() -> put(maglev(4, 2, 1, 3)))
                .isInstanceOf(TableFullException.class)
                .hasMessageContaining("--max-maglev-tables")
                .hasMessageContaining("--maglev-table-size");
        assertThatThrownBy(() -> put(maglev(3, 2, 1, 3))).isInstanceOf(TableFullException.class);

        assertThat(maps.choices(frontend(4))).containsExactly(backend(1), backend(2), backend(3));
        assertThat(maps.choices(frontend(3))).containsExactly(backend(1), backend(2), backend(3));
        assertThat(maps.choices(frontend(1))).isEqualTo(neighbour);
        // All that is promised to services without a table.
        put(random(5, IntStream.rangeClosed(1, 80).boxed().toArray(Integer[]::new)));
        assertThat(maps.choices(frontend(5))).hasSize(80);

        endGracePeriod();
        assertThat(datapath.roomCame()).isTrue();
        put(maglev(3, 2, 1, 3));
        assertThat(maps.choices(frontend(3))).isEqualTo(table(List.of(backend(1), backend(2), backend(3))));
    }

    @Test
    void put_noRoomForATable_stillTakesOutWhatIsNotWanted() {
        put(maglev(1, 1, 2));
        put(maglev(2, 1, 2));
        put(maglev(3, 1, 2));
        VirtualService moved = new VirtualService(
                "s3", Map.of(frontend(4), Access.OPEN), List.of(backend(1), backend(3)), List.of(), 0, SIZE);

        assertThatThrownBy(() -> put(moved)).isInstanceOf(TableFullException.class);

        assertThat(maps.frontends).containsKey(frontend(4)).doesNotContainKey(frontend(3));
    }
}
