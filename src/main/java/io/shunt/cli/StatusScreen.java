package io.shunt.cli;

import io.shunt.snapshot.Status;
import io.shunt.snapshot.Status.CallView;
import io.shunt.snapshot.Status.ErrorCount;
import io.shunt.snapshot.Status.ErrorView;
import io.shunt.snapshot.Status.MapView;
import io.shunt.snapshot.Status.PacketsView;
import io.shunt.snapshot.Status.ProblemView;
import io.shunt.snapshot.Status.ProgramView;
import io.shunt.snapshot.Status.SourceView;
import io.shunt.snapshot.Status.StaleSocketsView;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** The daemon's status for people: the verdict first, then what it rests on, then what went wrong. */
final class StatusScreen {
    private static final int DEVICES_SHOWN = 8;
    /** From this share of a map on, whoever looks should think of a larger one. */
    private static final double NEARLY_FULL = 0.8;

    private final Status status;
    private final Instant now;

    StatusScreen(Status status, Instant now) {
        this.status = status;
        this.now = now;
    }

    /** What fits one screen: of programs and maps a line each, and those that need a look. */
    void print(PrintWriter out) {
        printSummary(out);
        out.println("Programs  " + programs());
        out.println("Maps      " + maps());
        printEphemeralNodePorts(out);
        printPrograms(
                status.programs().stream()
                        .filter(program -> !program.attached())
                        .toList(),
                out);
        printMaps(status.maps().stream().filter(map -> use(map) >= NEARLY_FULL).toList(), out);
        printWhatFailed(out);
    }

    /** All of it. */
    void printWide(PrintWriter out) {
        printSummary(out);
        printEphemeralNodePorts(out);
        printPrograms(status.programs(), out);
        printMaps(status.maps(), out);
        printDevices(out);
        printWhatFailed(out);
    }

    private void printSummary(PrintWriter out) {
        SourceView source = status.source();
        out.println("Shunt     " + status.version() + " on " + status.node() + ", up " + age(status.started()));
        out.println("Health    " + (status.healthy() ? "healthy" : "NOT HEALTHY"));
        status.complaints().forEach(complaint -> out.println("          ! " + complaint));
        Instant last = source.lastEvent();
        out.println("Source    " + source.kind() + " " + source.location() + ", "
                + (source.listed() ? "listed" : "NOT LISTED YET") + ", "
                + (last == null ? "no event yet" : "last event " + age(last) + " ago"));
        out.println("Events    " + counts());
        out.println("Services  " + status.services() + " programmed, " + status.failedServices() + " failed, "
                + status.backends() + " backends");
        out.println("Devices   " + devices());
        out.println("Flows     " + flows());
        out.println("Stale     " + staleSockets());
        out.println("Audit     " + audit());
    }

    private void printWhatFailed(PrintWriter out) {
        printFailedCalls(out);
        printDrops(out);
        printProblems(out);
        printErrors(out);
    }

    private String devices() {
        PacketsView packets = status.packets();
        if (!packets.refusal().isEmpty()) {
            return "NONE: the kernel refuses the packet programs";
        }
        Map<String, Boolean> attached = new LinkedHashMap<>();
        packets.devices().forEach(each -> attached.merge(each.device(), each.attached(), Boolean::logicalAnd));
        List<String> names = attached.entrySet().stream()
                .sorted(Map.Entry.comparingByValue())
                .map(device -> device.getKey() + (device.getValue() ? "" : " (NOT ATTACHED)"))
                .toList();
        String shown =
                names.isEmpty() ? "none" : names.stream().limit(DEVICES_SHOWN).collect(Collectors.joining(", "));
        return shown
                + (names.size() > DEVICES_SHOWN ? " and " + (names.size() - DEVICES_SHOWN) + " more" : "")
                + (packets.unmatchedDevices().isEmpty()
                        ? ""
                        : "; none that is up is called " + String.join(", ", packets.unmatchedDevices()));
    }

    private String flows() {
        PacketsView packets = status.packets();
        return (packets.flows() < 0 ? "not counted yet" : packets.flows()) + " of " + packets.maxFlows();
    }

    private String staleSockets() {
        StaleSocketsView stale = status.staleSockets();
        return stale.state()
                + (stale.endedUdp() + stale.endedTcp() == 0
                        ? ""
                        : "; ended " + stale.endedUdp() + " UDP, " + stale.endedTcp() + " TCP");
    }

    private String audit() {
        Instant last = status.audit().lastRun();
        String repairs = status.audit().repairs().stream()
                .filter(repair -> repair.count() > 0)
                .map(repair -> repair.count() + " in " + repair.map())
                .collect(Collectors.joining(", "));
        return (last == null ? "not yet" : age(last) + " ago")
                + (repairs.isEmpty() ? "" : "; put right what others have changed: " + repairs);
    }

    private void printEphemeralNodePorts(PrintWriter out) {
        List<Integer> ports = status.ephemeralNodePorts();
        if (!ports.isEmpty()) {
            out.println("NodePorts "
                    + (ports.size() == 1
                            ? ports.getFirst() + " may be given to a client"
                            : ports.size() + " may be given to clients, the first is " + ports.getFirst())
                    + ": add the cluster's node ports to net.ipv4.ip_local_reserved_ports");
        }
    }

    private String counts() {
        String events = status.source().events().stream()
                .filter(event -> event.count() > 0)
                .map(event -> event.count() + " " + event.kind() + " " + event.action())
                .collect(Collectors.joining(", "));
        String errors = status.source().errors().stream()
                .filter(error -> error.count() > 0)
                .map(error -> error.count() + " " + error.cause())
                .collect(Collectors.joining(", "));
        return (events.isEmpty() ? "none" : events) + (errors.isEmpty() ? "" : "; errors: " + errors);
    }

