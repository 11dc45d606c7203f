package io.shunt.snapshot;

import io.shunt.net.IpFamily;
import io.shunt.snapshot.ServiceView.BackendView;
import io.shunt.snapshot.ServiceView.FrontendView;
import io.shunt.snapshot.Status.AuditView;
import io.shunt.snapshot.Status.CallView;
import io.shunt.snapshot.Status.DeviceView;
import io.shunt.snapshot.Status.DropView;
import io.shunt.snapshot.Status.ErrorCount;
import io.shunt.snapshot.Status.ErrorView;
import io.shunt.snapshot.Status.EventCount;
import io.shunt.snapshot.Status.MapView;
import io.shunt.snapshot.Status.PacketsView;
import io.shunt.snapshot.Status.ProblemView;
import io.shunt.snapshot.Status.ProgramView;
import io.shunt.snapshot.Status.RepairCount;
import io.shunt.snapshot.Status.SourceView;
import io.shunt.snapshot.Status.StaleSocketsView;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Snapshots that say what a test sets. */
public final class FixedSnapshots implements Snapshots {
    public static final Instant STARTED = Instant.parse("2026-01-02T03:04:05Z");

    public volatile Status status = healthyStatus();
    public volatile Health health = new Health(STARTED, null, true);
    public volatile boolean ready = true;
    public volatile Collection<ServiceView> services = sampleServices();
    public volatile Map<Integer, ServiceCounters> counters =
            Map.of(7, new ServiceCounters(300, 2), 8, new ServiceCounters(5, 0));

    public volatile List<Drop> drops = List.of(
            new Drop(7, "no_port", "to_backend", 4),
            new Drop(-2, "no_port", "to_backend", 2),
            new Drop(0, "ttl", "to_client", 1));

    public volatile HealthChecks healthChecks = new HealthChecks(List.of(), Set.of());
    public volatile List<LocalShortage> localShortages =
            List.of(new LocalShortage(LocalShortage.Policy.INTERNAL, IpFamily.IPV4, 1));
    public volatile ApiRequests apiRequests = new ApiRequests(
            List.of(new ApiRequests.Results("200", "GET", "10.0.0.1:6443", 3)),
            List.of(new ApiRequests.Latencies(
                    "GET", "10.0.0.1:6443", List.of(1.0, Double.POSITIVE_INFINITY), List.of(3L, 0L), 0.5)));

    /** What {@link #counters()} throws, if anything. */
    public volatile @Nullable RuntimeException countersFailure;

    @Override
    public Status status() {
        return status;
    }

    @Override
    public Health health() {
        return health;
    }

    @Override
    public boolean ready() {
        return ready;
    }

    @Override
    public Stream<ServiceView> services() {
        return services.stream();
    }

    @Override
    public Map<Integer, ServiceCounters> counters() {
        RuntimeException failure = countersFailure;
        if (failure != null) {
            throw failure;
        }
        return counters;
    }

    @Override
    public List<Drop> drops() {
        return drops;
    }

    @Override
    public HealthChecks healthChecks() {
        return healthChecks;
    }

    @Override
    public List<LocalShortage> localShortages() {
        return localShortages;
    }

    @Override
    public ApiRequests apiRequests() {
        return apiRequests;
    }

    /** shop/web in both families, and default/dns, which failed. */
    private static List<ServiceView> sampleServices() {
        return List.of(
                new ServiceView(
                        "shop",
                        "web",
                        "http",
                        "TCP",
                        "IPv6",
                        8,
                        List.of(frontend("[fd00::1]:80/TCP")),
                        List.of(new BackendView("[fd00:1::2]:8080", "cluster")),
                        List.of(),
                        0,
                        "random",
                        ""),
                new ServiceView(
                        "shop",
                        "web",
                        "http",
                        "TCP",
                        "IPv4",
                        7,
                        List.of(
                                frontend("10.96.0.1:80/TCP"),
                                new FrontendView("203.0.113.1:80/TCP", "cluster", "local", true)),
                        List.of(
                                new BackendView("10.0.0.2:8080", "cluster"),
                                new BackendView("10.0.0.3:8080", "draining")),
                        List.of("198.51.100.0/24"),
                        10_800,
                        "maglev",
                        ""),
                new ServiceView(
                        "default",
                        "dns",
                        "",
                        "UDP",
                        "IPv4",
                        -1,
                        List.of(frontend("10.96.0.10:53/UDP")),
                        List.of(),
                        List.of(),
                        0,
                        "random",
                        "map is full"));
    }

