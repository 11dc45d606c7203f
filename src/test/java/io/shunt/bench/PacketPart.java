package io.shunt.bench;

import io.shunt.bench.PartResult.Judged;
import io.shunt.bench.PartResult.Table;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfProgram;
import io.shunt.net.IpFamily;
import io.shunt.testbed.Load;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Node ports, asked by a client from elsewhere, against plain routing to the same backend, and beside rules of
 * kube-proxy's shape: each in a node of its own.
 */
final class PacketPart implements Part {
    private static final Duration SLICE = Duration.ofMillis(150);

    /** From a node with few services to one with many nothing may change. */
    private static final List<Integer> SIZES = List.of(1, 10_000);

    private static final int MOST_LOAD_SECONDS = 150;
    private static final double LEAST_LOCAL = 0.90;
    private static final double LEAST_MASQUERADED = 0.85;
    private static final double LEAST_BESIDE_RULES = 1.5;
    private static final double MOST_SPREAD = 0.05;

    private static final List<Measure> MEASURES = List.of(
            new Measure("connections", "TCP connect and close", Load.Kind.CONNECT, "tcp"),
            new Measure("packets", "UDP datagrams to the backend", Load.Kind.UDP_FLOOD, "udp"));

    private record Measure(String unit, String title, Load.Kind kind, String protocol) {}

    /** Which traffic policy a node port has. */
    private enum Policy {
        LOCAL(30_080, "policy Local, the client's address kept"),
        CLUSTER(30_081, "policy Cluster, masqueraded");

        final int port;
        final String words;

        Policy(int port, String words) {
            this.port = port;
            this.words = words;
        }
    }

    /** @param plain through a node that only routes, in the same rounds */
    private record Row(int services, Measure measure, String proxy, Policy policy, double[] rates, double[] plain) {
        Samples ratio() {
            return Samples.ratios(rates, plain);
        }

        boolean isShunt() {
            return proxy.equals(SHUNT);
        }
    }

    private static final String SHUNT = "Shunt";

    private final List<Row> rows = new ArrayList<>();
    private final Map<String, Integer> verified = new TreeMap<>();

    @Override
    public String name() {
        return "packets";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        for (int services : SIZES) {
            measure(services, settings.pairs(), progress);
        }
        writeCsv(settings);
        Chart.bars(
                settings.results().resolve("packets.png"),
                "Through a node port / plain routing to the backend",
                bars());
        List<Table> tables = new ArrayList<>();
        for (Measure measure : MEASURES) {
            tables.add(new Table(measure.title + ", a second", COLUMNS, cells(measure)));
        }
        tables.add(Table.ofVerified("What the verifier walked through", verified));
        return new PartResult(
                name(),
                "Node ports against plain routing, and beside iptables and nftables",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                judge(),
                tables,
                List.of("packets.png"),
                List.of(
                        "%d rounds; in each, every lane has two slices of %d ms, in the order A B C ... C B A; the ratios are medians with their 95 %% bootstrap intervals."
                                .formatted(settings.pairs(), SLICE.toMillis()),
                        "A client, a node and the backend are network namespaces in a row, each node with devices of its own;"
                                + " the client has one CPU, the server the other, and forwarding happens on the sender's.",
                        "`plain` is a node that only routes: no programs, no netfilter rule, no conntrack.",
                        "Datagrams are those that the client could send: with virtual devices the whole way to the server's"
                                + " socket is part of sending."));
    }

    private void measure(int services, int rounds, Progress progress) throws IOException {
        progress.say("packets: %,d services: starting the daemon and loading rules", services);
        try (PacketBed bed = new PacketBed();
                Workspace workspace = new Workspace()) {
            PacketBed.Node plain = bed.node("plain");
            Map<String, PacketBed.Node> nodes = new LinkedHashMap<>();
            nodes.put(SHUNT, bed.node("shunt"));
            for (RuleSet rules : RuleSet.values()) {
                PacketBed.Node node = bed.node(rules.label());
                rules.load(
                        new Cluster(services, ShuntSite.ENDPOINTS, null),
                        doors(node),
                        node.namespace(),
                        workspace.path().resolve(rules.label()),
                        MOST_LOAD_SECONDS);
                nodes.put(rules.label(), node);
            }
            PacketBed.Node node = nodes.get(SHUNT);
            try (NodeSite site = new NodeSite(
                    node.namespace(),
                    services,
                    nodePorts(node),
                    "--devices",
                    PacketBed.OUTSIDE + ",pod:" + PacketBed.INSIDE)) {
                site.daemon().awaitShortcut();
                race(bed, plain, nodes, services, rounds, progress);
                readVerified(site.daemon().bpfRoot());
            }
        }
    }

    private static List<NodeSite.NodePort> nodePorts(PacketBed.Node node) {
        return Stream.of(Policy.values())
                .map(policy -> new NodeSite.NodePort(
                        policy.port, IpFamily.IPV4, policy == Policy.LOCAL, List.of(node.backend())))
                .toList();
    }

    private static List<RuleSet.Door> doors(PacketBed.Node node) {
        List<RuleSet.Door> doors = new ArrayList<>();
        for (Policy policy : Policy.values()) {
            for (Measure measure : MEASURES) {
                doors.add(new RuleSet.Door(
                        (policy + "-" + measure.protocol).toLowerCase(Locale.ROOT),
                        measure.protocol,
                        node.address(),
                        policy.port,
                        List.of(node.backend()),
                        policy == Policy.LOCAL));
            }
        }
        return doors;
    }

