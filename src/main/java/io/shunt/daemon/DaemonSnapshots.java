package io.shunt.daemon;

import io.shunt.cluster.Algorithm;
import io.shunt.datapath.CallCount;
import io.shunt.datapath.DeviceHooks;
import io.shunt.datapath.Installation;
import io.shunt.datapath.StaleSockets;
import io.shunt.datapath.Sweep;
import io.shunt.host.EphemeralPorts;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import io.shunt.net.Protocol;
import io.shunt.plan.ServicePortName;
import io.shunt.snapshot.ApiRequests;
import io.shunt.snapshot.Drop;
import io.shunt.snapshot.Health;
import io.shunt.snapshot.HealthChecks;
import io.shunt.snapshot.LocalShortage;
import io.shunt.snapshot.ServiceCounters;
import io.shunt.snapshot.ServiceView;
import io.shunt.snapshot.Snapshots;
import io.shunt.snapshot.Status;
import io.shunt.source.Problem;
import io.shunt.source.RequestCounters;
import io.shunt.source.Source;
import io.shunt.source.SourceCounters;
import io.shunt.source.SourceStatus;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.VirtualService;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** Puts the views together from what the daemon's parts publish, whenever somebody asks. */
final class DaemonSnapshots implements Snapshots {
    private static final Comparator<Frontend> FRONTENDS =
            Comparator.comparing(Frontend::address).thenComparingInt(Frontend::port);

    private final String version;
    private final String node;
    private final Instant started = Instant.now();
    private final Source source;
    private final Installation installation;
    private final PacketPath packetPath;
    private final Sweep sweep;
    private final StaleSockets staleSockets;
    private final ControlLoop loop;
    private final SelfAudit audit;
    private final HealthCheckNodePorts healthChecks;
    private final RecentErrors errors;

    DaemonSnapshots(
            String version,
            String node,
            Source source,
            Installation installation,
            PacketPath packetPath,
            Sweep sweep,
            StaleSockets staleSockets,
            ControlLoop loop,
            SelfAudit audit,
            HealthCheckNodePorts healthChecks,
            RecentErrors errors) {
        this.version = version;
        this.node = node;
        this.source = source;
        this.installation = installation;
        this.packetPath = packetPath;
        this.sweep = sweep;
        this.staleSockets = staleSockets;
        this.loop = loop;
        this.audit = audit;
        this.healthChecks = healthChecks;
        this.errors = errors;
    }

    @Override
    public Status status() {
        SourceStatus from = source.status();
        List<Installation.AttachedProgram> programs = installation.programs();
        Collection<Programmed> programmed = loop.programmed();
        int backends = (int) programmed.stream()
                .flatMap(p -> p.planned().service().backends().stream())
                .filter(backend -> backend.state().serves())
                .count();
        List<Programmed> failed =
                programmed.stream().filter(p -> !p.error().isEmpty()).toList();
        List<DeviceHooks.Attachment> attachments = packetPath.attachments();
        List<String> complaints = complaints(from, programs, attachments, failed);
        return new Status(
                version,
                node,
                started,
                complaints.isEmpty(),
                complaints,
                sourceView(from),
                programs.stream().map(this::programView).toList(),
                installation.mapUse().stream()
                        .map(map -> new Status.MapView(map.name(), map.entries(), map.maxEntries(), map.bytes()))
                        .toList(),
                programmed.size() - failed.size(),
                failed.size(),
                backends,
                installation.calls().stream().map(DaemonSnapshots::callView).toList(),
                installation.socketErrors().entrySet().stream()
                        .map(error -> new Status.ErrorCount(error.getKey(), error.getValue()))
                        .toList(),
                packetsView(attachments),
                staleSocketsView(),
                ephemeralNodePorts(programmed),
                audit.view(),
                errors.list());
    }

    private List<String> complaints(
            SourceStatus from,
            List<Installation.AttachedProgram> programs,
            List<DeviceHooks.Attachment> attachments,
            List<Programmed> failed) {
        List<String> complaints = new ArrayList<>();
        if (!from.listed()) {
            complaints.add("source " + from.description() + " has not listed everything yet");
        } else if (!loop.reconciled()) {
            complaints.add("what the source listed is being programmed");
        }
        from.problems().forEach(problem -> complaints.add(problem.toString()));
        failed.forEach(p -> complaints.add("Service " + p.planned().name() + ": " + p.error()));
        programs.stream()
                .filter(program -> !program.attached())
                .forEach(program -> complaints.add("program " + program.name() + " is not attached to "
                        + installation.cgroup() + "; it is attached again within 30 s"));
        complaints.addAll(packetPath.complaints(attachments));
        if (!sweep.trouble().isEmpty() && !attachments.isEmpty()) {
            complaints.add("flows that have ended are not forgotten: " + sweep.trouble());
        }
        if (!audit.view().trouble().isEmpty()) {
            complaints.add(audit.view().trouble());
        }
        complaints.addAll(healthChecks.complaints());
        return complaints;
    }

    private Status.SourceView sourceView(SourceStatus from) {
        SourceCounters counters = source.counters();
        List<Status.EventCount> events = Arrays.stream(SourceCounters.Kind.values())
                .flatMap(kind -> Stream.of(
                        new Status.EventCount(eventKind(kind), "set", counters.sets(kind)),
                        new Status.EventCount(eventKind(kind), "delete", counters.deletes(kind))))
                .toList();
        List<Status.ErrorCount> causes = Arrays.stream(Problem.Cause.values())
                .map(cause -> new Status.ErrorCount(cause.label(), counters.errors(cause)))
                .toList();
        List<Status.ProblemView> problems = from.problems().stream()
                .map(p -> new Status.ProblemView(p.object(), p.where(), p.field(), p.message(), p.cure()))
                .toList();
        return new Status.SourceView(
                from.kind(), from.description(), from.listed(), from.lastEvent(), problems, events, causes);
    }

