package io.shunt.source;

import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is wrong with a source now. A problem has a key that says what it is about; it is logged once when it appears
 * or turns into another, and once when it is mended.
 */
final class Problems {
    private static final Logger LOG = LoggerFactory.getLogger(Source.class);

    private final ConcurrentMap<Object, List<Problem>> current = new ConcurrentHashMap<>();
    private final SourceCounters counters;

    Problems(SourceCounters counters) {
        this.counters = counters;
    }

    void raise(Object key, Problem problem) {
        raise(key, List.of(problem));
    }

    /** Makes {@code problems}, at least one, what is wrong with {@code key}. */
    void raise(Object key, List<Problem> problems) {
        problems.forEach(problem -> counters.failed(problem.cause()));
        List<Problem> before = current.put(key, List.copyOf(problems));
        problems.stream()
                .filter(problem -> before == null || !before.contains(problem))
                .forEach(problem -> LOG.warn("{}", problem));
    }

    void mend(Object key) {
        List<Problem> before = current.remove(key);
        if (before != null) {
            before.forEach(problem -> LOG.info("mended: {}", problem));
        }
    }

    List<Problem> now() {
        return current.values().stream()
                .flatMap(List::stream)
                .sorted(Comparator.comparing(Problem::toString))
                .toList();
    }
}
