package io.shunt.bench;

import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** One scrape: values by name with labels, as they are written. */
record Metrics(Map<String, Double> values) {
    static Metrics parse(String text) {
        return new Metrics(text.lines()
                .filter(line -> !line.startsWith("#") && !line.isBlank())
                .collect(Collectors.toMap(
                        line -> line.substring(0, line.lastIndexOf(' ')),
                        line -> Double.parseDouble(
                                line.substring(line.lastIndexOf(' ') + 1).replace("Inf", "Infinity")),
                        (a, b) -> b)));
    }

    double value(String name) {
        Double value = values.get(name);
        if (value == null) {
            throw new IllegalStateException("the daemon has no metric " + name);
        }
        return value;
    }

    /** The cumulative counts of a histogram without other labels, by upper bound. */
    TreeMap<Double, Double> buckets(String histogram) {
        TreeMap<Double, Double> buckets = new TreeMap<>();
        String start = histogram + "_bucket{le=\"";
        values.forEach((name, count) -> {
            if (name.startsWith(start)) {
                String bound = name.substring(start.length(), name.length() - 2).replace("+Inf", "Infinity");
                buckets.put(Double.parseDouble(bound), count);
            }
        });
        return buckets;
    }
}
