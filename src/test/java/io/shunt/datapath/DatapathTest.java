package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DatapathTest {
    private final List<Runnable> waiting = new ArrayList<>();
    private final MemoryMaps maps = new MemoryMaps(64, 400, 300, 64);
    private Datapath datapath = new Datapath(maps, waiting::add);

    private void endGracePeriod() {
        List<Runnable> due = List.copyOf(waiting);
        waiting.clear();
        for (Runnable free : due) {
            try {
                free.run();
            } catch (IllegalStateException e) {
                assertThat(e).hasMessage("injected");
            }
        }
    }

    private int put(VirtualService service) {
        Datapath.Outcome outcome = datapath.put(List.of(service), Set.of()).getFirst();
        if (outcome.failure() != null) {
            throw outcome.failure();
        }
        return outcome.serviceId();
    }

    private void remove(String name) {
        datapath.put(List.of(), Set.of(name));
    }

    private static Frontend frontend(int n) {
        return new Frontend(Address.of("10.96.0." + n), 80, Protocol.TCP);
    }

    private static Backend backend(int n) {
        return new Backend(Address.of("10.0.0." + n), 8080, Backend.State.CLUSTER);
    }

    private static VirtualService service(String name, int frontend, Integer... backends) {
        return new VirtualService(
                name,
                List.of(frontend(frontend)),
                java.util.Arrays.stream(backends).map(DatapathTest::backend).toList());
    }

    private static List<Backend> active(VirtualService service) {
        return service.backends().stream()
                .filter(b -> b.state() == Backend.State.CLUSTER)
                .toList();
    }

    @Test
    void put_newService_leadsToItsBackends() {
        put(service("a", 1, 1, 2));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1), backend(2));
    }

    @Test
    void put_withoutBackends_keepsTheFrontendSoThatClientsAreRefused() {
        put(service("a", 1));

        assertThat(maps.frontends).containsKey(frontend(1));
        assertThat(maps.choices(frontend(1))).isEmpty();
    }

    @Test
    void put_sameAgain_writesNothing() {
        put(service("a", 1, 1, 2));
        maps.beforeWrite = () -> {
            throw new AssertionError("a write without a change");
        };

        put(service("a", 1, 1, 2));

        assertThat(maps.choices(frontend(1))).hasSize(2);
    }

    @Test
    void backendsThatLeave_areToldOfWhenNobodyCanChooseThemAnyMore() {
        List<String> told = new ArrayList<>();
        put(service("a", 1, 1, 2, 3));
        put(service("b", 2, 4));
        put(service("empty", 3));
        datapath.whenBackendsAreGone(() -> {
            assertThat(maps.choices(frontend(1))).containsExactly(backend(3));
            told.add("gone");
        });
        Backend draining = new Backend(backend(1).address(), 8080, Backend.State.DRAINING);
        put(new VirtualService("a", List.of(frontend(1)), List.of(draining, backend(2), backend(3))));
        remove("empty");
        endGracePeriod();
        assertThat(told).isEmpty();

        put(service("a", 1, 3));
        remove("b");
        assertThat(told).isEmpty();
        endGracePeriod();
        assertThat(told).hasSize(2);
    }

    @Test
    void put_backendStarts_draining_leavesTheRunAndKeepsItsId() {
        int id = put(service("a", 1, 1, 2));
        int backendId = maps.slot(maps.setBase(id));
        Backend draining = new Backend(backend(1).address(), 8080, Backend.State.DRAINING);

        put(new VirtualService("a", List.of(frontend(1)), List.of(draining, backend(2))));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(maps.isBackendGone(backendId)).isFalse();
        assertThat(maps.backend(backendId)).isEqualTo(draining);
    }

    @Test
    void put_backendLeavesAndReturns_hasAnotherGeneration() {
        int id = put(service("a", 1, 1));
        int first = maps.slot(maps.setBase(id));
        int generation = maps.backendGeneration(first);
        put(service("a", 1));
        endGracePeriod();
        for (int i = 0; i < maps.maxBackends(); i++) {
            put(service("a", 1, 1));
            if (maps.slot(maps.setBase(id)) == first) {
                break;
            }
            put(service("a", 1));
            endGracePeriod();
        }

        assertThat(maps.slot(maps.setBase(id))).isEqualTo(first);
        assertThat(maps.backendGeneration(first)).isGreaterThan(generation);
    }

    @Test
    void put_frontendOfAnother_isRefusedUntilThatLeaves() {
        put(service("a", 1, 1));

        assertThatThrownBy(() -> put(service("b", 1, 2)))
                .isInstanceOf(FrontendTakenException.class)
                .hasMessageContaining("10.96.0.1:80/TCP already belongs to a");
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));

        remove("a");
        put(service("b", 1, 2));
        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
    }

    @Test
    void put_frontendsSwapWithinAFamily_areNeverMissing() {
        put(service("a", 1, 1));
        put(service("b", 2, 2));
        maps.beforeWrite = () -> assertThat(maps.frontends).containsKeys(frontend(1), frontend(2));

        datapath.put(List.of(service("a", 2, 1), service("b", 1, 2)), Set.of());

        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(maps.choices(frontend(2))).containsExactly(backend(1));
    }

    @Test
    void put_frontendMovesToARenamedService_isNeverMissing() {
        put(service("a:http", 1, 1));
        maps.beforeWrite = () -> {
            assertThat(maps.frontends).containsKey(frontend(1));
            assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        };

        datapath.put(List.of(service("a:web", 1, 1)), Set.of("a:http"));
        endGracePeriod();

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(datapath.services()).isEqualTo(1);
    }

    @Test
    void put_moreBackendsThanFit_keepsTheOldOnesAndItsNeighbours() {
        put(service("a", 1, 1));
        put(service("b", 2, 2));
        Integer[] many = IntStream.range(0, 250).boxed().toArray(Integer[]::new);
        put(service("c", 3, many));

        assertThatThrownBy(() -> put(service("a", 1, many)))
                .isInstanceOf(TableFullException.class)
                .hasMessageContaining("backends")
                .hasMessageContaining("--max-backends");

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(maps.choices(frontend(2))).containsExactly(backend(2));
        remove("c");
        endGracePeriod();
        put(service("a", 1, many));
        assertThat(maps.choices(frontend(1))).hasSize(250);
    }

    @Test
    void put_moreServicesThanFit_namesTheFlag() {
        IntStream.rangeClosed(1, 63).forEach(n -> put(service("s" + n, n, 1)));

        assertThatThrownBy(() -> put(service("s64", 64, 1)))
                .isInstanceOf(TableFullException.class)
                .hasMessageContaining("--max-services");
    }

    @Test
    void remove_lastUse_givesEverythingBackAfterTheGracePeriod() {
        put(service("a", 1, 1, 2));
        remove("a");
        assertThat(maps.frontends).isEmpty();

        endGracePeriod();

        assertNothingLeft();
    }

    private void assertNothingLeft() {
        assertThat(datapath.services()).isZero();
        assertThat(datapath.entries("backends")).isZero();
        assertThat(datapath.entries("slots")).isZero();
        assertThat(maps.stats).isEmpty();
        assertThat(maps.setsInUse()).isEmpty();
        assertThat(maps.liveBackends()).isZero();
    }

    @Test
    void adopt_claimsByFrontend_keepsIdsAndWritesNothing() {
        int a = put(service("a", 1, 1, 2));
        put(service("b", 2, 3));

        datapath = new Datapath(maps, waiting::add);
        assertThat(datapath.unclaimed()).isEqualTo(2);
        maps.beforeWrite = () -> {
            throw new AssertionError("a write without a change");
        };

        assertThat(put(service("a", 1, 1, 2))).isEqualTo(a);
        maps.beforeWrite = () -> {};
        assertThat(datapath.removeUnclaimed()).isEqualTo(1);
        assertThat(maps.frontends).containsOnlyKeys(frontend(1));
    }

    @Test
    void remove_aProgramThatHasJustFoundTheFrontend_stillGetsABackend() {
        int id = put(service("a", 1, 1, 2));

        remove("a");

        assertThat(maps.frontends).isEmpty();
        assertThat(maps.run(maps.setBase(id), maps.setCount(id))).containsExactly(backend(1), backend(2));
        endGracePeriod();
        assertNothingLeft();
    }

    @Test
    void adopt_damagedMaps_keepsWhatIsWholeAndTakesOutTheRest() {
        int a = put(service("a", 1, 1, 2));
        maps.frontends.put(frontend(7), 0);
        maps.frontends.put(frontend(8), 64);
        maps.frontends.put(frontend(9), -1);
        maps.stats.addAll(List.of(0, 64, -1));
        maps.putSet(0, 3, 1);
        maps.putSet(40, 399, 2);
        maps.putSet(41, maps.setBase(a), 2);
        maps.putBackend(290, Address.of("10.0.0.9"), 80, Backend.State.CLUSTER, 1, -1);
        maps.putBackend(291, Address.of("10.0.0.9"), 80, Backend.State.CLUSTER, 1, 64);

        datapath = new Datapath(maps, waiting::add);
        assertThat(put(service("a", 1, 1, 2))).isEqualTo(a);
        put(service("b", 8, 3));
        datapath.removeUnclaimed();
        endGracePeriod();

        assertThat(maps.frontends).containsOnlyKeys(frontend(1), frontend(8));
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1), backend(2));
        assertThat(maps.choices(frontend(8))).containsExactly(backend(3));
        assertThat(maps.stats).hasSize(2);
        assertThat(maps.setsInUse()).hasSize(2);
        assertThat(maps.liveBackends()).isEqualTo(3);
    }

    /** A program that has read a set word and not yet what it points at. */
    private record Reader(int base, List<Backend> expected) {}

    /** Random changes, looked at before every write, with readers that linger until the grace period ends. */
    private final class World {
        final RandomGenerator random;
        final Map<String, VirtualService> wanted = new TreeMap<>();
        final List<Reader> readers = new ArrayList<>();
        /** What a frontend may lead to while a change is under way. */
        final Map<Frontend, Set<List<Address>>> allowed = new HashMap<>();

        World(long seed) {
            random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        }

        void look() {
            maps.frontends.forEach((frontend, id) -> {
                assertThat(allowed.getOrDefault(frontend, Set.of()))
                        .as("choices behind %s", frontend)
                        .contains(addresses(maps.choices(frontend)));
                if (random.nextInt(20) == 0) {
                    readers.add(new Reader(maps.setBase(id), maps.choices(frontend)));
                }
            });
            readers.forEach(r -> assertThat(addresses(maps.run(r.base, r.expected.size())))
                    .as("what a slow reader finds")
                    .isEqualTo(addresses(r.expected)));
        }

        private List<Address> addresses(List<Backend> backends) {
            return backends.stream().map(Backend::address).toList();
        }

        VirtualService next(String name) {
            Set<Backend> backends = new LinkedHashSet<>();
            Set<Integer> seen = new LinkedHashSet<>();
            int count = random.nextInt(6);
            for (int i = 0; i < count; i++) {
                int n = random.nextInt(12);
                if (seen.add(n)) {
                    backends.add(new Backend(
                            backend(n).address(),
                            8080,
                            random.nextInt(4) == 0 ? Backend.State.DRAINING : Backend.State.CLUSTER));
                }
            }
            int first = 1 + (name.charAt(0) - 'a') * 2;
            List<Frontend> frontends =
                    random.nextInt(3) == 0 ? List.of(frontend(first), frontend(first + 1)) : List.of(frontend(first));
            return new VirtualService(name, frontends, List.copyOf(backends));
        }

        void expect(String name, VirtualService service) {
            VirtualService old = wanted.get(name);
            for (Frontend frontend : service.frontends().keySet()) {
                Set<List<Address>> choices = allowed.computeIfAbsent(frontend, f -> new LinkedHashSet<>());
                choices.add(addresses(active(service)));
                if (old != null) {
                    choices.add(addresses(active(old)));
                }
            }
            if (old != null) {
                old.frontends()
                        .keySet()
                        .forEach(f -> allowed.computeIfAbsent(f, x -> new LinkedHashSet<>())
                                .add(addresses(active(service))));
            }
            wanted.put(name, service);
        }

        void settle() {
            allowed.clear();
            wanted.values()
                    .forEach(s -> s.frontends()
                            .keySet()
                            .forEach(f -> allowed.put(f, new LinkedHashSet<>(List.of(addresses(active(s)))))));
        }

        void step() {
            String name = String.valueOf((char) ('a' + random.nextInt(8)));
            if (random.nextInt(5) == 0 && wanted.containsKey(name)) {
                wanted.get(name)
                        .frontends()
                        .keySet()
                        .forEach(f -> allowed.computeIfAbsent(f, x -> new LinkedHashSet<>())
                                .add(List.of()));
                remove(name);
                wanted.remove(name);
            } else {
                VirtualService service = next(name);
                expect(name, service);
                put(service);
            }
            settle();
            if (random.nextInt(4) == 0) {
                readers.clear();
                endGracePeriod();
            }
        }

        void checkAll() {
            readers.clear();
            endGracePeriod();
            endGracePeriod();
            Map<Frontend, List<Backend>> kernel = new HashMap<>();
            maps.frontends.keySet().forEach(f -> kernel.put(f, maps.choices(f)));
            Map<Frontend, List<Backend>> model = new HashMap<>();
            wanted.values().forEach(s -> s.frontends().keySet().forEach(f -> model.put(f, active(s))));
            assertThat(kernel).isEqualTo(model);
            int backends =
                    wanted.values().stream().mapToInt(s -> s.backends().size()).sum();
            assertThat(datapath.entries("backends")).as("backends in use").isEqualTo(backends);
            assertThat(maps.liveBackends()).isEqualTo(backends);
            assertThat(datapath.entries("slots"))
                    .isEqualTo(wanted.values().stream()
                            .mapToInt(s -> active(s).size())
                            .sum());
            assertThat(maps.stats).containsAll(maps.frontends.values());
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void everyWrite_ofRandomChanges_leavesCompleteRuns(long seed) {
        World world = new World(seed);
        maps.beforeWrite = world::look;
        for (int i = 0; i < 2_000; i++) {
            world.step();
        }
        world.checkAll();
        assertThat(maps.stats).hasSize(world.wanted.size());
    }

    /** Stands for kill -9: nothing catches it. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1;
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {11, 12, 13, 14})
    void killedBeforeAnyWrite_theNextProcessTakesOverWithoutALeak(long seed) {
        World world = new World(seed);
        for (int round = 0; round < 300; round++) {
            int[] left = {world.random.nextInt(60)};
            maps.beforeWrite = () -> {
                world.look();
                if (left[0]-- == 0) {
                    throw new Killed();
                }
            };
            try {
                while (true) {
                    world.step();
                }
            } catch (Killed e) {
                waiting.clear();
                world.readers.clear();
            }
            maps.beforeWrite = () -> {};
            datapath = new Datapath(maps, waiting::add);
            world.wanted.values().forEach(this::put);
            datapath.removeUnclaimed();
            world.settle();
            world.checkAll();
            assertThat(maps.stats).hasSize(world.wanted.size());
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {21, 22, 23, 24})
    void failedCall_losesNothingThatWorked_andHealsByItself(long seed) {
        World world = new World(seed);
        for (int round = 0; round < 300; round++) {
            int[] left = {world.random.nextInt(20)};
            maps.beforeWrite = world::look;
            maps.beforeCall = () -> {
                if (left[0]-- <= 0) {
                    throw new IllegalStateException("injected");
                }
            };
            try {
                while (true) {
                    world.step();
                }
            } catch (IllegalStateException e) {
                assertThat(e).hasMessage("injected");
            }
            maps.beforeCall = () -> {};
            List.of("a", "b", "c", "d", "e", "f", "g", "h").stream()
                    .filter(name -> !world.wanted.containsKey(name))
                    .forEach(this::remove);
            world.wanted.values().forEach(this::put);
            world.settle();
        }
        world.checkAll();
    }
}