    private static FrontendView frontend(String address) {
        return new FrontendView(address, "cluster", "cluster", false);
    }

    private static Status status(boolean healthy, List<String> complaints, List<ProblemView> problems) {
        return new Status(
                "1.2.3",
                "worker-1",
                STARTED,
                healthy,
                complaints,
                new SourceView(
                        "file",
                        "/etc/shunt/services",
                        true,
                        STARTED.plusSeconds(10),
                        problems,
                        List.of(new EventCount("service", "set", 3), new EventCount("endpointslice", "delete", 1)),
                        List.of(new ErrorCount("parse", 2))),
                List.of(
                        new ProgramView("connect4", "cgroup/connect4", "/sys/fs/cgroup", true, 412),
                        new ProgramView("connect6", "cgroup/connect6", "/sys/fs/cgroup", healthy, 530)),
                List.of(new MapView("frontends", 3, 65536, 4_194_304), new MapView("origins", -1, 16384, 2048)),
                2,
                1,
                3,
                List.of(new CallView("update", "frontends", 12, 1), new CallView("delete", "frontends", 2, 0)),
                List.of(new ErrorCount("bad_set", 5)),
                new PacketsView(
                        List.of(
                                new DeviceView("eth0", "from_outside", "ingress", true),
                                new DeviceView("eth0", "from_host", "egress", true),
                                new DeviceView("veth1", "from_pod", "ingress", healthy)),
                        "",
                        List.of("wlan0"),
                        2,
                        17,
                        131_072,
                        40,
                        9,
                        List.of(new DropView("no_port", "to_backend", 6), new DropView("ttl", "to_client", 1))),
                new StaleSocketsView("on for UDP", 4, 1),
                List.of(30053, 30080),
                new AuditView(
                        STARTED.plusSeconds(30),
                        7,
                        1,
                        "",
                        List.of(new RepairCount("frontends", 2), new RepairCount("sets", 0))),
                List.of(new ErrorView(STARTED.plusSeconds(20), "default/dns", "map is full")));
    }

    public static List<ServiceView> services(int count) {
        return IntStream.range(0, count)
                .mapToObj(i -> new ServiceView(
                        "ns-" + i % 10,
                        "service-" + i,
                        "http",
                        "TCP",
                        "IPv4",
                        i,
                        List.of(frontend("10.96." + i / 256 + "." + i % 256 + ":80/TCP")),
                        List.of(new BackendView("10.0." + i / 256 + "." + i % 256 + ":8080", "cluster")),
                        List.of(),
                        0,
                        "random",
                        ""))
                .toList();
    }

    /** The same with other maps. */
    public static Status withMaps(Status status, MapView... maps) {
        return new Status(
                status.version(),
                status.node(),
                status.started(),
                status.healthy(),
                status.complaints(),
                status.source(),
                status.programs(),
                List.of(maps),
                status.services(),
                status.failedServices(),
                status.backends(),
                status.calls(),
                status.socketErrors(),
                status.packets(),
                status.staleSockets(),
                status.ephemeralNodePorts(),
                status.audit(),
                status.errors());
    }

    public static Status healthyStatus() {
        return status(true, List.of(), List.of());
    }

    public static Status brokenStatus() {
        return status(
                false,
                List.of("cgroup/connect6 is not attached"),
                List.of(new ProblemView("shop/web", "web.yaml:12", "spec.ports[0].port", "is 0", "use 1 to 65535")));
    }
}
