package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Processes that are killed before a write of their choice, over the kernel's own maps: the next one takes over what
 * is there. {@link DatapathTest} looks at what stands between any two writes; this, at what the kernel keeps.
 */
@Tag("kernel")
class AdoptionTest {
    private static final int ROUNDS = 150;

    private LoadedMaps kernel;
    private KernelMaps maps;
    private final List<Runnable> waiting = new ArrayList<>();

    @BeforeEach
    void load() {
        kernel =
                new LoadedMaps(Map.of("sets", 32, "slots", 256, "backends", 128, "frontends", 64, "service_stats", 32));
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
        waiting.clear();
        maps = kernel.open();
        int[] left = {writes};
        TableMaps mortal = (TableMaps) Proxy.newProxyInstance(
                TableMaps.class.getClassLoader(), new Class<?>[] {TableMaps.class}, (proxy, method, arguments) -> {
                    boolean write = method.getName().matches("(put|remove|mark).*");
                    if (write && left[0]-- == 0) {
                        throw new Killed();
                    }
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
            now.forEach(Runnable::run);
        }
    }

    private static VirtualService random(RandomGenerator random, int n) {
        Map<Integer, Backend> backends = new LinkedHashMap<>();
        for (int i = random.nextInt(7); i > 0; i--) {
            int host = random.nextInt(12);
            Backend.State state = random.nextInt(4) == 0 ? Backend.State.DRAINING : Backend.State.CLUSTER;
            backends.put(host, new Backend(Address.of((n % 2 == 0 ? "10.0.0." : "fd00::") + host), 8080, state));
        }
        Frontend first = new Frontend(Address.of("10.96.0." + n), 80, Protocol.TCP);
        Frontend second = new Frontend(Address.of("fd00:96::" + n), 53, Protocol.UDP);
        return new VirtualService(
                "s" + n,
                random.nextInt(3) == 0 ? List.of(first, second) : List.of(first),
                List.copyOf(backends.values()));
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {31, 32})
    void killedAnywhere_theNextProcessHasWhatIsWanted_andNoMore(long seed) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(seed);
        Map<String, VirtualService> wanted = new TreeMap<>();
        Map<Frontend, Integer> ids = new HashMap<>();
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
                }
            } catch (Killed e) {
                ids.clear();
                maps.forEachFrontend(ids::put);
            }
            Datapath datapath = process(Integer.MAX_VALUE);
            datapath.put(List.copyOf(wanted.values()), Set.of());
            datapath.removeUnclaimed();
            endGracePeriods();
            assertHolds(datapath, wanted);
            assertKept(ids, wanted);
        }
    }

    private void assertHolds(Datapath datapath, Map<String, VirtualService> wanted) {
        Map<Frontend, Set<Backend>> choices = new HashMap<>();
        Map<Frontend, Set<Backend>> expected = new HashMap<>();
        Set<Integer> serviceIds = new HashSet<>();
        maps.forEachFrontend((frontend, id) -> {
            serviceIds.add(id);
            Set<Backend> run = new LinkedHashSet<>();
            for (int i = 0; i < maps.setCount(id); i++) {
                run.add(maps.backend(maps.slot(maps.setBase(id) + i)));
            }
            choices.put(frontend, run);
        });
        int backends = 0;
        int slots = 0;
        Set<Integer> sets = new HashSet<>();
        for (VirtualService service : wanted.values()) {
            Set<Backend> active = new LinkedHashSet<>(service.backends());
            active.removeIf(backend -> backend.state() != Backend.State.CLUSTER);
            service.frontends().keySet().forEach(frontend -> expected.put(frontend, active));
            backends += service.backends().size();
            slots += active.size();
        }
        maps.forEachSetInUse(sets::add);
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
        assertThat(datapath.entries("sets")).isEqualTo(wanted.size());
        assertThat(datapath.services()).isEqualTo(wanted.size());
    }

    /** A service that has had all its frontends under one id before keeps that id. */
    private void assertKept(Map<Frontend, Integer> before, Map<String, VirtualService> wanted) {
        Map<Frontend, Integer> now = new HashMap<>();
        maps.forEachFrontend(now::put);
        for (VirtualService service : wanted.values()) {
            Set<Integer> ids = new HashSet<>();
            service.frontends().keySet().forEach(frontend -> ids.add(before.get(frontend)));
            if (ids.size() == 1 && !ids.contains(null)) {
                assertThat(now.get(service.frontends().keySet().iterator().next()))
                        .as(service.name())
                        .isEqualTo(ids.iterator().next());
            }
        }
    }
}
