package io.shunt.bench;

import java.util.List;
import java.util.Map;

/**
 * What one part of the benchmark found, as it is kept in docs/benchmarks, so that parts can be measured one by one.
 *
 * @param measured when, in RFC 3339
 * @param machine on what
 * @param notes how it was measured, and what else is worth knowing; a sentence each
 */
record PartResult(
        String name,
        String title,
        String measured,
        String machine,
        List<Judged> targets,
        List<Table> tables,
        List<String> charts,
        List<String> notes) {

    /** A target, and whether it was met. */
    record Judged(String what, String target, String measured, boolean met) {}

    record Table(String title, List<String> columns, List<List<String>> rows) {
        /** @param instructions that the verifier walked through, by program */
        static Table ofVerified(String title, Map<String, Integer> instructions) {
            return new Table(
                    title,
                    List.of("program", "instructions"),
                    instructions.entrySet().stream()
                            .map(each -> List.of(each.getKey(), "%,d".formatted(each.getValue())))
                            .toList());
        }
    }
}