    private String programs() {
        long attached = status.programs().stream().filter(ProgramView::attached).count();
        String targets =
                status.programs().stream().map(ProgramView::target).distinct().collect(Collectors.joining(", "));
        return attached + " of " + status.programs().size() + " attached" + (targets.isEmpty() ? "" : " to " + targets);
    }

    private String maps() {
        long bytes = status.maps().stream().mapToLong(MapView::bytes).sum();
        return status.maps().size() + " with " + size(bytes)
                + status.maps().stream()
                        .max(Comparator.comparingDouble(StatusScreen::use))
                        .filter(fullest -> use(fullest) > 0)
                        .map(fullest -> "; the fullest is " + fullest.name() + ", " + percent(fullest))
                        .orElse("");
    }

    /** What share of a map is in use; 0 where that is not known. */
    private static double use(MapView map) {
        return map.entries() < 0 || map.maxEntries() <= 0 ? 0 : (double) map.entries() / map.maxEntries();
    }

    private static String percent(MapView map) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * use(map));
    }

    private static void printPrograms(List<ProgramView> programs, PrintWriter out) {
        if (programs.isEmpty()) {
            return;
        }
        out.println();
        TextTable table = new TextTable("PROGRAM", "HOOK", "ATTACHED", " INSTRUCTIONS", "TARGET");
        for (ProgramView program : programs) {
            table.row(
                    program.name(),
                    program.hook(),
                    program.attached() ? "yes" : "NO",
                    program.instructions(),
                    program.target());
        }
        table.print(out);
    }

    private static void printMaps(List<MapView> maps, PrintWriter out) {
        if (maps.isEmpty()) {
            return;
        }
        out.println();
        TextTable table = new TextTable("MAP", " ENTRIES", " MAXIMUM", " USED", " MEMORY");
        for (MapView map : maps) {
            boolean known = map.entries() >= 0 && map.maxEntries() > 0;
            table.row(
                    map.name(),
                    known ? map.entries() : "-",
                    map.maxEntries(),
                    known ? percent(map) : "-",
                    size(map.bytes()));
        }
        table.print(out);
    }

    private void printDevices(PrintWriter out) {
        if (!status.packets().devices().isEmpty()) {
            out.println();
            TextTable table = new TextTable("DEVICE", "PROGRAM", "DIRECTION", "ATTACHED");
            status.packets()
                    .devices()
                    .forEach(each ->
                            table.row(each.device(), each.program(), each.direction(), each.attached() ? "yes" : "NO"));
            table.print(out);
        }
    }

    private void printFailedCalls(PrintWriter out) {
        List<CallView> failed =
                status.calls().stream().filter(call -> call.errors() > 0).toList();
        if (!failed.isEmpty()) {
            out.println();
            TextTable table = new TextTable("FAILED CALL", "MAP", " ERRORS", " OF");
            failed.forEach(call -> table.row(call.call(), call.map(), call.errors(), call.count()));
            table.print(out);
        }
        List<ErrorCount> socketErrors = status.socketErrors().stream()
                .filter(error -> error.count() > 0)
                .toList();
        if (!socketErrors.isEmpty()) {
            out.println();
            TextTable table = new TextTable("SOCKET ERROR", " COUNT");
            socketErrors.forEach(error -> table.row(error.cause(), error.count()));
            table.print(out);
        }
    }

    private void printDrops(PrintWriter out) {
        if (!status.packets().drops().isEmpty()) {
            out.println();
            TextTable table = new TextTable("DROPPED", "DIRECTION", " PACKETS");
            status.packets().drops().forEach(drop -> table.row(drop.reason(), drop.direction(), drop.count()));
            table.print(out);
        }
    }

    private void printProblems(PrintWriter out) {
        List<ProblemView> problems = status.source().problems();
        if (problems.isEmpty()) {
            return;
        }
        out.println();
        out.println("PROBLEMS OF THE SOURCE (what worked before is still in force)");
        for (ProblemView problem : problems) {
            out.println("  " + words(problem.object(), problem.where(), problem.field()) + ": " + problem.message()
                    + (problem.cure().isEmpty() ? "" : "; " + problem.cure()));
        }
    }

    private void printErrors(PrintWriter out) {
        if (status.errors().isEmpty()) {
            return;
        }
        out.println();
        out.println("LAST ERRORS");
        TextTable table = new TextTable(" AGO", "OBJECT", "ERROR");
        for (ErrorView error : status.errors()) {
            table.row(age(error.at()), error.object(), error.message());
        }
        table.print(out);
    }

    private static String words(String... parts) {
        return List.of(parts).stream().filter(part -> !part.isEmpty()).collect(Collectors.joining(" "));
    }

    /** The two largest units that matter: {@code 45 s}, {@code 3 min 20 s}, {@code 2 h 5 min}, {@code 8 d 1 h}. */
    private String age(Instant then) {
        Duration age = Duration.between(then, now);
        if (age.isNegative()) {
            age = Duration.ZERO;
        }
        if (age.toMinutes() == 0) {
            return age.toSeconds() + " s";
        }
        if (age.toHours() == 0) {
            return age.toMinutes() + " min " + age.toSecondsPart() + " s";
        }
        if (age.toDays() == 0) {
            return age.toHours() + " h " + age.toMinutesPart() + " min";
        }
        return age.toDays() + " d " + age.toHoursPart() + " h";
    }

    private static String size(long bytes) {
        return bytes < 1 << 20
                ? String.format(Locale.ROOT, "%.1f KiB", bytes / 1024.0)
                : String.format(Locale.ROOT, "%.1f MiB", bytes / (1024.0 * 1024));
    }
}
