package io.shunt.metrics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Prometheus text format 0.0.4, read strictly: a line that is none of its kinds fails. */
public final class Scrape {
    private static final Pattern SAMPLE = Pattern.compile("([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(.*)\\})? (\\S+)");
    private static final Pattern LABEL = Pattern.compile("([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\]|\\\\.)*)\",?");

    public record Sample(String name, Map<String, String> labels, double value) {}

    public final Map<String, String> types = new HashMap<>();
    public final Map<String, String> helps = new HashMap<>();
    public final List<Sample> samples = new ArrayList<>();

    public Scrape(String text) {
        for (String line : text.lines().toList()) {
            if (line.startsWith("# TYPE ")) {
                String[] words = line.split(" ", 4);
                if (types.put(words[2], words[3]) != null) {
                    throw new AssertionError("two TYPE lines for " + words[2]);
                }
            } else if (line.startsWith("# HELP ")) {
                String[] words = line.split(" ", 4);
                helps.put(words[2], words[3]);
            } else {
                samples.add(sample(line));
            }
        }
    }

    private static Sample sample(String line) {
        Matcher matcher = SAMPLE.matcher(line);
        if (!matcher.matches()) {
            throw new AssertionError("not a line of Prometheus text: " + line);
        }
        Map<String, String> labels = new LinkedHashMap<>();
        if (matcher.group(2) != null) {
            Matcher each = LABEL.matcher(matcher.group(2));
            while (each.lookingAt()) {
                labels.put(each.group(1), each.group(2));
                each.region(each.end(), matcher.group(2).length());
            }
            if (each.regionStart() != matcher.group(2).length()) {
                throw new AssertionError("labels do not parse: " + line);
            }
        }
        return new Sample(
                matcher.group(1),
                labels,
                "+Inf".equals(matcher.group(3)) ? Double.POSITIVE_INFINITY : Double.parseDouble(matcher.group(3)));
    }

    /** The one sample of that name whose labels are these, given as name, value, name, value. */
    public double value(String name, String... labels) {
        Map<String, String> wanted = new HashMap<>();
        for (int i = 0; i < labels.length; i += 2) {
            wanted.put(labels[i], labels[i + 1]);
        }
        List<Sample> found = samples.stream()
                .filter(sample -> sample.name().equals(name) && sample.labels().equals(wanted))
                .toList();
        if (found.size() != 1) {
            throw new AssertionError(found.size() + " samples " + name + wanted + " in " + named(name));
        }
        return found.getFirst().value();
    }

    public List<Sample> named(String name) {
        return samples.stream().filter(sample -> sample.name().equals(name)).toList();
    }

    /** Upper bounds of a histogram's buckets in their order, as written. */
    public List<String> bounds(String name, String... labels) {
        return named(name + "_bucket").stream()
                .filter(sample ->
                        labels.length == 0 || labels[1].equals(sample.labels().get(labels[0])))
                .map(sample -> sample.labels().getOrDefault("le", ""))
                .toList();
    }
}
