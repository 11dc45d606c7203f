package io.shunt.bench;

import io.shunt.bench.PartResult.Judged;
import io.shunt.bench.PartResult.Table;
import io.shunt.datapath.Packet;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfProgram;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.testbed.Closing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What a forwarded packet costs the node alone, and what the first one of a conversation does: nobody sends the frames and
 * nobody receives them, and one CPU does all.
 */
final class NodePart implements Part {
    /** From a node with few services to one with many nothing may change. */
    private static final List<Integer> SIZES = List.of(1, 10_000);

    /** Figures differ little from round to round. */
    private static final int ENOUGH_ROUNDS = 21;

    private static final int MOST_LOAD_SECONDS = 150;
    private static final double LEAST_BESIDE_RULES = 1.5;
    private static final double MOST_SPREAD = 0.05;

    private static final int CONVERSATIONS = 1024;
    private static final int MOST_PACKETS = 1 << 20;

    /** So few that masquerading does not look for ports for long, and netfilter's table is never full. */
    private static final int MOST_FLOWS = 16_384;

    /** With so many behind it Shunt's table of conversations that have only begun is full, and stays so. */
    private static final int FILLING = 65_536;

    private static final int TTL = 64;
    private static final String PAYLOAD = "eighteen letters!!";

    private enum Measure {
        PACKETS("packets", "UDP datagrams of " + CONVERSATIONS + " established conversations"),
        FLOWS("new flows", "SYNs, each of another connection");

        final String unit;
        final String title;

        Measure(String unit, String title) {
            this.unit = unit;
            this.title = title;
        }
    }

    /** Where a node port leads. */
    private enum Door {
        LOCAL(30_080, "policy Local, to a pod here"),
        REMOTE(30_082, "masqueraded, to pods elsewhere");

        private final int firstPort;
        final String words;

        Door(int firstPort, String words) {
            this.firstPort = firstPort;
            this.words = words;
        }

        int port(IpFamily family) {
            return firstPort + family.ordinal();
        }

        List<String> backends(NodeBed.Node node, IpFamily family) {
            return this == LOCAL ? List.of(node.localBackend(family)) : node.remoteBackends(family);
        }
    }

    /** Who forwards. */
    private enum Way {
        PLAIN("plain routing", null, null),
        TC("Shunt, TC", "off", null),
        GENERIC("Shunt, XDP generic", "generic", null),
        NATIVE("Shunt, XDP native", "native", null),
        IPTABLES("iptables", null, RuleSet.IPTABLES),
        NFTABLES("nftables", null, RuleSet.NFTABLES);

        final String words;
        final @Nullable String acceleration;
        final @Nullable RuleSet rules;

        Way(String words, @Nullable String acceleration, @Nullable RuleSet rules) {
            this.words = words;
            this.acceleration = acceleration;
            this.rules = rules;
        }

        /** A driver leaves what is for the node's own pods to TC. */
        boolean takes(Door door, IpFamily family) {
            return switch (this) {
                case PLAIN, TC -> true;
                case GENERIC, NATIVE -> door == Door.REMOTE;
                case IPTABLES, NFTABLES -> family == IpFamily.IPV4;
            };
        }
    }

    /** A node, and the program that has to be called as its driver would. */
    private record Site(NodeBed.Node node, @Nullable BpfProgram driver) {}

    private record Passage(Way way, Door door, IpFamily family) {}

    /** @param injecting what it costs, in nanoseconds, to make a frame that nobody is given */
    private record Row(int services, Measure measure, Passage passage, NodeLane.Cost cost, double injecting) {
        Way way() {
            return passage.way;
        }

        /** In nanoseconds, a figure for each round. */
        double[] nanos() {
            double[] own = cost.nanos().clone();
            for (int i = 0; i < own.length; i++) {
                own[i] -= injecting;
            }
            return own;
        }

        double median() {
            return new Samples(nanos()).median();
        }

        /** How many times as many packets as another a CPU would carry. */
        Samples against(Row other) {
            return Samples.ratios(other.nanos(), nanos());
        }
    }

    private final List<Row> rows = new ArrayList<>();
    private final Map<String, Integer> verified = new TreeMap<>();

    @Override
    public String name() {
        return "node";
    }

