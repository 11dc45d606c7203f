package io.shunt.bench;

import io.shunt.bench.PartResult.Table;
import io.shunt.testbed.Traffic;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Shunt beside rules of kube-proxy's shape, each in a client's namespace of its own, against the same server. */
final class NetfilterPart implements Part {
    private static final Duration SLICE = Duration.ofMillis(150);

    /** Rules that need longer to load are left out, and the results say so. */
    private static final int MOST_LOAD_SECONDS = 150;

    /** How long the rules for the size before took to load, in seconds, by kind. */
    private final Map<RuleSet, Double> loadSeconds = new EnumMap<>(RuleSet.class);

    private final List<Row> rows = new ArrayList<>();
    private final List<String> leftOut = new ArrayList<>();

    /** @param loadSeconds 0 for Shunt */
    private record Row(
            String proxy, int services, double[] vip, double[] direct, double[] shuntVip, double loadSeconds) {}

    @Override
    public String name() {
        return "netfilter";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        int before = 0;
        for (int services : settings.sizes()) {
            measure(services, before, settings, progress);
            before = services;
        }
        writeCsv(settings);
        Chart.connects(settings.results().resolve("netfilter.png"), series());
        List<String> notes = new ArrayList<>(leftOut);
        notes.add("%d rounds; in each, every lane has two slices of %d ms, in the order A B C ... C B A."
                .formatted(settings.pairs(), SLICE.toMillis()));
        notes.add("Rules are in the clients' own namespaces, as kube-proxy 1.36 writes them but for comments: %s, %s."
                .formatted(version("iptables", "--version"), version("nft", "--version")));
        notes.add("The measured service stands in the middle of the list and has one backend; the others have "
                + ShuntSite.ENDPOINTS + ".");
        notes.add("`direct` is to the backend itself through the same namespace: rules slow that too.");
        return new PartResult(
                name(),
                "Shunt beside iptables and nftables",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                List.of(),
                List.of(new Table(
                        "TCP connect and close, a second",
                        List.of(
                                "services",
                                "proxy",
                                "cluster IP",
                                "direct",
                                "cluster IP / direct",
                                "cluster IP / Shunt's cluster IP",
                                "rules load in, s"),
                        rows.stream().map(NetfilterPart::cells).toList())),
                List.of("netfilter.png"),
                notes);
    }

    private void measure(int services, int before, Settings settings, Progress progress) throws IOException {
        progress.say("netfilter: %,d services: starting the daemon", services);
        try (ShuntSite shunt = new ShuntSite(services);
                Workspace workspace = new Workspace()) {
            List<Lane> lanes = new ArrayList<>(List.of(shunt.vip(), shunt.direct()));
            Map<RuleSet, Double> loaded = new EnumMap<>(RuleSet.class);
            for (RuleSet rules : RuleSet.values()) {
                Double seconds = load(rules, services, before, shunt.bed(), lanes, workspace.path(), progress);
                if (seconds != null) {
                    loaded.put(rules, seconds);
                }
            }
            loadSeconds.putAll(loaded);
            progress.say("netfilter: %,d services: %d rounds", services, settings.pairs());
            List<double[]> rates = Lane.race(lanes, settings.pairs(), SLICE, progress);
            add(new Row("Shunt", services, rates.get(0), rates.get(1), rates.get(0), 0), progress);
            int lane = 2;
            for (Map.Entry<RuleSet, Double> rules : loaded.entrySet()) {
                add(
                        new Row(
                                rules.getKey().label(),
                                services,
                                rates.get(lane),
                                rates.get(lane + 1),
                                rates.get(0),
                                rules.getValue()),
                        progress);
                lane += 2;
            }
        }
    }

    private void add(Row row, Progress progress) {
        rows.add(row);
        progress.say(
                "netfilter: %,d services: %s %s a second, direct %s",
                row.services, row.proxy, ConnectPart.rate(row.vip), ConnectPart.rate(row.direct));
    }

