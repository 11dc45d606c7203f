package io.shunt.bench;

import io.shunt.bench.PartResult.Judged;
import io.shunt.bench.PartResult.Table;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Connecting through a cluster IP against connecting to its backend: with ever more services, and while they change. */
final class ConnectPart implements Part {
    private static final double LEAST_RATIO = 0.97;
    private static final double MOST_SPREAD = 0.03;
    private static final Duration SLICE = Duration.ofMillis(200);
    private static final int CHANGES_A_SECOND = 1100;

    /** With fewer services there is too little else to change. */
    private static final int LEAST_TO_CHANGE = 100;

    private static final String CHANGES_TAKEN = "kubeproxy_sync_proxy_rules_endpoint_changes_total";

    /** @param changes slices changed a second, as the daemon counted them */
    private record Row(int services, long changes, double[] vip, double[] direct, double[] bare) {
        Samples ratio() {
            return Samples.ratios(vip, direct);
        }

        String what() {
            return "%,d services%s"
                    .formatted(services, changes == 0 ? "" : ", %,d changes a second".formatted(changes));
        }
    }

    @Override
    public String name() {
        return "connect";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        List<Row> rows = new ArrayList<>();
        for (int services : settings.sizes()) {
            measure(services, settings.pairs(), rows, progress);
        }
        rows.sort((a, b) -> Boolean.compare(a.changes > 0, b.changes > 0));
        writeCsv(settings, rows);
        Chart.connects(settings.results().resolve("connect.png"), series(rows));
        return new PartResult(
                name(),
                "Connects through a cluster IP against connects to its backend",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                judge(rows),
                List.of(new Table("TCP connect and close, a second", COLUMNS, cells(rows))),
                List.of("connect.png"),
                List.of(
                        "Each ratio is the median of %d pairs, with its 95 %% bootstrap interval."
                                .formatted(settings.pairs()),
                        "A pair is four slices of %d ms each: cluster IP, backend, backend, cluster IP, by one client on"
                                        .formatted(SLICE.toMillis())
                                + " one CPU; the server has the other. The client closes by a reset.",
                        "`without programs` is a client beside it, outside the cgroup, that takes its slices in the same"
                                + " rounds: what the programs cost connections that use no service.",
                        "Changes are endpoints that come and go in other services' slices, %,d a second as asked, in"
                                        .formatted(CHANGES_A_SECOND)
                                + " JSON files of 50 slices that are rewritten under the running daemon; the rate is what"
                                + " the daemon's own metric counted."));
    }

    private static void measure(int services, int pairs, List<Row> rows, Progress progress) throws IOException {
        progress.say("connect: %,d services: starting the daemon", services);
        try (ShuntSite site = new ShuntSite(services)) {
            List<Lane> lanes = List.of(site.vip(), site.direct(), site.bare());
            progress.say("connect: %,d services: %d pairs", services, pairs);
            List<double[]> rates = Lane.race(lanes, pairs, SLICE, progress);
            rows.add(tell(new Row(services, 0, rates.get(0), rates.get(1), rates.get(2)), progress));
            if (services < LEAST_TO_CHANGE) {
                return;
            }
            progress.say("connect: %,d services: %d pairs while services change", services, pairs);
            long start = System.nanoTime();
            double before = site.daemon().metrics().value(CHANGES_TAKEN);
            try (ChangeLoad changes = site.changes(CHANGES_A_SECOND)) {
                rates = Lane.race(lanes, pairs, SLICE, progress);
            }
            double taken = site.daemon().metrics().value(CHANGES_TAKEN) - before;
            long perSecond = Math.round(taken * 1e9 / (System.nanoTime() - start));
            rows.add(tell(new Row(services, perSecond, rates.get(0), rates.get(1), rates.get(2)), progress));
        }
    }

    private static Row tell(Row row, Progress progress) {
        progress.say("connect: %s: ratio %s", row.what(), row.ratio().medianWithInterval());
        return row;
    }

    private static List<Judged> judge(List<Row> rows) {
        List<Judged> judged = new ArrayList<>();
        for (Row row : rows) {
            double ratio = row.ratio().median();
            judged.add(new Judged(
                    "connects, cluster IP / direct, " + row.what(),
                    ">= %.2f".formatted(LEAST_RATIO),
                    row.ratio().medianWithInterval(),
                    ratio >= LEAST_RATIO));
        }
        double[] quiet = rows.stream()
                .filter(row -> row.changes == 0)
                .mapToDouble(row -> row.ratio().median())
                .sorted()
                .toArray();
        double spread = quiet[quiet.length - 1] - quiet[0];
        judged.add(new Judged(
                "the same, largest less smallest ratio of all sizes",
                "<= %.2f".formatted(MOST_SPREAD),
                "%.3f".formatted(spread),
                spread <= MOST_SPREAD));
        return judged;
    }

    private static final List<String> COLUMNS = List.of(
            "services",
            "changes a second",
            "cluster IP",
            "direct",
            "cluster IP / direct",
            "direct, without programs",
            "cluster IP / direct without programs");

    private static List<List<String>> cells(List<Row> rows) {
        return rows.stream()
                .map(row -> List.of(
                        "%,d".formatted(row.services),
                        "%,d".formatted(row.changes),
                        rate(row.vip),
                        rate(row.direct),
                        row.ratio().medianWithInterval(),
                        rate(row.bare),
                        Samples.ratios(row.vip, row.bare).medianWithInterval()))
                .toList();
    }

    static String rate(double[] rates) {
        return String.format(Locale.ROOT, "%,.0f", new Samples(rates).median());
    }

    private static List<Chart.Series> series(List<Row> rows) {
        List<Row> quiet = rows.stream().filter(row -> row.changes == 0).toList();
        List<Row> busy = rows.stream().filter(row -> row.changes > 0).toList();
        return List.of(
                new Chart.Series("cluster IP", quiet.stream().collect(Chart.points(Row::services, Row::vip))),
                new Chart.Series("direct", quiet.stream().collect(Chart.points(Row::services, Row::direct))),
                new Chart.Series(
                        "cluster IP, services changing", busy.stream().collect(Chart.points(Row::services, Row::vip))),
                new Chart.Series(
                        "direct, services changing", busy.stream().collect(Chart.points(Row::services, Row::direct))));
    }

    private static void writeCsv(Settings settings, List<Row> rows) throws IOException {
        StringBuilder csv = new StringBuilder("services,changes_per_second,pair,vip_per_second,direct_per_second,"
                + "direct_without_programs_per_second\n");
        for (Row row : rows) {
            for (int pair = 0; pair < row.vip.length; pair++) {
                csv.append(String.format(
                        Locale.ROOT,
                        "%d,%d,%d,%.0f,%.0f,%.0f%n",
                        row.services,
                        row.changes,
                        pair,
                        row.vip[pair],
                        row.direct[pair],
                        row.bare[pair]));
            }
        }
        Files.writeString(settings.results().resolve("connect.csv"), csv);
    }
}