    private void race(
            PacketBed bed,
            PacketBed.Node plain,
            Map<String, PacketBed.Node> nodes,
            int services,
            int rounds,
            Progress progress) {
        for (Measure measure : MEASURES) {
            List<Lane> lanes = new ArrayList<>();
            lanes.add(new Lane("plain", bed.client(), plain.backend(), Cluster.BACKEND_PORT, measure.kind));
            nodes.forEach((proxy, node) -> {
                for (Policy policy : Policy.values()) {
                    lanes.add(new Lane(proxy + " " + policy, bed.client(), node.address(), policy.port, measure.kind));
                }
            });
            progress.say("packets: %,d services: %d rounds of %s", services, rounds, measure.title);
            List<double[]> rates = Lane.race(lanes, rounds, SLICE, progress);
            int lane = 1;
            for (String proxy : nodes.keySet()) {
                for (Policy policy : Policy.values()) {
                    Row row = new Row(services, measure, proxy, policy, rates.get(lane++), rates.getFirst());
                    rows.add(row);
                    progress.say(
                            "packets: %,d services: %s, %s: %s %s a second, of plain routing %s",
                            services,
                            proxy,
                            policy.words,
                            ConnectPart.rate(row.rates),
                            measure.unit,
                            row.ratio().medianWithInterval());
                }
            }
        }
    }

    private void readVerified(Path bpfRoot) throws IOException {
        try (Stream<Path> links = Files.list(bpfRoot.resolve("links"))) {
            for (Path pin : links.toList()) {
                try (BpfLink link = BpfLink.openPinned(pin);
                        BpfProgram program = BpfProgram.openId(link.info().programId())) {
                    verified.put(program.name(), program.info().verifiedInstructions());
                }
            }
        }
    }

    private Stream<Row> of(Measure measure) {
        return rows.stream().filter(row -> row.measure.equals(measure));
    }

    private List<Judged> judge() {
        List<Judged> judged = new ArrayList<>();
        for (Measure measure : MEASURES) {
            of(measure).filter(Row::isShunt).forEach(row -> {
                double least = row.policy == Policy.LOCAL ? LEAST_LOCAL : LEAST_MASQUERADED;
                judged.add(new Judged(
                        "%s through a node port / plain routing, %s, %,d services"
                                .formatted(measure.unit, row.policy.words, row.services),
                        ">= %.2f".formatted(least),
                        row.ratio().medianWithInterval(),
                        row.ratio().median() >= least));
            });
            for (Policy policy : Policy.values()) {
                double[] ratios = of(measure)
                        .filter(row -> row.isShunt() && row.policy == policy)
                        .mapToDouble(row -> row.ratio().median())
                        .sorted()
                        .toArray();
                double spread = ratios[ratios.length - 1] - ratios[0];
                judged.add(new Judged(
                        "the same, %s, %s: largest less smallest of all sizes".formatted(measure.unit, policy.words),
                        "<= %.2f".formatted(MOST_SPREAD),
                        "%.3f".formatted(spread),
                        spread <= MOST_SPREAD));
            }
            of(measure).filter(row -> !row.isShunt()).forEach(row -> {
                Samples ratio = Samples.ratios(shunt(row).rates, row.rates);
                judged.add(new Judged(
                        "%s, Shunt / %s, %s, %,d services"
                                .formatted(measure.unit, row.proxy, row.policy.words, row.services),
                        ">= %.1f".formatted(LEAST_BESIDE_RULES),
                        ratio.medianWithInterval(),
                        ratio.median() >= LEAST_BESIDE_RULES));
            });
        }
        return judged;
    }

    private Row shunt(Row row) {
        return of(row.measure)
                .filter(each -> each.isShunt() && each.services == row.services && each.policy == row.policy)
                .findFirst()
                .orElseThrow();
    }

    private static final List<String> COLUMNS =
            List.of("services", "proxy", "node port", "a second", "plain", "/ plain", "Shunt / this");

    private List<List<String>> cells(Measure measure) {
        return of(measure)
                .map(row -> List.of(
                        "%,d".formatted(row.services),
                        row.proxy,
                        row.policy.words,
                        ConnectPart.rate(row.rates),
                        ConnectPart.rate(row.plain),
                        row.ratio().medianWithInterval(),
                        row.isShunt()
                                ? "1"
                                : Samples.ratios(shunt(row).rates, row.rates).medianWithInterval()))
                .toList();
    }

    /** By proxy, a ratio for each measure, policy and number of services. */
    private Map<String, Map<String, Double>> bars() {
        Map<String, Map<String, Double>> bars = new LinkedHashMap<>();
        for (Row row : rows) {
            bars.computeIfAbsent(row.proxy, proxy -> new LinkedHashMap<>())
                    .put(
                            "%s, %s, %,d"
                                    .formatted(
                                            row.measure.unit, row.policy.name().toLowerCase(Locale.ROOT), row.services),
                            row.ratio().median());
        }
        return bars;
    }

    private void writeCsv(Settings settings) throws IOException {
        StringBuilder csv = new StringBuilder("services,unit,proxy,policy,round,per_second,plain_per_second\n");
        for (Row row : rows) {
            for (int round = 0; round < row.rates.length; round++) {
                csv.append(String.format(
                        Locale.ROOT,
                        "%d,%s,%s,%s,%d,%.0f,%.0f%n",
                        row.services,
                        row.measure.unit,
                        row.proxy,
                        row.policy,
                        round,
                        row.rates[round],
                        row.plain[round]));
            }
        }
        Files.writeString(settings.results().resolve("packets.csv"), csv);
    }
}
