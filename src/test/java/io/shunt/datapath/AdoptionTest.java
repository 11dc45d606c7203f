package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.Syscalls;
import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Processes that are killed before a write of their choice, or whose calls fail, over the kernel's own maps: the next
 * one takes over what is there, and what failed heals. {@link DatapathTest} looks at what stands between any two writes;
 * this, at what the kernel keeps.
 */
@Tag("kernel")
class AdoptionTest {
    private static final int ROUNDS = 150;
    private static final Path NOWHERE = Path.of("/proc/self/nowhere");
    private static final Predicate<String> WRITE =
            Pattern.compile("(put|remove|mark).*").asMatchPredicate();
    private static final Predicate<String> SYSTEM_CALL = Pattern.compile(
                    "(put|remove)(Frontend|SourceRange|Stats|LocalBackend)")
            .asMatchPredicate();
    /** Whose first touch maps a window of memory. */
    private static final List<Predicate<String>> MAPPED = List.of(
            Pattern.compile("set|putSet").asMatchPredicate(),
            Pattern.compile("slot|putSlot").asMatchPredicate(),
            Pattern.compile("backend.*|(put|mark)Backend.*").asMatchPredicate());

    private LoadedMaps kernel;
    private KernelMaps maps;
    private final List<Runnable> waiting = new ArrayList<>();

    @BeforeEach
    void load() {
        kernel =
                new LoadedMaps(Map.of("sets", 64, "slots", 256, "backends", 128, "frontends", 64, "service_stats", 32));
    }

    @AfterEach
    void unload() {
        kernel.close();
    }

    /** Stands for kill -9: nothing catches it. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1;
    }

    /** The next process, which lives for that many writes. */
    private Datapath process(int writes) {
        int[] left = {writes};
        return process(method -> {
            if (WRITE.test(method) && left[0]-- == 0) {
                throw new Killed();
            }
        });
    }