    /** @return how long it took, in seconds; null if the rules were left out */
    private @Nullable Double load(
            RuleSet rules, int services, int before, Bed bed, List<Lane> lanes, Path workspace, Progress progress)
            throws IOException {
        double least = before == 0 ? 0 : loadSeconds.getOrDefault(rules, Double.MAX_VALUE) * services / before;
        if (least > MOST_LOAD_SECONDS) {
            leaveOut(
                    ("%s with %,d services is left out: its rules, which load no faster than in proportion to those for"
                                    + " %,d, would take more than %d s to load")
                            .formatted(rules.label(), services, before, MOST_LOAD_SECONDS),
                    progress);
            return null;
        }
        progress.say("netfilter: %,d services: loading %s rules", services, rules.label());
        Bed.Site site = bed.site(rules.label());
        Cluster cluster = new Cluster(services, ShuntSite.ENDPOINTS, site.server());
        // A cluster IP needs a route before its destination is translated.
        site.namespace().ip("route", "add", "default", "via", site.server());
        double seconds;
        try {
            seconds = rules.load(
                    cluster, List.of(), site.namespace(), workspace.resolve(rules.label()), MOST_LOAD_SECONDS);
        } catch (UncheckedIOException e) {
            leaveOut(
                    "%s with %,d services is left out: its rules did not load within %d s (%s)"
                            .formatted(
                                    rules.label(),
                                    services,
                                    MOST_LOAD_SECONDS,
                                    String.valueOf(e.getMessage())
                                            .lines()
                                            .skip(1)
                                            .limit(1)
                                            .toList()),
                    progress);
            return null;
        }
        Traffic client = site.client();
        lanes.add(new Lane(
                rules.label() + ", cluster IP", client, Cluster.vip(cluster.measured()), Cluster.SERVICE_PORT));
        lanes.add(new Lane(rules.label() + ", direct", client, site.server(), Cluster.BACKEND_PORT));
        return seconds;
    }

    private void leaveOut(String note, Progress progress) {
        leftOut.add(note + ".");
        progress.say("netfilter: %s", note);
    }

    private static String version(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (BufferedReader output = process.inputReader()) {
            return String.valueOf(output.readLine());
        }
    }

    private static List<String> cells(Row row) {
        boolean shunt = row.loadSeconds == 0;
        return List.of(
                "%,d".formatted(row.services),
                row.proxy,
                ConnectPart.rate(row.vip),
                ConnectPart.rate(row.direct),
                Samples.ratios(row.vip, row.direct).medianWithInterval(),
                shunt ? "1" : Samples.ratios(row.vip, row.shuntVip).medianWithInterval(),
                shunt ? "" : "%.1f".formatted(row.loadSeconds));
    }

    private List<Chart.Series> series() {
        List<Chart.Series> series = new ArrayList<>();
        for (String proxy : rows.stream().map(Row::proxy).distinct().toList()) {
            List<Row> of = rows.stream().filter(row -> row.proxy.equals(proxy)).toList();
            series.add(new Chart.Series(
                    proxy + ", cluster IP", of.stream().collect(Chart.points(Row::services, Row::vip))));
            series.add(new Chart.Series(
                    proxy + ", direct", of.stream().collect(Chart.points(Row::services, Row::direct))));
        }
        return series;
    }

    private void writeCsv(Settings settings) throws IOException {
        StringBuilder csv = new StringBuilder("services,proxy,round,vip_per_second,direct_per_second\n");
        for (Row row : rows) {
            for (int round = 0; round < row.vip.length; round++) {
                csv.append(String.format(
                        Locale.ROOT,
                        "%d,%s,%d,%.0f,%.0f%n",
                        row.services,
                        row.proxy,
                        round,
                        row.vip[round],
                        row.direct[round]));
            }
        }
        Files.writeString(settings.results().resolve("netfilter.csv"), csv);
    }
}
