package io.shunt.bench;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * How much is measured.
 *
 * @param results the directory that results are written to
 * @param pairs how many pairs of rates are taken
 * @param sizes how many services, smallest first
 * @param starts how often the daemon is started for one figure
 */
record Settings(Path results, int pairs, List<Integer> sizes, int starts) {
    private static final int ENOUGH_PAIRS = 31;
    private static final String ALL_SIZES = "1,100,10000,50000";
    private static final int ENOUGH_STARTS = 5;

    /** @param environment BENCH_PAIRS, BENCH_SIZES and BENCH_STARTS, for a quick look while something is being changed */
    static Settings of(Path results, Map<String, String> environment) {
        return new Settings(
                results,
                Integer.parseInt(environment.getOrDefault("BENCH_PAIRS", "" + ENOUGH_PAIRS)),
                Stream.of(environment.getOrDefault("BENCH_SIZES", ALL_SIZES).split(","))
                        .map(Integer::valueOf)
                        .sorted()
                        .toList(),
                Integer.parseInt(environment.getOrDefault("BENCH_STARTS", "" + ENOUGH_STARTS)));
    }
}