    /** The next process, and what happens before it does anything to its maps. */
    private Datapath process(Consumer<String> before) {
        waiting.clear();
        maps = kernel.open();
        TableMaps mortal = (TableMaps) Proxy.newProxyInstance(
                TableMaps.class.getClassLoader(), new Class<?>[] {TableMaps.class}, (proxy, method, arguments) -> {
                    before.accept(method.getName());
                    try {
                        return method.invoke(maps, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
        return new Datapath(mortal, waiting::add);
    }

    private void endGracePeriods() {
        while (!waiting.isEmpty()) {
            List<Runnable> now = List.copyOf(waiting);
            waiting.clear();
            for (Runnable free : now) {
                try {
                    free.run();
                } catch (BpfException e) {
                    assertThat(e.object()).isEqualTo(NOWHERE.toString());
                }
            }
        }
    }

    private static VirtualService random(RandomGenerator random, int n) {
        return random(random, n, "s" + n);
    }

    private static VirtualService random(RandomGenerator random, int n, String name) {
        Map<Integer, Backend> backends = new LinkedHashMap<>();
        for (int i = random.nextInt(7); i > 0; i--) {
            int host = random.nextInt(12);
            Backend.State state = Backend.State.values()[random.nextInt(5)];
            backends.put(host, new Backend(Address.of((n % 2 == 0 ? "10.0.0." : "fd00::") + host), 8080, state));
        }
        Frontend first = new Frontend(Address.of("10.96.0." + n), 80, Protocol.TCP);
        Frontend second = new Frontend(Address.of("fd00:96::" + n), 53, Protocol.UDP);
        List<Prefix> ranges =
                random.nextInt(3) == 0 ? List.of(Prefix.of(Address.of("10.9.0." + random.nextInt(3)))) : List.of();
        Map<Frontend, Access> frontends = new HashMap<>();
        frontends.put(first, access(random, !ranges.isEmpty()));
        if (random.nextInt(3) == 0) {
            frontends.put(second, access(random, false));
        }
        return new VirtualService(name, frontends, List.copyOf(backends.values()), ranges, random.nextInt(2) * 10_800);
    }

    private static Access access(RandomGenerator random, boolean restricted) {
        return new Access(
                Reach.values()[random.nextInt(2)],
                Reach.values()[random.nextInt(2)],
                restricted,
                random.nextBoolean(),
                random.nextBoolean());
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {31, 32})
    void killedAnywhere_theNextProcessHasWhatIsWanted_andNoMore(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        Map<String, VirtualService> wanted = new TreeMap<>();
        Map<Frontend, Route> ids = new HashMap<>();
        for (int round = 0; round < ROUNDS; round++) {
            try {
                Datapath mortal = process(1 + random.nextInt(120));
                mortal.put(List.copyOf(wanted.values()), Set.of());
                mortal.removeUnclaimed();
                while (true) {
                    VirtualService next = random(random, random.nextInt(10));
                    if (random.nextInt(5) == 0) {
                        wanted.remove(next.name());
                        mortal.put(List.of(), Set.of(next.name()));
                    } else {
                        wanted.put(next.name(), next);
                        mortal.put(List.of(next), Set.of());
                    }
                    if (random.nextInt(3) == 0) {
                        endGracePeriods();
                    }
                    assertNothingToRepair(mortal);
                }
            } catch (Killed e) {
                ids.clear();
                maps.forEachFrontend(ids::put);
            }
            Datapath datapath = process(Integer.MAX_VALUE);
            assertNothingToRepair(datapath);
            datapath.put(List.copyOf(wanted.values()), Set.of());
            datapath.removeUnclaimed();
            endGracePeriods();
            assertHolds(datapath, wanted);
            assertKept(ids, wanted);
        }
    }

    /** Of which every n-th call fails, and the first that touches an array. */
    private final class Unwilling implements Consumer<String> {
        private final RandomGenerator random;
        private final Set<Predicate<String>> unmapped = new HashSet<>(MAPPED);
        private int nth;

        Unwilling(RandomGenerator random) {
            this.random = random;
            nth = 2 + random.nextInt(20);
        }

        @Override
        public void accept(String method) {
            if (WRITE.test(method)) {
                assertCompleteRuns();
            }
            boolean fails = nth > 0 && random.nextInt(nth) == 0;
            boolean firstTouch = unmapped.stream().anyMatch(each -> each.test(method));
            if (fails && (firstTouch || SYSTEM_CALL.test(method))) {
                fail();
            }
            unmapped.removeIf(each -> each.test(method));
        }
    }

    /** As the binding does, with an exception of the binding's own. */
    private static void fail() {
        Syscalls.open(NOWHERE).close();
    }

    private void assertCompleteRuns() {
        Set<Integer> live = new HashSet<>();
        maps.forEachBackend(live::add);
        maps.forEachFrontend((frontend, route) -> {
            for (Reach reach : Reach.values()) {
                Run run = maps.set(route.serviceId(), reach);
                for (int i = 0; i < run.count(); i++) {
                    int id = maps.slot(run.base() + i);
                    assertThat(live).as("backends that %s leads to", frontend).contains(id);
                    assertThat(maps.backendServiceId(id)).isEqualTo(route.serviceId());
                }
            }
        });
    }

    /** As the control loop does: each Service is put with all names it may have in the kernel, and again until it is done. */
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {51, 52, 53})
    void whateverCallsFail_noRunIsEverIncomplete_andWhenTheyWorkAgainTheKernelHasWhatIsWanted(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        Map<Integer, VirtualService> wanted = new TreeMap<>();
        Map<Integer, Set<String>> names = new TreeMap<>();
        int failures = 0;
        for (int round = 0; round < 20; round++) {
            Unwilling unwilling = new Unwilling(random);
            Datapath datapath = null;
            while (datapath == null) {
                try {
                    datapath = process(unwilling);
                } catch (BpfException startFails) {
                    failures++;
                }
            }
            names.values().forEach(Set::clear);
            for (int step = 0; step < 60; step++) {
                int n = random.nextInt(8);
                if (random.nextInt(5) == 0) {
                    wanted.remove(n);
                } else {
                    wanted.put(n, random(random, n, "st".charAt(random.nextInt(2)) + "" + n));
                }
                failures += program(datapath, n, wanted, names) ? 0 : 1;
                if (random.nextInt(3) == 0) {
                    endGracePeriods();
                }
                assertNothingToRepair(datapath);
            }
            unwilling.nth = 0;
            for (int n = 0; n < 8; n++) {
                assertThat(program(datapath, n, wanted, names)).isTrue();
            }
            datapath.removeUnclaimed();
            endGracePeriods();
            Map<String, VirtualService> byName = new TreeMap<>();
            wanted.values().forEach(service -> byName.put(service.name(), service));
            assertHolds(datapath, byName);
        }
        assertThat(failures).isGreaterThan(100);
    }

    private static boolean program(
            Datapath datapath, int n, Map<Integer, VirtualService> wanted, Map<Integer, Set<String>> names) {
        List<VirtualService> group = Stream.ofNullable(wanted.get(n)).toList();
        Set<String> known = names.computeIfAbsent(n, i -> new HashSet<>());
        Set<String> obsolete = new HashSet<>(known);
        group.forEach(service -> obsolete.remove(service.name()));
        group.forEach(service -> known.add(service.name()));
        try {
            boolean done = datapath.put(group, obsolete).stream().allMatch(outcome -> outcome.failure() == null);
            if (done) {
                known.removeAll(obsolete);
            }
            return done;
        } catch (BpfException e) {
            return false;
        }
    }

    /** The datapath always knows what the kernel has. */
    private void assertNothingToRepair(Datapath datapath) {
        Audit.Repairs repairs =
                new Audit(maps, datapath, links -> {}).goOn(Long.MAX_VALUE).orElseThrow();
        assertThat(repairs.failure()).isEmpty();
        assertThat(repairs.made()).as("%s", repairs.examples()).isEmpty();
    }

    private void assertHolds(Datapath datapath, Map<String, VirtualService> wanted) {
        Map<String, List<Backend>> choices = new HashMap<>();
        Map<String, List<Backend>> expected = new HashMap<>();
        Map<Integer, Set<Prefix>> ranges = new HashMap<>();
        Map<Integer, Set<Prefix>> expectedRanges = new HashMap<>();
        Map<Frontend, Route> routes = new HashMap<>();
        Set<Integer> serviceIds = new HashSet<>();
        maps.forEachFrontend((frontend, route) -> {
            routes.put(frontend, route);
            serviceIds.add(route.serviceId());
            for (Reach reach : Reach.values()) {
                Run run = maps.set(route.serviceId(), reach);
                choices.put(
                        frontend + " " + reach,
                        IntStream.range(0, run.count())
                                .mapToObj(i -> maps.backend(maps.slot(run.base() + i)))
                                .toList());
            }
        });
        int backends = 0;
        int slots = 0;
        Set<Integer> sets = new HashSet<>();
        for (VirtualService service : wanted.values()) {
            Set<List<Backend>> runs = new HashSet<>();
            for (Reach reach : Reach.values()) {
                List<Backend> members = service.backends().stream()
                        .filter(backend -> backend.state().takes(reach))
                        .toList();
                runs.add(members);
                service.frontends().keySet().forEach(frontend -> expected.put(frontend + " " + reach, members));
            }
            service.frontends().forEach((frontend, access) -> {
                Route route = routes.get(frontend);
                assertThat(route).isEqualTo(new Route(route.serviceId(), access, service.affinitySeconds()));
                if (!service.sourceRanges().isEmpty()) {
                    expectedRanges.put(route.serviceId(), Set.copyOf(service.sourceRanges()));
                }
            });
            backends += service.backends().size();
            slots += runs.stream().mapToInt(List::size).sum();
        }
        maps.forEachSourceRange(
                (id, range) -> ranges.computeIfAbsent(id, i -> new HashSet<>()).add(range));
        assertThat(ranges).isEqualTo(expectedRanges);
        maps.forEachSetInUse((id, reach, run) -> sets.add(id));
        Set<Integer> live = new HashSet<>();
        maps.forEachBackend(live::add);
        Set<Integer> stats = new HashSet<>();
        maps.forEachStats(stats::add);
        assertThat(choices).isEqualTo(expected);
        assertThat(live).hasSize(backends);
        assertThat(stats).isEqualTo(serviceIds);
        assertThat(serviceIds).containsAll(sets);
        assertThat(datapath.entries("backends")).isEqualTo(backends);
        assertThat(datapath.entries("slots")).isEqualTo(slots);
        assertThat(datapath.entries("sets")).isEqualTo(2 * wanted.size());
        assertThat(datapath.services()).isEqualTo(wanted.size());
        assertLocalBackends(datapath, wanted, routes);
    }

    /** Those that take new connections on this node, and maybe some that have and still serve. */
    private void assertLocalBackends(
            Datapath datapath, Map<String, VirtualService> wanted, Map<Frontend, Route> routes) {
        Map<Integer, Set<Address>> least = new HashMap<>();
        Map<Integer, Set<Address>> most = new HashMap<>();
        for (VirtualService service : wanted.values()) {
            if (service.frontends().values().stream().anyMatch(Access::direct)) {
                int id = routes.get(service.frontends().keySet().iterator().next())
                        .serviceId();
                for (Backend backend : service.backends()) {
                    if (backend.state().serves()) {
                        most.computeIfAbsent(id, i -> new HashSet<>()).add(backend.address());
                    }
                    if (backend.state().takes(Reach.LOCAL)) {
                        least.computeIfAbsent(id, i -> new HashSet<>()).add(backend.address());
                    }
                }
            }
        }
        int[] count = {0};
        maps.forEachLocalBackend((id, address, backendId) -> {
            count[0]++;
            assertThat(most.getOrDefault(id, Set.of())).contains(address);
            assertThat(maps.backend(backendId).address()).isEqualTo(address);
            assertThat(maps.backendServiceId(backendId)).isEqualTo(id);
            least.getOrDefault(id, new HashSet<>()).remove(address);
        });
        assertThat(least.values()).allMatch(Set::isEmpty);
        assertThat(datapath.entries("local_backends")).isEqualTo(count[0]);
    }

    /** A service that has had all its frontends under one id before, which had no others, keeps that id. */
    private void assertKept(Map<Frontend, Route> before, Map<String, VirtualService> wanted) {
        Map<Frontend, Route> now = new HashMap<>();
        maps.forEachFrontend(now::put);
        for (VirtualService service : wanted.values()) {
            Set<Integer> ids = new HashSet<>();
            service.frontends()
                    .keySet()
                    .forEach(frontend -> ids.add(
                            before.containsKey(frontend) ? before.get(frontend).serviceId() : null));
            boolean alone = before.entrySet().stream()
                    .filter(each -> ids.contains(each.getValue().serviceId()))
                    .allMatch(each -> service.frontends().containsKey(each.getKey()));
            if (ids.size() == 1 && !ids.contains(null) && alone) {
                assertThat(now.get(service.frontends().keySet().iterator().next())
                                .serviceId())
                        .as(service.name())
                        .isEqualTo(ids.iterator().next());
            }
        }
    }
}
