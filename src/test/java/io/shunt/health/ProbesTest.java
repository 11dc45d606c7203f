package io.shunt.health;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.net.IpFamily;
import io.shunt.snapshot.FixedSnapshots;
import io.shunt.snapshot.Health;
import io.shunt.snapshot.HealthCheckPort;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProbesTest {
    private static final Instant NOW = Instant.parse("2026-05-06T07:08:09.120Z");
    private static final Instant UPDATED = NOW.minusSeconds(600);

    private final FixedSnapshots snapshots = new FixedSnapshots();
    private final Probes probes = new Probes(snapshots, Duration.ofSeconds(30), InstantSource.fixed(NOW));

    @ParameterizedTest(name = "updated {0}, oldest change {1} ms old, eligible {2}: healthz {3}, livez {4}")
    @CsvSource({
        "true,  -1,     true,  200, 200",
        "true,  59999,  true,  200, 200",
        "true,  60000,  true,  503, 503",
        "true,  600000, true,  503, 503",
        "true,  -1,     false, 503, 200",
        "true,  60000,  false, 503, 503",
        "false, 600000, true,  200, 200",
        "false, -1,     false, 503, 200",
    })
    void statuses_followKubeProxysRules(boolean updated, long oldestMillis, boolean eligible, int healthz, int livez) {
        Instant oldest = oldestMillis < 0 ? null : NOW.minus(Duration.ofMillis(oldestMillis));
        snapshots.health = new Health(updated ? UPDATED : null, oldest, eligible);

        assertThat(probes.healthz().status()).isEqualTo(healthz);
        assertThat(probes.livez().status()).isEqualTo(livez);
    }

    @Test
    void lastUpdated_isNowWhenGood_andTrueWhenNot() {
        snapshots.health = new Health(UPDATED, null, true);
        assertThat(probes.healthz().body().lastUpdated()).isEqualTo("2026-05-06T07:08:09.12Z");

        snapshots.health = new Health(UPDATED, NOW.minusSeconds(61), true);
        ProxyHealth late = probes.healthz().body();
        assertThat(late.lastUpdated()).isEqualTo("2026-05-06T06:58:09.12Z");
        assertThat(late.currentTime()).isEqualTo("2026-05-06T07:08:09.12Z");
        assertThat(late.healthy()).isFalse();
        assertThat(late.status())
                .hasSize(2)
                .allSatisfy((family, health) -> assertThat(health.healthy()).isFalse());
    }

    @Test
    void healthy_isNotTouchedByTheNodesEligibility() {
        snapshots.health = new Health(UPDATED, null, false);

        Probes.Answer answer = probes.healthz();

        assertThat(answer.status()).isEqualTo(503);
        assertThat(answer.body().healthy()).isTrue();
        assertThat(answer.body().nodeEligible()).isFalse();
    }

    @Test
    void healthz_saysWhatKeepsClientsAway_andLivezDoesNotMind() {
        snapshots.health = new Health(UPDATED, null, true, "the kernel refuses the packet programs");

        Probes.Answer answer = probes.healthz();

        assertThat(answer.status()).isEqualTo(503);
        assertThat(answer.body().nodeEligible()).isFalse();
        assertThat(answer.body().healthy()).isTrue();
        assertThat(answer.body().reason()).isEqualTo("the kernel refuses the packet programs");
        assertThat(probes.livez().status()).isEqualTo(200);
        assertThat(probes.livez().body().reason()).isEmpty();
        HealthCheckPort port = new HealthCheckPort("shop", "web", 32000, Map.of(IpFamily.IPV4, 1));
        assertThat(probes.service(port, IpFamily.IPV4).status()).isEqualTo(503);
        assertThat(probes.service(port, IpFamily.IPV4).body()).contains("\"serviceProxyHealthy\": false");
    }

    @Test
    void livez_saysNothingOfTheNode() {
        assertThat(probes.livez().body().nodeEligible()).isNull();
    }

    @Test
    void readyz_givesTheComplaintsAsReasons() {
        snapshots.health = new Health(null, null, true);
        snapshots.ready = false;
        assertThat(probes.readyz().reasons()).containsExactly("not everything that the source has is programmed");

        snapshots.status = FixedSnapshots.brokenStatus();
        assertThat(probes.readyz().ready()).isFalse();
        assertThat(probes.readyz().reasons()).containsExactly("cgroup/connect6 is not attached");

        snapshots.ready = true;
        assertThat(probes.readyz().ready()).isTrue();
    }

    @Test
    void late_isWhoLeavesAChangeForTwoSyncPeriods() {
        Probes patient = new Probes(snapshots, Duration.ofMinutes(5), InstantSource.fixed(NOW));
        snapshots.health = new Health(UPDATED, NOW.minusSeconds(599), true);
        assertThat(patient.livez().status()).isEqualTo(200);

        snapshots.health = new Health(UPDATED, NOW.minusSeconds(600), true);
        assertThat(patient.livez().status()).isEqualTo(503);
    }

    /** service_health.go's format string, dedented. */
    @ParameterizedTest(name = "{0} endpoints here, programmed in time {1}, node eligible {2}: {3}")
    @CsvSource({"2, true, true, 200", "0, true, true, 503", "2, false, true, 503", "1, true, false, 200"})
    void service_answersWithKubeProxysBytes(int endpoints, boolean inTime, boolean eligible, int status) {
        snapshots.health = new Health(UPDATED, inTime ? null : NOW.minusSeconds(60), eligible);
        HealthCheckPort port = new HealthCheckPort("shop", "web", 32000, Map.of(IpFamily.IPV4, endpoints));

        Probes.ServiceAnswer answer = probes.service(port, IpFamily.IPV4);

        assertThat(answer.status()).isEqualTo(status);
        assertThat(answer.localEndpoints()).isEqualTo(endpoints);
        assertThat(answer.body())
                .isEqualTo("{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n"
                        + "\t\"localEndpoints\": " + endpoints + ",\n\t\"serviceProxyHealthy\": " + inTime + "\n}");
    }
}