    private static String eventKind(SourceCounters.Kind kind) {
        return kind.name().replace("_", "").toLowerCase(Locale.ROOT);
    }

    private Status.ProgramView programView(Installation.AttachedProgram program) {
        return new Status.ProgramView(
                program.name(),
                program.hook(),
                installation.cgroup().toString(),
                program.attached(),
                program.instructions());
    }

    private Status.PacketsView packetsView(List<DeviceHooks.Attachment> attachments) {
        Map<List<String>, Long> drops = new TreeMap<>(Comparator.comparing(List::toString));
        installation
                .drops()
                .forEach(drop -> drops.merge(List.of(drop.reason(), drop.direction()), drop.count(), Long::sum));
        Sweep.Flows flows = sweep.flows();
        return new Status.PacketsView(
                attachments.stream()
                        .map(each -> new Status.DeviceView(
                                each.device(),
                                each.hook().program(),
                                lowerCase(each.hook().side()),
                                each.isInForce()))
                        .toList(),
                packetPath.refusal(),
                packetPath.unmatched(),
                packetPath.failures(),
                flows.inUse(),
                installation.maxFlows(),
                flows.forgotten(),
                flows.evicted(),
                drops.entrySet().stream()
                        .map(drop -> new Status.DropView(
                                drop.getKey().getFirst(), drop.getKey().getLast(), drop.getValue()))
                        .toList());
    }

    private Status.StaleSocketsView staleSocketsView() {
        Map<Protocol, Long> ended = staleSockets.ended();
        return new Status.StaleSocketsView(
                staleSockets.state(), ended.getOrDefault(Protocol.UDP, 0L), ended.getOrDefault(Protocol.TCP, 0L));
    }

    private static List<Integer> ephemeralNodePorts(Collection<Programmed> programmed) {
        EphemeralPorts ephemeral = EphemeralPorts.now();
        return programmed.stream()
                .flatMap(each -> each.planned().service().frontends().keySet().stream())
                .filter(frontend -> frontend.isOfNode() && ephemeral.contain(frontend.port()))
                .map(Frontend::port)
                .distinct()
                .sorted()
                .toList();
    }

    private static Status.CallView callView(CallCount count) {
        return new Status.CallView(count.call(), count.map(), count.total(), count.failed());
    }

    @Override
    public Health health() {
        return loop.health().with(packetPath.obstacle());
    }

    @Override
    public boolean ready() {
        return loop.reconciled() && installation.programs().stream().allMatch(Installation.AttachedProgram::attached);
    }

    @Override
    public Stream<ServiceView> services() {
        return loop.programmed().stream().map(DaemonSnapshots::view);
    }

    private static ServiceView view(Programmed programmed) {
        ServicePortName name = programmed.planned().name();
        VirtualService service = programmed.planned().service();
        IpFamily family = name.family();
        return new ServiceView(
                name.service().namespace(),
                name.service().name(),
                name.port(),
                name.protocol().name(),
                family.label(),
                programmed.serviceId(),
                service.frontends().entrySet().stream()
                        .sorted(Map.Entry.comparingByKey(FRONTENDS))
                        .map(frontend -> view(frontend.getKey(), frontend.getValue()))
                        .toList(),
                service.backends().stream().map(DaemonSnapshots::view).toList(),
                service.sourceRanges().stream().map(Prefix::toString).toList(),
                service.affinitySeconds(),
                (service.tableSize() > 0 ? Algorithm.MAGLEV : Algorithm.RANDOM).toString(),
                programmed.error());
    }

    private static ServiceView.FrontendView view(Frontend frontend, Access access) {
        return new ServiceView.FrontendView(
                frontend.toString(), lowerCase(access.inside()), lowerCase(access.outside()), access.restricted());
    }

    private static ServiceView.BackendView view(Backend backend) {
        return new ServiceView.BackendView(backend.toString(), lowerCase(backend.state()));
    }

    private static String lowerCase(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public Map<Integer, ServiceCounters> counters() {
        Map<Integer, ServiceCounters> counters = new HashMap<>();
        installation
                .counters()
                .forEach((id, counted) ->
                        counters.put(id, new ServiceCounters(counted.connections(), counted.refused())));
        return counters;
    }

    @Override
    public List<Drop> drops() {
        return installation.drops().stream()
                .map(drop -> new Drop(drop.serviceId(), drop.reason(), drop.direction(), drop.count()))
                .toList();
    }

    @Override
    public HealthChecks healthChecks() {
        return healthChecks.view();
    }

    @Override
    public List<LocalShortage> localShortages() {
        return LocalShortages.of(loop.programmed().stream()
                .map(programmed -> programmed.planned().service())
                .toList());
    }

    @Override
    public ApiRequests apiRequests() {
        RequestCounters requests = source.counters().requests();
        return new ApiRequests(
                requests.results().entrySet().stream()
                        .map(it -> new ApiRequests.Results(
                                it.getKey().code(),
                                it.getKey().method(),
                                it.getKey().host(),
                                it.getValue()))
                        .toList(),
                requests.latencies().entrySet().stream()
                        .map(it -> new ApiRequests.Latencies(
                                it.getKey().verb(),
                                it.getKey().host(),
                                it.getValue().bounds(),
                                it.getValue().counts(),
                                it.getValue().sumSeconds()))
                        .toList());
    }
}
