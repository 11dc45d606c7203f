package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.libbpf.BpfMap;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Others change the kernel's maps behind the datapath's back, which it finds and puts right. */
@Tag("kernel")
class AuditTest {
    private static final List<String> MAPS =
            List.of("frontends", "node_addresses", "source_ranges", "sets", "slots", "local_backends", "backends");
    private static final Address NODE = Address.of("192.0.2.1");
    private static final Frontend PLAIN = new Frontend(Address.of("10.96.0.1"), 80, Protocol.TCP);
    private static final Frontend OF_NODE = Frontend.ofNode(IpFamily.IPV4, 30_080, Protocol.TCP);
    private static final Frontend OUTER = new Frontend(Address.of("203.0.113.1"), 443, Protocol.UDP);
    private static final Address STRANGER = Address.of("198.51.100.9");
    private static final Prefix RANGE = prefix("10.9.0.0/16");

    private final List<Runnable> waiting = new ArrayList<>();
    private LoadedMaps kernel;
    private KernelMaps maps;
    /** Another process's. */
    private KernelMaps others;

    private Datapath datapath;
    private Audit audit;
    private int plain;
    private int outer;

    @BeforeEach
    void program() {
        kernel = new LoadedMaps(Map.of("sets", 64, "slots", 128, "backends", 64, "frontends", 32, "service_stats", 32));
        others = kernel.open();
        restart();
        plain = put(new VirtualService(
                "plain", Map.of(PLAIN, Access.OPEN, OF_NODE, Access.OPEN), backends(3), List.of(), 10_800));
        put(new VirtualService("gone", List.of(new Frontend(Address.of("10.96.0.2"), 80, Protocol.TCP)), backends(2)));
        Access direct = new Access(Reach.CLUSTER, Reach.CLUSTER, true, true, true);
        outer = put(new VirtualService(
                "outer", Map.of(OUTER, direct), backends(4), List.of(prefix("10.0.0.0/8"), RANGE), 0, 13));
        datapath.put(List.of(), Set.of("gone"));
        endGracePeriods();
        datapath.putNodeAddresses(Set.of(NODE, Address.of("127.0.0.1")));
    }

    private void restart() {
        waiting.clear();
        maps = kernel.open();
        datapath = new Datapath(maps, waiting::add);
        audit = new Audit(maps, datapath, repairs -> {});
    }

    @AfterEach
    void unload() {
        kernel.close();
    }

    private static Prefix prefix(String text) {
        return Prefix.parse(text).orElseThrow();
    }

    private static List<Backend> backends(int count) {
        return IntStream.rangeClosed(1, count)
                .mapToObj(n -> new Backend(
                        Address.of("10.0.0." + n), 8080, n % 2 == 0 ? Backend.State.CLUSTER : Backend.State.BOTH))
                .toList();
    }

    private int put(VirtualService service) {
        Datapath.Outcome outcome = datapath.put(List.of(service), Set.of()).getFirst();
        assertThat(outcome.failure()).isNull();
        return outcome.serviceId();
    }

    private void endGracePeriods() {
        while (!waiting.isEmpty()) {
            List<Runnable> due = List.copyOf(waiting);
            waiting.clear();
            due.forEach(Runnable::run);
        }
    }

    private Audit.Repairs audit() {
        Optional<Audit.Repairs> round = Optional.empty();
        while (round.isEmpty()) {
            round = audit.goOn(0);
        }
        return round.get();
    }

    private void assertNothingToRepair(String when) {
        Audit.Repairs repairs = audit();
        assertThat(repairs.failure()).as(when).isEmpty();
        assertThat(repairs.made()).as("%s: %s", when, repairs.examples()).isEmpty();
    }

    private Map<String, List<String>> elements() {
        Map<String, List<String>> elements = new LinkedHashMap<>();
        MAPS.forEach(
                map -> elements.put(map, kernel.elements(map).stream().sorted().toList()));
        return elements;
    }

    private int backend(int serviceId, int nth) {
        return others.slot(others.set(serviceId, Reach.CLUSTER).base() + nth);
    }

    private int slot(int serviceId, Reach reach, int nth) {
        return others.set(serviceId, reach).base() + nth;
    }

