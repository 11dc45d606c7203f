package io.shunt.health;

import io.shunt.health.ProxyHealth.FamilyHealth;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.Health;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.snapshot.Snapshots;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the health probes answer, by kube-proxy's rules: unhealthy is only who leaves a change unprogrammed for too
 * long, so a daemon that has nothing to do, or has lost its API server, is healthy.
 */
public final class Probes {
    private static final int OK = 200;
    private static final int UNAVAILABLE = 503;

    /** What Go prints for a time that was never set. */
    private static final String NEVER = "0001-01-01T00:00:00Z";

    /** Go's RFC3339Nano, which drops the fraction's trailing zeros; Java's own format writes them in threes. */
    private static final DateTimeFormatter RFC3339_NANO = new DateTimeFormatterBuilder()
            .appendPattern("uuuu-MM-dd'T'HH:mm:ss")
            .appendFraction(ChronoField.NANO_OF_SECOND, 0, 9, true)
            .appendLiteral('Z')
            .toFormatter()
            .withZone(ZoneOffset.UTC);

    private final Snapshots snapshots;
    private final Duration stale;
    private final InstantSource clock;

    /**
     * @param syncPeriod a change that has waited twice as long makes the daemon unhealthy (kube-proxy
     *     cmd/kube-proxy/app/server.go)
     */
    public Probes(Snapshots snapshots, Duration syncPeriod, InstantSource clock) {
        this.snapshots = snapshots;
        stale = syncPeriod.multipliedBy(2);
        this.clock = clock;
    }

    /**
     * What /healthz and /livez answer.
     *
     * @param status the HTTP status: 200 or 503
     */
    public record Answer(int status, ProxyHealth body) {}

    /**
     * What a Service's health check node port answers.
     *
     * @param status the HTTP status: 200 or 503
     * @param localEndpoints how many addresses of ready endpoints are on this node
     * @param body JSON, byte for byte as kube-proxy writes it
     */
    public record ServiceAnswer(int status, int localEndpoints, String body) {}

    /**
     * What /readyz answers.
     *
     * @param reasons why not, at least one if not ready
     */
    public record Readiness(boolean ready, List<String> reasons) {}

    /**
     * Whether load balancers may send traffic here: programmed in time, the node is here to stay, and clients from
     * elsewhere reach Services by it, which kube-proxy has no doubt of.
     */
    public Answer healthz() {
        Health health = snapshots.health();
        return answer(health, health.nodeEligible() && health.obstacle().isEmpty(), health.obstacle());
    }

    /** Whether the daemon does its work; the node's fate has no part in it. */
    public Answer livez() {
        return answer(snapshots.health(), null, "");
    }

    /**
     * Whether load balancers may send this Service's traffic here: it has endpoints on this node, changes are programmed
     * in time (kube-proxy pkg/proxy/healthcheck/service_health.go), and clients from elsewhere reach Services here.
     */
    public ServiceAnswer service(HealthCheckPort port, IpFamily family) {
        int endpoints = port.localEndpoints().getOrDefault(family, 0);
        Health health = snapshots.health();
        boolean healthy =
                answer(health, null, "").body().healthy() && health.obstacle().isEmpty();
        String body = "{\n\t\"service\": {\n\t\t\"namespace\": \"" + port.namespace() + "\",\n\t\t\"name\": \""
                + port.name() + "\"\n\t},\n\t\"localEndpoints\": " + endpoints + ",\n\t\"serviceProxyHealthy\": "
                + healthy
                + "\n}";
        return new ServiceAnswer(endpoints != 0 && healthy ? OK : UNAVAILABLE, endpoints, body);
    }

    /** Whether everything the source listed is programmed and the programs are attached. */
    public Readiness readyz() {
        if (snapshots.ready()) {
            return new Readiness(true, List.of());
        }
        List<String> complaints = snapshots.status().complaints();
        return new Readiness(
                false, complaints.isEmpty() ? List.of("not everything that the source has is programmed") : complaints);
    }

    private Answer answer(Health health, @Nullable Boolean nodeEligible, String reason) {
        Instant now = clock.instant();
        Instant updated = health.lastUpdated();
        Instant queued = health.oldestQueued();
        boolean inTime = updated == null
                || queued == null
                || Duration.between(queued, now).compareTo(stale) < 0;
        boolean good = inTime && !Boolean.FALSE.equals(nodeEligible);
        String lastUpdated = updated == null ? NEVER : RFC3339_NANO.format(updated);
        String currentTime = RFC3339_NANO.format(now);
        Map<String, FamilyHealth> status = new LinkedHashMap<>();
        if (updated != null) {
            for (IpFamily family : IpFamily.values()) {
                status.put(family.label(), new FamilyHealth(lastUpdated, inTime));
            }
        }
        ProxyHealth body =
                new ProxyHealth(good ? currentTime : lastUpdated, currentTime, nodeEligible, inTime, status, reason);
        return new Answer(good ? OK : UNAVAILABLE, body);
    }
}