    @Override
    public PartResult run(Settings settings, Progress progress) throws IOException {
        String machine = Machine.describe();
        int rounds = Math.min(settings.pairs(), ENOUGH_ROUNDS);
        for (int services : SIZES) {
            measure(services, rounds, progress);
        }
        writeCsv(settings);
        Chart.bars(settings.results().resolve("node.png"), "At the node alone: rate / plain routing's", bars());
        List<Table> tables = new ArrayList<>();
        for (Measure measure : Measure.values()) {
            tables.add(new Table(measure.title, COLUMNS, cells(measure)));
        }
        tables.add(Table.ofVerified("What the verifier walked through, of all programs", verified));
        return new PartResult(
                name(),
                "What a packet costs the node alone",
                Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                machine,
                judge(),
                tables,
                List.of("node.png"),
                notes(rounds));
    }

    private List<String> notes(int rounds) {
        double[] injecting = rows.stream().mapToDouble(Row::injecting).toArray();
        return List.of(
                "%d rounds; in each, every way has two slices of 40 ms or less, in the order A B C ... C B A; the ratios are medians with their 95 %% bootstrap intervals."
                        .formatted(rounds),
                "Frames are made in the kernel and come in by the node's device to the network, 64 at a time, as its driver"
                        + " would hand them over (BPF_PROG_TEST_RUN with live frames, in place of pktgen, which a kernel may not"
                        + " have). All that becomes of them is done on one CPU before the next ones are made: XDP, TC, netfilter,"
                        + " routing, sending, and dropping at the other end of the device by which they leave.",
                "To make a frame costs %.0f ns, which are taken off: what is left is the node's own, and the rate is what one CPU of"
                                .formatted(new Samples(injecting).median())
                        + " its would carry. Nanoseconds are for frames that arrived, so who loses some looks slower.",
                "Native XDP is called with the same frames as TC: the program that the daemon put to the driver is the next one"
                        + " after that which makes them.",
                "Datagrams have %d bytes of payload and are of conversations that were answered first. There are %d backends elsewhere, and one here."
                        .formatted(PAYLOAD.length(), NodeBed.REMOTE_BACKENDS),
                "SYNs come from ever new addresses and ports, and nobody answers. Netfilter's table is emptied before each slice"
                        + " of at most %,d; Shunt's small table of conversations that have only begun is full all the time."
                                .formatted(MOST_FLOWS),
                "In favour of netfilter it does not verify checksums (`nf_conntrack_checksum=0`), as a network card would have;"
                        + " no node sends redirects.",
                "What is measured is the way from the client to the backend. XDP leaves what is for this node's pods to TC.");
    }

    private void measure(int services, int rounds, Progress progress) throws IOException {
        progress.say("node: %,d services: starting the daemons and loading rules", services);
        try (Closing closing = new Closing();
                NodeBed bed = new NodeBed();
                Workspace workspace = new Workspace()) {
            Map<Way, Site> sites = new EnumMap<>(Way.class);
            for (Way way : Way.values()) {
                sites.put(way, site(way, services, bed, workspace.path(), closing));
            }
            // Of IPv6 it is enough to see it once: no rules stand beside it.
            List<IpFamily> families =
                    services == SIZES.getFirst() ? List.of(IpFamily.values()) : List.of(IpFamily.IPV4);
            for (Measure measure : Measure.values()) {
                race(measure, services, families, sites, bed, rounds, progress);
            }
        }
    }

    private Site site(Way way, int services, NodeBed bed, Path workspace, Closing closing) throws IOException {
        String hint = way.name().toLowerCase(Locale.ROOT);
        NodeBed.Node node = way == Way.NATIVE ? bed.nodeOfDriver(hint) : bed.node(hint);
        if (way.rules != null) {
            way.rules.load(
                    new Cluster(services, ShuntSite.ENDPOINTS, null),
                    doors(node),
                    node.namespace(),
                    workspace.resolve(hint),
                    MOST_LOAD_SECONDS);
            node.namespace().run("sysctl", "-qw", "net.netfilter.nf_conntrack_checksum=0");
        }
        if (way.acceleration == null) {
            return new Site(node, null);
        }
        NodeSite site = closing.add(new NodeSite(
                node.namespace(),
                services,
                nodePorts(node),
                "--devices",
                NodeBed.OUTSIDE + ",pod:" + NodeBed.INSIDE,
                "--acceleration",
                way.acceleration));
        verified.putAll(site.daemon().verifiedInstructions());
        if (way == Way.TC) {
            site.daemon().awaitShortcut();
        }
        if (way != Way.NATIVE) {
            return new Site(node, null);
        }
        Path pin = site.daemon().bpfRoot().resolve("links/driver_native@" + NodeBed.OUTSIDE);
        try (BpfLink link = BpfLink.openPinned(pin)) {
            return new Site(node, closing.add(BpfProgram.openId(link.info().programId())));
        }
    }