    /** Changes one byte of one element's value. */
    private void corrupt(String name, int at, Consumer<MemorySegment> key) {
        BpfMap map = kernel.map(name);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment found = arena.allocate(map.keySize());
            MemorySegment value = arena.allocate(map.valueBytes());
            key.accept(found);
            assertThat(map.lookup(found, value)).isTrue();
            value.set(JAVA_BYTE, at, (byte) (value.get(JAVA_BYTE, at) ^ 0x55));
            map.update(found, value, BpfMap.EXIST);
        }
    }

    private void corruptFrontend(Frontend frontend, int at) {
        corrupt("frontends", at, key -> {
            Layouts.putAddress(key, 0, frontend.address());
            Layouts.putPort(key, Layouts.offset(Layouts.FRONTEND_KEY, "port"), frontend.port());
            key.set(JAVA_BYTE, Layouts.offset(Layouts.FRONTEND_KEY, "protocol"), (byte)
                    frontend.protocol().number());
        });
    }

    /** What somebody does, which is one repair in this map. */
    private record Damage(String map, String name, Consumer<AuditTest> done) {
        @Override
        public String toString() {
            return name;
        }
    }

    static Stream<Damage> damages() {
        Route elsewhere = new Route(9, Access.OPEN, 0);
        Backend other = new Backend(Address.of("10.0.0.9"), 9090, Backend.State.CLUSTER);
        return Stream.of(
                new Damage("frontends", "a frontend is deleted", t -> t.others.removeFrontend(PLAIN)),
                new Damage("frontends", "a node port is deleted", t -> t.others.removeFrontend(OF_NODE)),
                new Damage("frontends", "a frontend leads elsewhere", t -> t.others.putFrontend(OUTER, elsewhere)),
                new Damage("frontends", "a frontend's value repeats another key", t -> t.corruptFrontend(PLAIN, 3)),
                new Damage("frontends", "a frontend's access is another", t -> t.corruptFrontend(OUTER, 20)),
                new Damage(
                        "frontends",
                        "a strange frontend is added",
                        t -> t.others.putFrontend(new Frontend(STRANGER, 1, Protocol.SCTP), elsewhere)),
                new Damage("frontends", "an address is deleted", t -> t.others.removeServiceAddress(PLAIN.address())),
                new Damage(
                        "frontends",
                        "an address is taken for an external one",
                        t -> t.others.putServiceAddress(PLAIN.address(), true)),
                new Damage("frontends", "a strange address is added", t -> t.others.putServiceAddress(STRANGER, false)),
                new Damage("node_addresses", "a node's address is deleted", t -> t.others.removeNodeAddress(NODE)),
                new Damage("node_addresses", "a strange node's address", t -> t.others.putNodeAddress(STRANGER)),
                new Damage(
                        "node_addresses",
                        "a node's address takes no node ports",
                        t -> t.corrupt("node_addresses", 0, key -> Layouts.putAddress(key, 0, NODE))),
                new Damage(
                        "source_ranges",
                        "a source range within another is deleted",
                        t -> t.others.removeSourceRange(t.outer, RANGE)),
                new Damage(
                        "source_ranges",
                        "a service has one more source range",
                        t -> t.others.putSourceRange(t.outer, prefix("0.0.0.0/0"))),
                new Damage(
                        "source_ranges",
                        "a source range of a service that is not there",
                        t -> t.others.putSourceRange(17, RANGE)),
                new Damage(
                        "local_backends",
                        "a local backend is deleted",
                        t -> t.others.removeLocalBackend(t.outer, Address.of("10.0.0.1"))),
                new Damage(
                        "local_backends",
                        "a local backend is another",
                        t -> t.others.putLocalBackend(t.outer, Address.of("10.0.0.1"), 63)),
                new Damage(
                        "local_backends",
                        "a strange local backend",
                        t -> t.others.putLocalBackend(t.plain, STRANGER, 1)),
                new Damage("sets", "a set is emptied", t -> t.others.putSet(t.plain, Reach.CLUSTER, Run.EMPTY)),
                new Damage(
                        "sets", "a set points elsewhere", t -> t.others.putSet(t.outer, Reach.LOCAL, new Run(50, 3))),
                new Damage(
                        "sets",
                        "a set of a service that has gone",
                        t -> t.others.putSet(t.plain + 1, Reach.CLUSTER, new Run(0, 3))),
                new Damage("slots", "a slot names none", t -> t.others.putSlot(t.slot(t.plain, Reach.CLUSTER, 1), 0)),
                new Damage(
                        "slots",
                        "a slot names another service's backend",
                        t -> t.others.putSlot(t.slot(t.plain, Reach.LOCAL, 1), t.backend(t.outer, 0))),
                new Damage(
                        "slots",
                        "a table's slot names none",
                        t -> t.others.putSlot(t.slot(t.outer, Reach.CLUSTER, 7), 0)),
                new Damage("backends", "a backend is gone", t -> t.others.markBackendGone(t.backend(t.plain, 0))),
                new Damage(
                        "backends",
                        "a backend is unready",
                        t -> t.others.putBackendState(t.backend(t.outer, 0), Backend.State.UNREADY)),
                new Damage(
                        "backends",
                        "a backend is another service's",
                        t -> t.others.putBackend(
                                t.backend(t.plain, 1),
                                Address.of("10.0.0.2"),
                                8080,
                                Backend.State.CLUSTER,
                                1,
                                t.outer)),
                new Damage(
                        "backends",
                        "a backend that left lives again",
                        t -> t.others.putBackend(
                                4,
                                other.address(),
                                other.port(),
                                other.state(),
                                t.others.backendGeneration(4),
                                t.plain)));
    }

    @Test
    void untouched_nothingIsRepaired() {
        Map<String, List<String>> before = elements();
        assertNothingToRepair("at first");
        assertThat(elements()).isEqualTo(before);
    }

    /** What has left keeps its address for those who choose it right now, so of an entry that is gone the state alone counts. */
    private static List<String> living(List<String> backends) {
        int state = 2 * (int) Layouts.offset(Layouts.BACKEND, "state");
        return backends.stream()
                .filter(each -> !each.substring(each.indexOf('=') + 1).startsWith("00", state))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("damages")
    void damage_isFound_putRight_andCounted(Damage damage) {
        Map<String, List<String>> before = elements();
        before.compute("backends", (map, all) -> living(all));

        damage.done.accept(this);
        Map<String, List<String>> damaged = elements();
        damaged.compute("backends", (map, all) -> living(all));
        assertThat(damaged).as("the damage").isNotEqualTo(before);
        Audit.Repairs repairs = audit();

        Map<String, List<String>> after = elements();
        after.compute("backends", (map, all) -> living(all));
        assertThat(after).isEqualTo(before);
        assertThat(repairs.made()).isEqualTo(Map.of(damage.map, 1));
        assertThat(repairs.examples()).singleElement().asString().startsWith(damage.map + ": ");
        assertThat(Audit.maps()).contains(damage.map);
        assertNothingToRepair("once repaired");
    }

    /** Affinity and origins that were made meanwhile mean another backend than who has made them thinks. */
    @Test
    void aBackendWithAnotherAddress_getsItsOwnAgain_andANewGeneration() {
        int id = backend(plain, 0);
        int generation = others.backendGeneration(id);
        others.putBackend(id, Address.of("10.0.0.66"), 8080, Backend.State.BOTH, generation, plain);

        assertThat(audit().made()).isEqualTo(Map.of("backends", 1));
        assertThat(others.backend(id)).isEqualTo(backends(1).getFirst());
        assertThat(others.backendGeneration(id)).isEqualTo(generation + 1);
    }

    @Test
    void allAtOnce_isRepairedInOneRound_andTold() {
        Map<String, List<String>> before = elements();
        Map<String, Damage> oneOfEach = new LinkedHashMap<>();
        damages().forEach(each -> oneOfEach.putIfAbsent(each.map, each));
        oneOfEach.values().forEach(each -> each.done.accept(this));
        Audit.Repairs repairs = audit();

        assertThat(elements()).isEqualTo(before);
        assertThat(repairs.made().keySet()).containsExactlyInAnyOrderElementsOf(MAPS);
        assertThat(repairs.examples()).hasSize(5);
    }

    @Test
    void aMapThatStrangersFill_isEmptiedOfThem_first() {
        others.removeFrontend(PLAIN);
        int strangers = 0;
        try {
            for (; ; strangers++) {
                others.putFrontend(new Frontend(STRANGER, 1 + strangers, Protocol.TCP), new Route(9, Access.OPEN, 0));
            }
        } catch (TableFullException full) {
            assertThat(strangers).isPositive();
        }

        Audit.Repairs repairs = audit();
        assertThat(repairs.failure()).isEmpty();
        assertThat(repairs.made()).isEqualTo(Map.of("frontends", strangers + 1));
    }

    @Test
    void aRepairThatFails_isTold_andTriedAgain_andTheOthersAreMade() {
        MemoryMaps heap = new MemoryMaps(16, 64, 64, 16);
        datapath = new Datapath(heap, waiting::add);
        audit = new Audit(heap, datapath, repairs -> {});
        int id = put(new VirtualService("a", List.of(PLAIN), backends(2)));
        heap.removeFrontend(PLAIN);
        heap.putSet(id, Reach.CLUSTER, Run.EMPTY);
        heap.beforeCall = () -> {
            throw new IllegalStateException("no memory");
        };

        Audit.Repairs repairs = audit();
        assertThat(repairs.failure()).isEqualTo("no memory");
        assertThat(repairs.made()).isEqualTo(Map.of("sets", 1));
        heap.beforeCall = () -> {};
        assertThat(audit().made()).isEqualTo(Map.of("frontends", 1));
        assertNothingToRepair("then");
    }

    private static VirtualService random(RandomGenerator random) {
        int n = random.nextInt(8);
        Map<Integer, Backend> backends = new LinkedHashMap<>();
        for (int i = random.nextInt(8); i > 0; i--) {
            int host = 1 + random.nextInt(12);
            Backend.State state = Backend.State.values()[random.nextInt(5)];
            backends.put(host, new Backend(Address.of("10.0.0." + host), 8080, state, 1 + random.nextInt(2)));
        }
        List<Prefix> ranges =
                random.nextInt(3) == 0 ? List.of(prefix("10." + random.nextInt(3) + ".0.0/16")) : List.of();
        Map<Frontend, Access> frontends = new HashMap<>();
        for (int i = random.nextInt(4); i > 0; i--) {
            frontends.put(
                    new Frontend(
                            Address.of("10.96.0." + (n + random.nextInt(2))), 80 + random.nextInt(3), Protocol.TCP),
                    new Access(
                            Reach.values()[random.nextInt(2)],
                            Reach.values()[random.nextInt(2)],
                            !ranges.isEmpty(),
                            random.nextBoolean(),
                            random.nextBoolean()));
        }
        int[] tables = {0, 0, 7, 13};
        return new VirtualService(
                "s" + n, frontends, List.copyOf(backends.values()), ranges, 0, tables[random.nextInt(tables.length)]);
    }

    /** Services come, change and leave, want what others have, and find maps full; ids rest; processes come and go. */
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {51, 52, 53})
    void whateverHappensToTheTable_nothingIsRepaired(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        int failed = 0;
        for (int step = 0; step < 1_500; step++) {
            String when = "seed " + seed + ", step " + step;
            switch (random.nextInt(12)) {
                case 0 -> datapath.put(List.of(), Set.of("s" + random.nextInt(8)));
                case 1, 2 -> endGracePeriods();
                case 3 ->
                    datapath.putNodeAddresses(
                            random.nextBoolean() ? Set.of(NODE) : Set.of(NODE, STRANGER, Address.of("127.0.0.1")));
                case 4 -> {
                    if (random.nextInt(10) == 0) {
                        restart();
                    }
                }
                case 5 -> datapath.removeUnclaimed();
                default -> {
                    VirtualService service = random(random);
                    String obsolete = "s" + random.nextInt(32);
                    Set<String> others = obsolete.equals(service.name()) ? Set.of() : Set.of(obsolete);
                    Datapath.Outcome outcome =
                            datapath.put(List.of(service), others).getFirst();
                    failed += outcome.failure() == null ? 0 : 1;
                }
            }
            // Mostly a piece, so that the next change falls into a round.
            audit.goOn(0)
                    .ifPresent(round -> assertThat(round.made())
                            .as("%s: %s", when, round.examples())
                            .isEmpty());
            if (random.nextInt(10) == 0) {
                assertNothingToRepair(when);
            }
        }
        assertThat(failed).as("some found no room, or what they wanted taken").isGreaterThan(50);
    }
}
