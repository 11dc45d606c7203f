package io.shunt.whole;

import io.shunt.datapath.PinnedMaps;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What pinned maps hold, at rest.
 *
 * @param serviceIds service id by frontend, such as {@code 10.96.0.1:80/6}
 * @param backendIds backend id by frontend and the backend's address
 * @param contents what remains if ids are left out: equal for two installations that do the same
 */
record KernelTable(Map<String, Integer> serviceIds, Map<String, Map<String, Integer>> backendIds, Contents contents) {
    /**
     * @param choices what a new connection that may go anywhere may get, by frontend
     * @param backends every backend and its state, by frontend
     * @param addresses those that are known as services', and whether as external
     * @param sets service ids with such backends
     * @param stats service ids with counters
     * @param strays entries of a service that no frontend leads to
     */
    record Contents(
            Map<String, Set<String>> choices,
            Map<String, Set<String>> backends,
            Map<String, Boolean> addresses,
            int sets,
            int stats,
            List<String> strays) {}

    private static final class Maps {
        final Map<String, Integer> frontends = new TreeMap<>();
        final Map<String, Boolean> addresses = new TreeMap<>();
        final Map<Integer, int[]> sets = new HashMap<>();
        final Set<Integer> localSets = new HashSet<>();
        final Map<Integer, Integer> slots = new HashMap<>();
        final Map<Integer, Map<String, ?>> backends = new HashMap<>();
        final Set<Integer> stats = new HashSet<>();

        void take(String map, Map<String, ?> entry) {
            switch (map) {
                case "frontends" -> {
                    if (entry.containsKey("protocol")) {
                        frontends.put(entry.get("address") + "/" + entry.get("protocol"), number(entry, "service_id"));
                    } else {
                        addresses.put(String.valueOf(entry.get("address")), (Boolean) entry.get("external"));
                    }
                }
                case "sets" -> {
                    if (entry.get("reach").equals("cluster")) {
                        sets.put(
                                number(entry, "service_id"), new int[] {number(entry, "base"), number(entry, "count")});
                    } else {
                        localSets.add(number(entry, "service_id"));
                    }
                }
                case "slots" -> slots.put(number(entry, "slot"), number(entry, "backend_id"));
                case "backends" -> backends.put(number(entry, "backend_id"), entry);
                case "service_stats" -> stats.add(number(entry, "service_id"));
                default -> {}
            }
        }
    }

    private static int number(Map<String, ?> entry, String field) {
        return (Integer) entry.get(field);
    }

    static KernelTable read(Path bpfRoot) {
        Maps maps = new Maps();
        PinnedMaps.dump(bpfRoot, maps::take);
        Map<String, Set<String>> choices = new TreeMap<>();
        Map<String, Set<String>> backends = new TreeMap<>();
        Map<String, Map<String, Integer>> backendIds = new TreeMap<>();
        maps.frontends.forEach((frontend, serviceId) -> {
            choices.put(frontend, choices(maps, serviceId));
            backends.put(frontend, new TreeSet<>());
            backendIds.put(frontend, new TreeMap<>());
            maps.backends.forEach((id, backend) -> {
                if (backend.get("service_id").equals(serviceId)) {
                    backends.get(frontend).add(backend.get("address") + " " + backend.get("state"));
                    backendIds.get(frontend).put(String.valueOf(backend.get("address")), id);
                }
            });
        });
        return new KernelTable(
                maps.frontends,
                backendIds,
                new Contents(choices, backends, maps.addresses, maps.sets.size(), maps.stats.size(), strays(maps)));
    }

    private static Set<String> choices(Maps maps, int serviceId) {
        Set<String> choices = new TreeSet<>();
        int[] set = maps.sets.getOrDefault(serviceId, new int[2]);
        for (int slot = set[0]; slot < set[0] + set[1]; slot++) {
            Map<String, ?> backend = maps.backends.get(maps.slots.get(slot));
            choices.add(backend == null ? "slot " + slot + " leads nowhere" : String.valueOf(backend.get("address")));
        }
        return choices;
    }

    private static List<String> strays(Maps maps) {
        Set<Integer> known = Set.copyOf(maps.frontends.values());
        List<String> strays = new ArrayList<>();
        maps.sets.keySet().stream().filter(id -> !known.contains(id)).forEach(id -> strays.add("set " + id));
        maps.localSets.stream().filter(id -> !known.contains(id)).forEach(id -> strays.add("local set " + id));
        maps.stats.stream().filter(id -> !known.contains(id)).forEach(id -> strays.add("stats " + id));
        maps.backends.values().stream()
                .filter(backend -> !known.contains(number(backend, "service_id")))
                .forEach(backend -> strays.add("backend " + backend));
        return strays;
    }
}