    private static List<NodeSite.NodePort> nodePorts(NodeBed.Node node) {
        return passages(List.of(Way.TC), List.of(IpFamily.values()))
                .map(each -> new NodeSite.NodePort(
                        each.door.port(each.family),
                        each.family,
                        each.door == Door.LOCAL,
                        each.door.backends(node, each.family)))
                .toList();
    }

    private static List<RuleSet.Door> doors(NodeBed.Node node) {
        return Stream.of(Door.values())
                .flatMap(door -> Stream.of("tcp", "udp")
                        .map(protocol -> new RuleSet.Door(
                                (door + "-" + protocol).toLowerCase(Locale.ROOT),
                                protocol,
                                node.address(IpFamily.IPV4),
                                door.port(IpFamily.IPV4),
                                door.backends(node, IpFamily.IPV4),
                                door == Door.LOCAL)))
                .toList();
    }

    private static Stream<Passage> passages(List<Way> ways, List<IpFamily> families) {
        return families.stream()
                .flatMap(family -> Stream.of(Door.values())
                        .flatMap(door -> ways.stream()
                                .filter(way -> way.takes(door, family))
                                .map(way -> new Passage(way, door, family))));
    }

    private void race(
            Measure measure,
            int services,
            List<IpFamily> families,
            Map<Way, Site> sites,
            NodeBed bed,
            int rounds,
            Progress progress) {
        List<Passage> passages = passages(List.of(Way.values()), families).toList();
        List<NodeLane> lanes = new ArrayList<>();
        for (Passage passage : passages) {
            lanes.add(lane(measure, passage, sites.get(passage.way), bed.injector(), false));
        }
        lanes.add(lane(measure, passages.getFirst(), sites.get(Way.PLAIN), bed.injector(), true));
        if (measure == Measure.PACKETS) {
            lanes.forEach(lane -> lane.establish(CONVERSATIONS));
        }
        progress.say("node: %,d services: %d rounds of %s", services, rounds, measure.title);
        List<NodeLane.Cost> costs = NodeLane.race(lanes, rounds, progress);
        double injecting = new Samples(costs.getLast().nanos()).median();
        for (int i = 0; i < passages.size(); i++) {
            Row row = new Row(services, measure, passages.get(i), costs.get(i), injecting);
            rows.add(row);
            progress.say(
                    "node: %,d services: %s, %s, %s: %,.0f ns, rate / plain routing's %s, %.1f %% arrived",
                    services,
                    row.way().words,
                    row.passage.door.words,
                    row.passage.family.label(),
                    row.median(),
                    row.against(beside(row, Way.PLAIN)).medianWithInterval(),
                    100 * row.cost.arrived());
        }
    }

    private static NodeLane lane(Measure measure, Passage passage, Site site, Injector injector, boolean goesNowhere) {
        NodeBed.Node node = site.node;
        boolean packets = measure == Measure.PACKETS;
        boolean forgets = !packets && passage.way.rules != null;
        boolean fills = !packets && passage.way.acceleration != null;
        return new NodeLane(
                passage.way.words + ", " + passage.door.words + ", " + passage.family.label(),
                injector,
                node.namespace(),
                node.ifindex(),
                new Injector.Frames(
                        frame(measure, passage, node),
                        packets ? CONVERSATIONS - 1 : Injector.EACH_ANOTHER,
                        site.driver,
                        goesNowhere,
                        false),
                fills ? FILLING : 0,
                packets ? MOST_PACKETS : MOST_FLOWS,
                forgets ? () -> node.namespace().run("conntrack", "--flush") : () -> {});
    }

    /** From a network that is set aside for this (RFC 2544, RFC 5180). */
    private static Packet frame(Measure measure, Passage passage, NodeBed.Node node) {
        boolean plain = passage.way == Way.PLAIN;
        Packet.Tuple tuple = Packet.Tuple.of(
                passage.family == IpFamily.IPV4 ? "198.18.0.0" : "2001:2::",
                0,
                plain ? passage.door.backends(node, passage.family).getFirst() : node.address(passage.family),
                plain ? Cluster.BACKEND_PORT : passage.door.port(passage.family),
                measure == Measure.PACKETS ? Protocol.UDP : Protocol.TCP);
        Packet packet = measure == Measure.PACKETS
                ? Packet.udp(tuple, TTL, PAYLOAD)
                : Packet.tcp(tuple, Packet.TCP_SYN, TTL, "");
        return packet.to(node.linkAddress());
    }

    private Stream<Row> of(Measure measure) {
        return rows.stream().filter(row -> row.measure == measure);
    }

