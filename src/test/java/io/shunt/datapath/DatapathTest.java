package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
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

    private static List<Backend> choices(VirtualService service, Reach reach) {
        return service.backends().stream().filter(b -> b.state().takes(reach)).toList();
    }

    private static List<Address> addresses(List<Backend> backends) {
        return backends.stream().map(Backend::address).toList();
    }

    /** Equal sets share a run. */
    private static int slots(VirtualService service) {
        Set<List<Backend>> runs = new LinkedHashSet<>();
        for (Reach reach : Reach.values()) {
            runs.add(choices(service, reach));
        }
        return runs.stream().mapToInt(List::size).sum();
    }

    private static Backend backend(int n, Backend.State state) {
        return new Backend(backend(n).address(), 8080, state);
    }

    private static VirtualService restricted(String name, int frontend, List<Prefix> ranges) {
        Access access = new Access(Reach.CLUSTER, Reach.CLUSTER, !ranges.isEmpty(), false);
        return new VirtualService(name, Map.of(frontend(frontend), access), List.of(backend(1)), ranges, 0);
    }

    private static Prefix range(int n) {
        return Prefix.parse("10." + n + ".0.0/16").orElseThrow();
    }

    private int firstBackend(int serviceId) {
        return maps.slot(maps.set(serviceId, Reach.CLUSTER).base());
    }

    @Test
    void put_newService_leadsToItsBackends() {
        put(service("a", 1, 1, 2));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1), backend(2));
    }

    private static VirtualService direct(Backend... backends) {
        Access access = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true);
        return new VirtualService("a", Map.of(frontend(1), access), List.of(backends), List.of(), 0);
    }

    @Test
    void direct_backendsOnThisNode_areKnownByTheirAddress() {
        int id = put(direct(backend(1, Backend.State.BOTH), backend(2, Backend.State.CLUSTER)));

        assertThat(maps.localBackends).isEqualTo(Map.of(id, Map.of(backend(1).address(), firstBackend(id))));
    }

    /** Others may not have heard yet. */
    @Test
    void direct_backendThatDrains_staysKnownUntilItServesNoMore() {
        int id = put(direct(backend(1, Backend.State.BOTH)));
        put(direct(backend(1, Backend.State.DRAINING), backend(2, Backend.State.DRAINING)));
        assertThat(maps.localBackends.get(id)).containsOnlyKeys(backend(1).address());
        put(direct(backend(1, Backend.State.UNREADY)));
        assertThat(maps.localBackends).isEmpty();
    }

    @Test
    void direct_backendAndServiceThatGo_areNotKnownAnyMore() {
        int id = put(direct(backend(1, Backend.State.BOTH), backend(2, Backend.State.BOTH)));
        put(direct(backend(2, Backend.State.BOTH)));
        assertThat(maps.localBackends.get(id)).containsOnlyKeys(backend(2).address());
        remove("a");
        endGracePeriod();
        assertThat(maps.localBackends).isEmpty();
    }

    @Test
    void direct_noLonger_nobodyIsKnownByAddress() {
        put(direct(backend(1, Backend.State.BOTH)));
        put(new VirtualService(
                "a", Map.of(frontend(1), Access.OPEN), List.of(backend(1, Backend.State.BOTH)), List.of(), 0));
        assertThat(maps.localBackends).isEmpty();
    }

    @Test
    void direct_twoPortsOfOneAddress_leadToOneThatTakesNewConnections() {
        Backend other = new Backend(backend(1).address(), 9090, Backend.State.BOTH);
        int id = put(direct(backend(1, Backend.State.BOTH)));
        put(direct(backend(1, Backend.State.DRAINING), other));
        assertThat(maps.backend(maps.localBackends.get(id).get(other.address())))
                .isEqualTo(other);
    }

    @Test
    void put_withoutBackends_keepsTheFrontendSoThatClientsAreRefused() {
        put(service("a", 1));

        assertThat(maps.frontends).containsKey(frontend(1));
        assertThat(maps.choices(frontend(1))).isEmpty();
    }

    /** A policy and the endpoints change together: nobody gets what only the old one of the one and the new of the other allow. */
    @ParameterizedTest
    @EnumSource(Reach.class)
    void reachAndBackendsThatChangeTogether_areSeenTogether(Reach before) {
        Reach after = before == Reach.CLUSTER ? Reach.LOCAL : Reach.CLUSTER;
        VirtualService old = reaching(before, backend(1, Backend.State.CLUSTER), backend(2, Backend.State.LOCAL));
        VirtualService now = reaching(after, backend(3, Backend.State.CLUSTER), backend(4, Backend.State.LOCAL));
        put(old);
        Set<List<Address>> seen = new LinkedHashSet<>();
        Runnable look = () -> seen.add(addresses(maps.choices(
                frontend(1), maps.frontends.get(frontend(1)).access().inside())));
        maps.beforeWrite = look;

        put(now);

        look.run();
        assertThat(seen).containsExactly(addresses(choices(old, before)), addresses(choices(now, after)));
    }

    @Test
    void aFrontendThatWentToAnotherServiceWhileNobodyLooked_takesNothingElseAlong() {
        put(new VirtualService("old", List.of(frontend(1), frontend(3)), List.of(backend(1))));
        datapath = new Datapath(maps, waiting::add);

        put(new VirtualService("new", List.of(frontend(2), frontend(3)), List.of(backend(2))));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(maps.choices(frontend(2))).containsExactly(backend(2));
        assertThat(maps.choices(frontend(3))).containsExactly(backend(2));

        put(new VirtualService("old", List.of(frontend(1)), List.of(backend(1))));
        datapath.removeUnclaimed();

        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(maps.frontends).containsOnlyKeys(frontend(1), frontend(2), frontend(3));
    }

    private static VirtualService reaching(Reach inside, Backend... backends) {
        return new VirtualService(
                "a", Map.of(frontend(1), new Access(inside, inside, false, false)), List.of(backends), List.of(), 0);
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
    void backendThatBecomesUnready_isToldOf_andKeepsItsId() {
        List<String> told = new ArrayList<>();
        datapath.whenBackendsAreGone(() -> told.add("gone"));
        int backendId = firstBackend(put(service("a", 1, 1, 2)));
        Backend unready = backend(1, Backend.State.UNREADY);

        put(new VirtualService("a", List.of(frontend(1)), List.of(unready, backend(2))));
        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(maps.backend(backendId)).isEqualTo(unready);
        assertThat(told).isEmpty();
        endGracePeriod();
        assertThat(told).hasSize(1);

        put(service("a", 1, 1, 2));
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1), backend(2));
        assertThat(maps.backend(backendId)).isEqualTo(backend(1));
        assertThat(told).hasSize(1);
    }

    @Test
    void put_backendStarts_draining_leavesTheRunAndKeepsItsId() {
        int id = put(service("a", 1, 1, 2));
        int backendId = firstBackend(id);
        Backend draining = new Backend(backend(1).address(), 8080, Backend.State.DRAINING);

        put(new VirtualService("a", List.of(frontend(1)), List.of(draining, backend(2))));

        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(maps.isBackendGone(backendId)).isFalse();
        assertThat(maps.backend(backendId)).isEqualTo(draining);
    }

    @Test
    void put_eachReach_hasItsOwnBackends() {
        List<Backend> backends = List.of(
                backend(1, Backend.State.CLUSTER),
                backend(2, Backend.State.BOTH),
                backend(3, Backend.State.LOCAL),
                backend(4, Backend.State.DRAINING));

        put(new VirtualService("a", List.of(frontend(1)), backends));

        assertThat(maps.choices(frontend(1), Reach.CLUSTER)).containsExactly(backends.get(0), backends.get(1));
        assertThat(maps.choices(frontend(1), Reach.LOCAL)).containsExactly(backends.get(1), backends.get(2));
        assertThat(datapath.entries("slots")).isEqualTo(4);
        assertThat(datapath.entries("backends")).isEqualTo(4);
    }

    @Test
    void put_bothReachesTheSame_shareARun_alsoAfterARestart() {
        var service = new VirtualService(
                "a", List.of(frontend(1)), List.of(backend(1, Backend.State.BOTH), backend(2, Backend.State.BOTH)));
        put(service);
        assertThat(datapath.entries("slots")).isEqualTo(2);

        datapath = new Datapath(maps, waiting::add);
        assertThat(datapath.entries("slots")).isEqualTo(2);
        put(service);
        put(new VirtualService(
                "a", List.of(frontend(1)), List.of(backend(1, Backend.State.BOTH), backend(2, Backend.State.CLUSTER))));
        endGracePeriod();

        assertThat(maps.choices(frontend(1), Reach.CLUSTER)).hasSize(2);
        assertThat(maps.choices(frontend(1), Reach.LOCAL)).containsExactly(backend(1, Backend.State.BOTH));
        assertThat(datapath.entries("slots")).isEqualTo(3);
        remove("a");
        endGracePeriod();
        assertNothingLeft();
    }

    @Test
    void put_onlyTheLocalOnesChange_leavesTheOtherRunAlone() {
        int id = put(new VirtualService("a", List.of(frontend(1)), List.of(backend(1), backend(2))));
        Run cluster = maps.set(id, Reach.CLUSTER);

        put(new VirtualService("a", List.of(frontend(1)), List.of(backend(1), backend(2, Backend.State.BOTH))));

        assertThat(maps.set(id, Reach.CLUSTER)).isEqualTo(cluster);
        assertThat(maps.choices(frontend(1), Reach.LOCAL)).containsExactly(backend(2, Backend.State.BOTH));
    }

    @Test
    void put_anotherAccessOrAffinity_rewritesTheFrontendInPlace() {
        int id = put(service("a", 1, 1));
        int[] writes = {0};
        maps.beforeWrite = () -> {
            writes[0]++;
            assertThat(maps.frontends).containsKey(frontend(1));
        };
        Access local = new Access(Reach.LOCAL, Reach.LOCAL, false, false);

        put(new VirtualService("a", Map.of(frontend(1), local), List.of(backend(1)), List.of(), 0));
        assertThat(maps.frontends).containsEntry(frontend(1), new Route(id, local, 0));
        put(new VirtualService("a", Map.of(frontend(1), local), List.of(backend(1)), List.of(), 60));
        assertThat(maps.frontends).containsEntry(frontend(1), new Route(id, local, 60));
        assertThat(writes[0]).isEqualTo(2);
    }

    @Test
    void put_sourceRanges_areThereBeforeTheFrontendIsRestricted_andLongerThanThat() {
        int id = put(restricted("a", 1, List.of()));
        maps.beforeWrite = () -> {
            if (maps.frontends.get(frontend(1)).access().restricted()) {
                assertThat(maps.ranges.get(id)).contains(range(1));
            }
        };
        put(restricted("a", 1, List.of(range(1), range(2))));
        assertThat(maps.ranges).isEqualTo(Map.of(id, Set.of(range(1), range(2))));

        put(restricted("a", 1, List.of(range(1), range(3))));
        assertThat(maps.ranges).isEqualTo(Map.of(id, Set.of(range(1), range(3))));

        put(restricted("a", 1, List.of()));
        assertThat(maps.frontends.get(frontend(1)).access().restricted()).isFalse();
        assertThat(maps.ranges.get(id)).as("for who found it restricted").contains(range(1));
        endGracePeriod();
        assertThat(maps.ranges).isEmpty();
        assertThat(datapath.entries("source_ranges")).isZero();
    }

    @Test
    void put_restrictedAgainBeforeTheRangesWereRemoved_keepsThoseThatAreWanted() {
        int id = put(restricted("a", 1, List.of(range(1), range(2))));
        put(restricted("a", 1, List.of()));
        put(restricted("a", 1, List.of(range(2))));

        endGracePeriod();

        assertThat(maps.ranges).isEqualTo(Map.of(id, Set.of(range(2))));
    }

    @Test
    void remove_restricted_takesItsRangesBeforeItsIdIsFree() {
        int id = put(restricted("a", 1, List.of(range(1))));
        remove("a");
        int[] failures = {2};
        maps.beforeCall = () -> {
            if (failures[0]-- > 0) {
                throw new IllegalStateException("injected");
            }
        };
        endGracePeriod();
        assertThat(datapath.entries("service_stats")).isEqualTo(1);
        endGracePeriod();
        assertThat(maps.ranges).containsKey(id);

        endGracePeriod();

        assertThat(maps.ranges).isEmpty();
        assertNothingLeft();
    }

    @Test
    void adopt_sourceRanges_ofAServiceThatIsGoneAreRemoved_andOthersWritten_Once() {
        int a = put(restricted("a", 1, List.of(range(1), range(2))));
        put(restricted("b", 2, List.of(range(3))));
        maps.ranges.put(77, new java.util.HashSet<>(Set.of(range(4))));

        datapath = new Datapath(maps, waiting::add);
        maps.beforeWrite = () -> {
            throw new AssertionError("a write without a change");
        };
        put(restricted("a", 1, List.of(range(1), range(2))));
        maps.beforeWrite = () -> {};
        datapath.removeUnclaimed();
        endGracePeriod();

        assertThat(maps.ranges).isEqualTo(Map.of(a, Set.of(range(1), range(2))));
    }

    @Test
    void putNodeAddresses_makesTheMapEqual_alsoAfterARestart() {
        Address one = Address.of("192.0.2.1");
        Address two = Address.of("fd00::2");
        datapath.putNodeAddresses(Set.of(one, two, Address.of("::1")));
        assertThat(maps.nodeAddresses).containsExactlyInAnyOrder(one, two);

        datapath = new Datapath(maps, waiting::add);
        maps.beforeWrite = () -> assertThat(maps.nodeAddresses).contains(two);
        datapath.putNodeAddresses(Set.of(two, Address.of("127.0.0.1")));

        assertThat(maps.nodeAddresses).containsExactlyInAnyOrder(two, Address.of("127.0.0.1"));
        assertThat(datapath.entries("node_addresses")).isEqualTo(2);
    }

    @Test
    void put_oneFrontendOfAnother_isRefusedAlone_andGoesOverWhenThatLeaves() {
        put(service("a", 1, 1));
        var both = new VirtualService("b", List.of(frontend(1), frontend(2)), List.of(backend(2)));

        Datapath.Outcome outcome = datapath.put(List.of(both), Set.of()).getFirst();

        assertThat(outcome.failure())
                .isInstanceOf(FrontendTakenException.class)
                .hasMessage("10.96.0.1:80/TCP already belongs to a: give one of the two another address or port");
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(maps.choices(frontend(2))).containsExactly(backend(2));
        assertThat(outcome.serviceId())
                .isEqualTo(maps.frontends.get(frontend(2)).serviceId());

        var moved = new VirtualService("b", List.of(frontend(1), frontend(3)), List.of(backend(3)));
        assertThatThrownBy(() -> put(moved)).isInstanceOf(FrontendTakenException.class);
        assertThat(maps.frontends).containsOnlyKeys(frontend(1), frontend(3));

        remove("a");
        assertThat(put(moved)).isEqualTo(outcome.serviceId());
        assertThat(maps.choices(frontend(1))).containsExactly(backend(3));
    }

    @Test
    void adopt_twoThatWantedTheSameFrontend_eachBecomesItself() {
        int a = put(new VirtualService("a", List.of(frontend(1), frontend(9)), List.of(backend(1))));
        int b = put(service("b", 2, 2));

        datapath = new Datapath(maps, waiting::add);
        datapath.put(
                List.of(new VirtualService("b", List.of(frontend(2), frontend(9)), List.of(backend(2)))), Set.of());
        maps.beforeWrite = () -> assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        datapath.put(
                List.of(new VirtualService("a", List.of(frontend(1), frontend(9)), List.of(backend(1)))), Set.of());

        assertThat(maps.frontends.get(frontend(1)).serviceId()).isEqualTo(a);
        assertThat(maps.frontends.get(frontend(2)).serviceId()).isEqualTo(b);
    }

    @Test
    void roomCame_whenWhatRestedIsFree_once() {
        put(service("a", 1, IntStream.range(0, 200).boxed().toArray(Integer[]::new)));
        put(service("a", 1));
        Integer[] many = IntStream.range(0, 150).boxed().toArray(Integer[]::new);
        assertThatThrownBy(() -> put(service("b", 2, many))).isInstanceOf(TableFullException.class);
        assertThat(datapath.roomCame()).isFalse();

        endGracePeriod();

        assertThat(datapath.roomCame()).isTrue();
        assertThat(datapath.roomCame()).isFalse();
        put(service("b", 2, many));
        put(service("b", 2, 1));
        endGracePeriod();
        assertThat(datapath.roomCame()).as("nobody waits for it").isFalse();
    }

    @Test
    void put_backendLeavesAndReturns_hasAnotherGeneration() {
        int id = put(service("a", 1, 1));
        int first = firstBackend(id);
        int generation = maps.backendGeneration(first);
        put(service("a", 1));
        endGracePeriod();
        for (int i = 0; i < maps.maxBackends(); i++) {
            put(service("a", 1, 1));
            if (firstBackend(id) == first) {
                break;
            }
            put(service("a", 1));
            endGracePeriod();
        }

        assertThat(firstBackend(id)).isEqualTo(first);
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
    void renamed_inFullMaps_keepsItsPlaceInThem() {
        int id = put(service("a:http", 1, IntStream.range(0, 200).boxed().toArray(Integer[]::new)));
        IntStream.rangeClosed(2, 63).forEach(n -> put(service("s" + n, n, 1)));
        maps.beforeWrite = () -> {
            throw new AssertionError("a write without a change");
        };

        List<Datapath.Outcome> outcomes = datapath.put(
                List.of(service("a:web", 1, IntStream.range(0, 200).boxed().toArray(Integer[]::new))),
                Set.of("a:http"));

        assertThat(outcomes).containsExactly(new Datapath.Outcome(id, null));
        assertThat(datapath.services()).isEqualTo(63);
    }

    @Test
    void renamed_andWithMoreBackendsThanFit_keepsItsOldOnes() {
        put(service("a:http", 1, 1));
        Integer[] many = IntStream.range(0, 250).boxed().toArray(Integer[]::new);
        put(service("c", 3, many));

        assertThat(failures(datapath.put(List.of(service("a:web", 1, many)), Set.of("a:http"))))
                .singleElement()
                .isInstanceOf(TableFullException.class);
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));

        datapath.put(List.of(service("a:web", 1, 2)), Set.of("a:http"));
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(datapath.services()).isEqualTo(2);
        assertThat(maps.liveBackends()).isEqualTo(251);
    }

    @Test
    void splitInTwoOfWhichOneFails_theOldOneKeepsWhatThatIsToHave_untilItHasIt() {
        put(new VirtualService("a", List.of(frontend(1), frontend(2), frontend(3)), List.of(backend(1))));
        List<VirtualService> parts = List.of(service("b", 1, 2), service("c", 2, 3));
        int[] calls = {0};
        maps.beforeCall = () -> {
            if (calls[0]++ == 0) {
                throw new IllegalStateException("injected");
            }
        };

        assertThat(failures(datapath.put(parts, Set.of("a")))).hasSize(1);
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).containsExactly(backend(1));
        assertThat(maps.choices(frontend(2))).containsExactly(backend(3));
        assertThat(maps.frontends).doesNotContainKey(frontend(3));

        assertThat(failures(datapath.put(parts, Set.of("a")))).isEmpty();
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).containsExactly(backend(2));
        assertThat(datapath.services()).isEqualTo(2);
        assertThat(maps.liveBackends()).isEqualTo(2);
    }

    private static List<RuntimeException> failures(List<Datapath.Outcome> outcomes) {
        return outcomes.stream()
                .map(Datapath.Outcome::failure)
                .filter(Objects::nonNull)
                .toList();
    }

    /** Ports get other names and numbers at will, and any call may fail. */
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {41, 42, 43, 44})
    void frontendWantedBeforeAndAfter_isNeverMissing_whateverFails(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        Set<String> known = new HashSet<>();
        Set<Frontend> served = new HashSet<>();
        for (int round = 0; round < 2_000; round++) {
            List<VirtualService> group = split(random);
            Set<Frontend> wanted = new HashSet<>();
            group.forEach(service -> wanted.addAll(service.frontends().keySet()));
            served.retainAll(wanted);
            int[] left = {random.nextInt(8)};
            maps.beforeCall = () -> {
                if (left[0]-- == 0) {
                    throw new IllegalStateException("injected");
                }
            };
            maps.beforeWrite = () -> assertThat(maps.frontends.keySet()).containsAll(served);
            known.removeIf(
                    name -> group.stream().anyMatch(service -> service.name().equals(name)));
            boolean done;
            try {
                done = failures(datapath.put(group, known)).isEmpty();
            } catch (IllegalStateException e) {
                assertThat(e).hasMessage("injected");
                done = false;
            }
            maps.beforeWrite.run();
            maps.beforeCall = () -> {};
            if (done) {
                known.clear();
                assertThat(maps.frontends.keySet()).isEqualTo(wanted);
                assertThat(datapath.services()).isEqualTo(group.size());
                group.forEach(service -> service.frontends()
                        .keySet()
                        .forEach(frontend -> assertThat(maps.choices(frontend)).isEqualTo(service.backends())));
            }
            group.forEach(service -> known.add(service.name()));
            served.addAll(maps.frontends.keySet());
            endGracePeriod();
        }
    }

    private static List<VirtualService> split(RandomGenerator random) {
        Map<String, List<Frontend>> frontends = new TreeMap<>();
        for (int n = 1; n <= 4; n++) {
            if (random.nextInt(4) > 0) {
                frontends
                        .computeIfAbsent(List.of("a", "b", "c").get(random.nextInt(3)), name -> new ArrayList<>())
                        .add(frontend(n));
            }
        }
        return frontends.entrySet().stream()
                .map(each -> new VirtualService(each.getKey(), each.getValue(), List.of(backend(random.nextInt(5)))))
                .toList();
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
        assertThat(maps.ranges).isEmpty();
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
        assertThat(maps.run(maps.set(id, Reach.CLUSTER))).containsExactly(backend(1), backend(2));
        endGracePeriod();
        assertNothingLeft();
    }

    @Test
    void adopt_damagedMaps_keepsWhatIsWholeAndTakesOutTheRest() {
        int a = put(service("a", 1, 1, 2));
        maps.frontends.put(frontend(7), new Route(0, Access.OPEN, 0));
        maps.frontends.put(frontend(8), new Route(64, Access.OPEN, 0));
        maps.frontends.put(frontend(9), new Route(-1, Access.OPEN, 0));
        maps.stats.addAll(List.of(0, 64, -1));
        maps.putSet(0, Reach.LOCAL, new Run(3, 1));
        maps.putSet(40, Reach.CLUSTER, new Run(399, 2));
        maps.putSet(41, Reach.LOCAL, new Run(maps.set(a, Reach.CLUSTER).base(), 2));
        maps.putSet(42, Reach.LOCAL, new Run(-1, 2));
        maps.ranges.put(-1, new java.util.HashSet<>(Set.of(range(1))));
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
        assertThat(maps.ranges).isEmpty();
        assertThat(maps.liveBackends()).isEqualTo(3);
    }

    /** What {@link MapSizes} reckons with: half of all backends are on this node, and everything changes at once. */
    @Test
    void fullTable_everyServiceChangesWithinOneGracePeriod_findsRoom() {
        int services = 40;
        int each = 10;
        Map<String, Integer> sizes = new MapSizes(services, services * each, 1024).entries();
        MemoryMaps full =
                new MemoryMaps(services + 1, 2 * sizes.get("slots"), sizes.get("backends"), sizes.get("frontends"));
        datapath = new Datapath(full, waiting::add);
        List<Backend> backends = IntStream.range(0, each)
                .mapToObj(n -> backend(n, n % 2 == 0 ? Backend.State.BOTH : Backend.State.CLUSTER))
                .toList();
        for (List<Backend> order : List.of(backends, backends.reversed())) {
            for (int n = 1; n <= services; n++) {
                put(new VirtualService("s" + n, List.of(frontend(n)), order));
            }
        }
        assertThat(full.choices(frontend(services))).isEqualTo(backends.reversed());
    }

    /** Fails once, as mmap() may when a set's window is touched for the first time. */
    private void failToMapSetsOnce() {
        maps.beforeSet = () -> {
            maps.beforeSet = () -> {};
            throw new IllegalStateException("injected");
        };
    }

    @Test
    void adopt_itsSetCannotBeMapped_putLeavesItAsItWas_andHealsWhenItCan() {
        put(new VirtualService(
                "a", List.of(frontend(1)), List.of(backend(1), backend(2, Backend.State.BOTH), backend(3))));
        datapath = new Datapath(maps, waiting::add);
        List<Backend> before = maps.choices(frontend(1));
        VirtualService now = new VirtualService(
                "a",
                List.of(frontend(1)),
                List.of(backend(2), backend(4, Backend.State.BOTH), backend(3, Backend.State.DRAINING)));
        failToMapSetsOnce();

        assertThatThrownBy(() -> put(now)).hasMessage("injected");
        endGracePeriod();
        assertThat(maps.choices(frontend(1))).isEqualTo(before);
        assertThat(maps.liveBackends()).isEqualTo(3);

        put(now);
        endGracePeriod();
        assertThat(maps.choices(frontend(1), Reach.CLUSTER)).isEqualTo(choices(now, Reach.CLUSTER));
        assertThat(maps.choices(frontend(1), Reach.LOCAL)).isEqualTo(choices(now, Reach.LOCAL));
        assertThat(maps.liveBackends()).isEqualTo(3);
        assertThat(datapath.entries("backends")).isEqualTo(3);
        assertThat(datapath.entries("slots")).isEqualTo(slots(now));
    }

    @Test
    void adopt_itsSetCannotBeMapped_removeUnclaimedTakesItOutWhenItCan() {
        put(service("a", 1, 1, 2));
        datapath = new Datapath(maps, waiting::add);
        failToMapSetsOnce();

        assertThatThrownBy(() -> datapath.removeUnclaimed()).hasMessage("injected");
        assertThat(maps.choices(frontend(1))).hasSize(2);

        datapath.removeUnclaimed();
        endGracePeriod();
        assertNothingLeft();
    }

    /** A program that has read a set word and not yet what it points at. */
    private record Reader(Run run, List<Backend> expected) {}

    /** A frontend, as who may go that far sees it. */
    private record View(Frontend frontend, Reach reach) {}

    /** Random changes, looked at before every write, with readers that linger until the grace period ends. */
    private final class World {
        final RandomGenerator random;
        final Map<String, VirtualService> wanted = new TreeMap<>();
        final List<Reader> readers = new ArrayList<>();
        /** What a frontend may lead to while a change is under way. */
        final Map<View, Set<List<Address>>> allowed = new HashMap<>();

        World(long seed) {
            random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        }

        void look() {
            maps.frontends.forEach((frontend, route) -> {
                for (Reach reach : Reach.values()) {
                    List<Backend> choices = maps.choices(frontend, reach);
                    assertThat(allowed.getOrDefault(new View(frontend, reach), Set.of()))
                            .as("choices behind %s within %s", frontend, reach)
                            .contains(addresses(choices));
                    if (random.nextInt(20) == 0) {
                        readers.add(new Reader(maps.set(route.serviceId(), reach), choices));
                    }
                }
                if (route.access().restricted()) {
                    assertThat(maps.ranges.get(route.serviceId()))
                            .as("who may come in by %s", frontend)
                            .isNotEmpty();
                }
            });
            readers.forEach(r -> assertThat(addresses(maps.run(r.run)))
                    .as("what a slow reader finds")
                    .isEqualTo(addresses(r.expected)));
        }

        VirtualService next(String name) {
            Set<Backend> backends = new LinkedHashSet<>();
            Set<Integer> seen = new LinkedHashSet<>();
            int count = random.nextInt(6);
            for (int i = 0; i < count; i++) {
                int n = random.nextInt(12);
                if (seen.add(n)) {
                    backends.add(backend(n, Backend.State.values()[random.nextInt(5)]));
                }
            }
            List<Prefix> ranges = random.nextInt(3) == 0
                    ? List.of(range(random.nextInt(3)), range(3 + random.nextInt(3)))
                    : List.of();
            Map<Frontend, Access> frontends = new HashMap<>();
            int first = 1 + (name.charAt(0) - 'a') * 2;
            frontends.put(frontend(first), access(false));
            if (random.nextInt(3) == 0) {
                frontends.put(frontend(first + 1), access(!ranges.isEmpty()));
            }
            return new VirtualService(name, frontends, List.copyOf(backends), ranges, random.nextInt(3) * 60);
        }

        private Access access(boolean restricted) {
            return new Access(
                    Reach.values()[random.nextInt(2)],
                    Reach.values()[random.nextInt(2)],
                    restricted,
                    random.nextBoolean());
        }

        private void allow(Set<Frontend> frontends, VirtualService service) {
            for (Frontend frontend : frontends) {
                for (Reach reach : Reach.values()) {
                    allowed.computeIfAbsent(new View(frontend, reach), v -> new LinkedHashSet<>())
                            .add(addresses(choices(service, reach)));
                }
            }
        }

        void expect(String name, VirtualService service) {
            VirtualService old = wanted.get(name);
            allow(service.frontends().keySet(), service);
            if (old != null) {
                allow(service.frontends().keySet(), old);
                allow(old.frontends().keySet(), service);
            }
            wanted.put(name, service);
        }

        void settle() {
            allowed.clear();
            wanted.values().forEach(s -> allow(s.frontends().keySet(), s));
        }

        void step() {
            String name = String.valueOf((char) ('a' + random.nextInt(8)));
            if (random.nextInt(5) == 0 && wanted.containsKey(name)) {
                allow(wanted.get(name).frontends().keySet(), new VirtualService("", List.of(), List.of()));
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
            Map<View, List<Backend>> kernel = new HashMap<>();
            Map<View, List<Backend>> model = new HashMap<>();
            Map<Frontend, Access> access = new HashMap<>();
            Map<Frontend, Integer> affinity = new HashMap<>();
            Map<Integer, Set<Prefix>> ranges = new HashMap<>();
            for (Reach reach : Reach.values()) {
                maps.frontends.keySet().forEach(f -> kernel.put(new View(f, reach), maps.choices(f, reach)));
                wanted.values()
                        .forEach(s ->
                                s.frontends().keySet().forEach(f -> model.put(new View(f, reach), choices(s, reach))));
            }
            assertThat(kernel).isEqualTo(model);
            for (VirtualService service : wanted.values()) {
                access.putAll(service.frontends());
                service.frontends().keySet().forEach(f -> affinity.put(f, service.affinitySeconds()));
                if (!service.sourceRanges().isEmpty()) {
                    Frontend any = service.frontends().keySet().iterator().next();
                    ranges.put(maps.frontends.get(any).serviceId(), Set.copyOf(service.sourceRanges()));
                }
            }
            maps.frontends.forEach((frontend, route) -> {
                assertThat(route.access()).isEqualTo(access.get(frontend));
                assertThat(route.affinitySeconds()).isEqualTo(affinity.get(frontend));
            });
            assertThat(maps.ranges).isEqualTo(ranges);
            int backends =
                    wanted.values().stream().mapToInt(s -> s.backends().size()).sum();
            assertThat(datapath.entries("backends")).as("backends in use").isEqualTo(backends);
            assertThat(maps.liveBackends()).isEqualTo(backends);
            assertThat(datapath.entries("slots"))
                    .isEqualTo(wanted.values().stream()
                            .mapToInt(DatapathTest::slots)
                            .sum());
            maps.frontends.values().forEach(route -> assertThat(maps.stats).contains(route.serviceId()));
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

    private static VirtualService external(String name, int frontend, boolean external) {
        Access access = new Access(Reach.CLUSTER, Reach.CLUSTER, false, external);
        return new VirtualService(name, Map.of(frontend(frontend), access), List.of(backend(1)), List.of(), 0);
    }

    @Test
    void serviceAddresses_areKnownAsLongAsAnyServiceHasAPortThere() {
        Frontend other = new Frontend(frontend(1).address(), 443, Protocol.TCP);
        Frontend nodePort = Frontend.ofNode(IpFamily.IPV4, 30080, Protocol.TCP);
        put(service("a", 1, 1));
        put(new VirtualService("b", List.of(other, nodePort), List.of(backend(1))));
        put(external("c", 2, true));
        assertThat(maps.serviceAddresses)
                .isEqualTo(Map.of(frontend(1).address(), false, frontend(2).address(), true));

        remove("a");
        assertThat(maps.serviceAddresses)
                .containsOnlyKeys(frontend(1).address(), frontend(2).address());
        put(new VirtualService("b", List.of(nodePort), List.of(backend(1))));
        remove("c");
        assertThat(maps.serviceAddresses).isEmpty();
        assertThat(datapath.entries("frontends")).isOne();
    }

    @Test
    void aServiceAddress_thatOneServiceHasForTheClustersOwn_isSo_whoeverElseNamesIt() {
        Access external = new Access(Reach.CLUSTER, Reach.CLUSTER, false, true);
        Frontend other = new Frontend(frontend(1).address(), 443, Protocol.TCP);
        put(external("a", 1, true));
        put(new VirtualService("b", List.of(other), List.of(backend(1))));
        assertThat(maps.serviceAddresses).containsEntry(frontend(1).address(), false);
        put(new VirtualService("a", Map.of(frontend(1), external), List.of(backend(2)), List.of(), 0));
        assertThat(maps.serviceAddresses).containsEntry(frontend(1).address(), false);
    }

    @Test
    void serviceAddresses_leftByAnEarlierProcess_areTakenOverOrRemoved() {
        put(service("a", 1, 1));
        put(service("b", 2, 1));
        maps.serviceAddresses.put(Address.of("10.96.0.99"), false);
        datapath = new Datapath(maps, waiting::add);
        put(service("a", 1, 1));
        assertThat(maps.serviceAddresses).hasSize(3);

        datapath.removeUnclaimed();
        assertThat(maps.serviceAddresses).containsOnlyKeys(frontend(1).address());
    }

    @Test
    void aServiceAddress_thatCouldNotBeWritten_isWrittenWithTheNextTry() {
        maps.beforeCall = () -> {
            throw new IllegalStateException("injected");
        };
        assertThatThrownBy(() -> put(service("a", 1, 1))).hasMessage("injected");
        assertThat(maps.serviceAddresses).isEmpty();

        maps.beforeCall = () -> {};
        put(service("a", 1, 1));
        assertThat(maps.serviceAddresses).containsOnlyKeys(frontend(1).address());
    }
}