    /** The same, by another who forwards. */
    private Row beside(Row row, Way way) {
        return of(row.measure)
                .filter(each -> each.services == row.services
                        && each.passage.equals(new Passage(way, row.passage.door, row.passage.family)))
                .findFirst()
                .orElseThrow();
    }

    private List<Judged> judge() {
        List<Judged> judged = new ArrayList<>();
        for (Measure measure : Measure.values()) {
            for (Way way : List.of(Way.TC, Way.NATIVE)) {
                for (Door door : Door.values()) {
                    if (way.takes(door, IpFamily.IPV4)) {
                        judge(measure, way, door, judged);
                    }
                }
            }
        }
        return judged;
    }

    private void judge(Measure measure, Way way, Door door, List<Judged> judged) {
        List<Row> sizes = of(measure)
                .filter(row -> row.passage.equals(new Passage(way, door, IpFamily.IPV4)))
                .toList();
        for (Row row : sizes) {
            for (Way other : List.of(Way.IPTABLES, Way.NFTABLES)) {
                Samples ratio = row.against(beside(row, other));
                judged.add(new Judged(
                        "at the node alone, %s, %s / %s, %s, %,d services"
                                .formatted(measure.unit, way.words, other.words, door.words, row.services),
                        ">= %.1f".formatted(LEAST_BESIDE_RULES),
                        ratio.medianWithInterval(),
                        ratio.median() >= LEAST_BESIDE_RULES));
            }
        }
        double[] ratios = sizes.stream()
                .mapToDouble(row -> row.against(beside(row, Way.PLAIN)).median())
                .sorted()
                .toArray();
        double spread = ratios[ratios.length - 1] - ratios[0];
        judged.add(new Judged(
                "at the node alone, %s, %s / plain routing, %s: largest less smallest of all sizes"
                        .formatted(measure.unit, way.words, door.words),
                "<= %.2f".formatted(MOST_SPREAD),
                "%.3f".formatted(spread),
                spread <= MOST_SPREAD));
    }

    private static final List<String> COLUMNS = List.of(
            "services",
            "family",
            "node port",
            "by",
            "ns",
            "a second",
            "/ plain routing",
            "Shunt, TC / this",
            "arrived");

    private List<List<String>> cells(Measure measure) {
        return of(measure)
                .map(row -> List.of(
                        "%,d".formatted(row.services),
                        row.passage.family.label(),
                        row.passage.door.words,
                        row.way().words,
                        "%,.0f".formatted(row.median()),
                        "%,.0f".formatted(1e9 / row.median()),
                        ratio(row, row, Way.PLAIN),
                        ratio(beside(row, Way.TC), row, row.way()),
                        "%.2f %%".formatted(100 * row.cost.arrived())))
                .toList();
    }

    private String ratio(Row row, Row place, Way other) {
        return row.way() == other ? "1" : row.against(beside(place, other)).medianWithInterval();
    }

    /** By who forwards, for each measure, node port and number of services; 0 where it does not. */
    private Map<String, Map<String, Double>> bars() {
        Map<String, Map<String, Double>> bars = new LinkedHashMap<>();
        List<Row> plain = rows.stream()
                .filter(row -> row.way() == Way.PLAIN && row.passage.family == IpFamily.IPV4)
                .toList();
        for (Way way : Way.values()) {
            Map<String, Double> values = new LinkedHashMap<>();
            for (Row row : plain) {
                values.put(
                        "%s, %s, %,d"
                                .formatted(
                                        row.measure.unit,
                                        row.passage.door.name().toLowerCase(Locale.ROOT),
                                        row.services),
                        way.takes(row.passage.door, IpFamily.IPV4)
                                ? beside(row, way).against(row).median()
                                : 0);
            }
            bars.put(way.words, values);
        }
        return bars;
    }

    private void writeCsv(Settings settings) throws IOException {
        StringBuilder csv =
                new StringBuilder("services,unit,by,node_port,family,round,nanoseconds,of_which_injecting,arrived\n");
        for (Row row : rows) {
            for (int round = 0; round < row.cost.nanos().length; round++) {
                csv.append(String.format(
                        Locale.ROOT,
                        "%d,%s,%s,%s,%s,%d,%.1f,%.1f,%.4f%n",
                        row.services,
                        row.measure.unit,
                        row.way(),
                        row.passage.door,
                        row.passage.family.label(),
                        round,
                        row.cost.nanos()[round],
                        row.injecting,
                        row.cost.arrived()));
            }
        }
        Files.writeString(settings.results().resolve("node.csv"), csv);
    }
}
