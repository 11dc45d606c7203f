package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Change;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.datapath.Installation;
import io.shunt.datapath.MapSizes;
import io.shunt.metrics.Metrics;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.plan.Balancing;
import io.shunt.plan.NodePortAddresses;
import io.shunt.snapshot.Health;
import io.shunt.testbed.Cgroup;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The loop on its own thread, over the kernel's maps. */
@Tag("kernel")
class ControlLoopTest {
    private static final int MOST_BACKENDS = 8;

    private final Inbox inbox = new Inbox();
    private final RecentErrors errors = new RecentErrors();
    private final Metrics metrics = new Metrics();
    private final Path bpfRoot =
            Path.of("/sys/fs/bpf/shunt-loop-" + ProcessHandle.current().pid());
    private final Cgroup cgroup = Cgroup.create("loop");
    private final Installation installation = Installation.open(
            bpfRoot,
            cgroup.path(),
            new MapSizes(4, MOST_BACKENDS, 1024),
            false,
            new io.shunt.datapath.PacketSettings(1024, 100, false, false, List.of(), true),
            inbox);
    private final ControlLoop loop = new ControlLoop(
            inbox,
            installation.datapath(),
            metrics.programming(),
            errors,
            "node-1",
            NodePortAddresses.of(List.of(), List.of(), true),
            Balancing.DEFAULT,
            Forwarding.SNAT,
            new SelfAudit(installation.audit(), errors, SelfAudit.PERIOD));
    private final ControlThread thread = new ControlThread(loop);
    private boolean closed;

    @BeforeEach
    void start() {
        thread.start();
    }

    @AfterEach
    void stop() throws InterruptedException {
        thread.close();
        if (!closed) {
            installation.close();
        }
        Installation.remove(bpfRoot);
        cgroup.close();
    }

    private static ObjectName name(String name) {
        return new ObjectName("shop", name);
    }

    private void service(String name, int host) {
        service(name, host, null);
    }

    private void service(String name, int host, @Nullable Algorithm algorithm) {
        Service service = new Service(
                name(name),
                List.of(Address.of("10.96.0." + host)),
                List.of(new Service.Port("http", Protocol.TCP, 80)),
                Service.External.NONE,
                TrafficPolicy.CLUSTER,
                0,
                algorithm,
                null);
        inbox.accept(new Change.ServiceChange(name(name), service));
    }

    private void slice(String service, @Nullable Instant triggered, int... hosts) {
        List<EndpointSlice.Endpoint> endpoints = new ArrayList<>();
        for (int host : hosts) {
            endpoints.add(new EndpointSlice.Endpoint(Address.of("10.0.0." + host), true, true, false, null));
        }
        ObjectName name = name(service + "-slice");
        inbox.accept(new Change.SliceChange(
                name,
                new EndpointSlice(
                        name,
                        name(service),
                        IpFamily.IPV4,
                        List.of(new EndpointSlice.Port("http", Protocol.TCP, 8080)),
                        endpoints,
                        triggered)));
    }

    /** Waits until everything that was sent before is programmed, or has failed. */
    private void settle() {
        await().until(() -> {
            CountDownLatch seen = new CountDownLatch(1);
            inbox.execute(seen::countDown);
            seen.await();
            return loop.health().oldestQueued() == null;
        });
    }

    private Map<String, Programmed> programmed() {
        return loop.programmed().stream()
                .collect(java.util.stream.Collectors.toMap(
                        p -> p.planned().name().service().name(), p -> p));
    }

    private Programmed programmed(String service) {
        return Objects.requireNonNull(programmed().get(service), service);
    }

    @Test
    void changes_beforeTheSourceHasListed_areNotProgrammed() {
        service("web", 1);
        slice("web", null, 1, 2);
        settle();
        assertThat(loop.programmed()).isEmpty();
        assertThat(loop.reconciled()).isFalse();

        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);

        assertThat(programmed("web").planned().service().backends()).hasSize(2);
        assertThat(programmed("web").serviceId()).isPositive();
    }

    @Test
    void service_withoutSlices_waitsUntilNothingIsMissing() {
        service("web", 1);
        service("full", 2);
        slice("full", null, 1);
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);
        assertThat(programmed()).containsOnlyKeys("full");

        inbox.accept(new Change.Complete());

        await().until(() -> programmed().containsKey("web"));
        assertThat(programmed("web").planned().service().backends()).isEmpty();
    }

    @Test
    void changesThatArePutOff_areMeteredOnceTheyAreProgrammed() throws IOException {
        service("web", 1);
        slice("web", Instant.now());
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);
        slice("web", Instant.now());
        settle();
        String programming = "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} ";
        String delay = "shunt_change_delay_seconds_count ";
        assertThat(scrape()).contains(programming + 0, delay + 0);

        inbox.accept(new Change.Complete());
        await().until(() -> programmed().containsKey("web"));
        settle();

        assertThat(scrape())
                .contains(programming + 2, delay + 1, "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0.0");
    }

    @Test
    void serviceOfTwoFamilies_isProgrammedInTheOneThatHasBackends_whileSomethingIsMissing() {
        ObjectName web = name("web");
        Service service = new Service(
                web,
                List.of(Address.of("10.96.0.1"), Address.of("fd00:96::1")),
                List.of(new Service.Port("http", Protocol.TCP, 80)));
        inbox.accept(new Change.ServiceChange(web, service));
        slice("web", null, 1);
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);
        assertThat(loop.programmed())
                .extracting(p -> p.planned().name().family())
                .containsExactly(IpFamily.IPV4);

        // No backends any more: that is certain.
        slice("web", null);
        await().until(() -> programmed("web").planned().service().backends().isEmpty());
        assertThat(loop.programmed()).hasSize(1);

        inbox.accept(new Change.Complete());
        await().untilAsserted(() -> assertThat(loop.programmed()).hasSize(2));
    }

    @Test
    void service_thatDoesNotFit_keepsWhatItHadAndHealsWhenRoomComes() {
        service("web", 1);
        slice("web", null, 1);
        service("big", 2);
        slice("big", null, 1, 2, 3, 4, 5, 6);
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);

        slice("web", null, 11, 12, 13, 14, 15, 16);
        await().until(() -> !programmed("web").error().isEmpty());

        assertThat(programmed("web").error()).contains("backends").contains("--max-backends");
        assertThat(programmed("big").error()).isEmpty();
        awaitFailure("web", Instant.EPOCH);

        inbox.accept(new Change.ServiceChange(name("big"), null));
        await().until(() -> programmed("web").error().isEmpty());
        assertThat(programmed()).containsOnlyKeys("web");
    }

    @Test
    void serviceWhoseTableDoesNotFit_isServedWithout_andSaysSo() {
        service("web", 1, Algorithm.MAGLEV);
        slice("web", null, 1, 2);
        service("other", 2);
        slice("other", null, 3);
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);

        assertThat(programmed("web").error()).contains("slots", "--max-maglev-tables", "--maglev-table-size");
        assertThat(programmed("other").error()).isEmpty();
        assertThat(errors.list()).anyMatch(e -> e.object().equals("Service shop/web"));
        await().until(() -> installation.datapath().entries("slots") == 3);

        slice("web", null, 1, 2, 4);
        await().until(() -> installation.datapath().entries("slots") == 4);

        service("web", 1);
        await().until(() -> programmed("web").error().isEmpty());
        assertThat(installation.datapath().entries("slots")).isEqualTo(4);
    }

    @Test
    void servicesThatDoNotFit_areNotLateEachTimeTheyAreTriedAgain() {
        inbox.accept(new Change.Listed());
        inbox.accept(new Change.Complete());
        List<String> names = List.of("a", "b", "c");
        for (String name : names) {
            service(name, 1 + names.indexOf(name));
            slice(name, null, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        }
        names.forEach(name -> awaitFailure(name, Instant.EPOCH));
        Instant failed = await().until(this::nowIfNothingWaits, Objects::nonNull);
        Set<Instant> waiting = ConcurrentHashMap.newKeySet();
        inbox.execute(() -> sample(waiting));

        for (int retry = 0; retry < 2; retry++) {
            Instant before = Instant.now();
            names.forEach(name -> awaitFailure(name, before));
        }

        assertThat(waiting).isNotEmpty().allSatisfy(since -> assertThat(since).isAfter(failed));
    }

    private @Nullable Instant nowIfNothingWaits() {
        return CompletableFuture.supplyAsync(() -> loop.health().oldestQueued() == null ? Instant.now() : null, inbox)
                .join();
    }

    /** Since when changes wait, as seen after everything that the loop does. */
    private void sample(Set<Instant> waiting) {
        Instant oldest = loop.health().oldestQueued();
        if (oldest != null) {
            waiting.add(oldest);
        }
        inbox.execute(() -> sample(waiting));
    }

    private void awaitFailure(String service, Instant after) {
        await().until(() -> errors.list().stream()
                .anyMatch(error -> error.object().equals("Service shop/" + service)
                        && error.at().isAfter(after)));
    }

    @Test
    void changesThatFail_areMeteredTogether_onceTheyAreProgrammed() throws IOException {
        service("web", 1);
        slice("web", null, 1);
        service("big", 2);
        slice("big", null, 1, 2, 3, 4, 5, 6);
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);
        slice("web", Instant.now(), 11, 12, 13, 14, 15, 16);
        awaitFailure("web", Instant.EPOCH);
        Instant failed = Instant.now();
        slice("web", Instant.now(), 11, 12, 13, 14, 15);
        awaitFailure("web", failed);
        String programming = "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} ";
        String delay = "shunt_change_delay_seconds_count ";
        assertThat(scrape()).contains(programming + 0, delay + 2);

        inbox.accept(new Change.ServiceChange(name("big"), null));
        await().until(() -> programmed("web").error().isEmpty());
        settle();

        assertThat(scrape())
                .contains(programming + 2, delay + 4, "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0.0");
    }

    @Test
    void services_withOneAddress_theFirstKeepsItUntilItGoes() {
        inbox.accept(new Change.Listed());
        inbox.accept(new Change.Complete());
        service("first", 1);
        settle();
        service("second", 1);
        await().until(() -> programmed().containsKey("second"));
        assertThat(programmed("second").error()).contains("already belongs to shop/first");

        inbox.accept(new Change.ServiceChange(name("first"), null));

        await().until(() -> programmed("second").error().isEmpty());
    }

    @Test
    void slice_thatSaysWhenItChanged_isMeteredAsKubeProxyDoes() throws IOException {
        inbox.accept(new Change.Listed());
        service("web", 1);
        slice("web", Instant.now(), 1);
        settle();
        await().until(() -> programmed().containsKey("web"));

        assertThat(scrape())
                .anyMatch(line -> line.startsWith("kubeproxy_network_programming_duration_seconds_count")
                        && line.contains("ip_family=\"IPv4\"")
                        && line.endsWith(" 1"))
                .anyMatch(line -> line.equals("kubeproxy_sync_proxy_rules_endpoint_changes_pending 0.0"));
    }

    @Test
    void sliceOfOneFamily_isMeteredInThatFamilyAlone_andTheFirstProgrammingAsAFullSync() throws IOException {
        Service service = new Service(
                name("web"),
                List.of(Address.of("10.96.0.1"), Address.of("fd00:96::1")),
                List.of(new Service.Port("http", Protocol.TCP, 80)));
        inbox.accept(new Change.ServiceChange(name("web"), service));
        slice("web", Instant.now(), 1);
        inbox.accept(new Change.Complete());
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);

        String programming = "kubeproxy_network_programming_duration_seconds_count{ip_family=";
        String full = "kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=";
        assertThat(scrape())
                .contains(programming + "\"IPv4\"} 1", programming + "\"IPv6\"} 0")
                .contains(full + "\"IPv4\"} 1", full + "\"IPv6\"} 1");

        slice("web", null, 1, 2);
        settle();
        assertThat(scrape())
                .contains(full + "\"IPv4\"} 1")
                .contains("kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} 2");
    }

    private List<String> scrape() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        metrics.write(out);
        try (Stream<String> lines = out.toString(StandardCharsets.UTF_8).lines()) {
            return lines.toList();
        }
    }

    @Test
    void node_thatLeaves_isNotEligibleAndStaysSoWhenItIsGone() {
        inbox.accept(new Change.NodeChange(new Node("n", List.of(), Map.of(), true)));
        settle();
        assertThat(loop.health().nodeEligible()).isFalse();

        inbox.accept(new Change.NodeChange(null));
        settle();
        assertThat(loop.health().nodeEligible()).isFalse();
    }

    @Test
    void nodeOfACluster_isEligibleOnceTheClusterTellsOfIt() {
        assertThat(loop.health().nodeEligible()).isTrue();
        loop.expectNode();
        assertThat(loop.health().nodeEligible()).isFalse();

        inbox.accept(new Change.NodeChange(new Node("n", List.of(), Map.of(), false)));
        settle();
        assertThat(loop.health().nodeEligible()).isTrue();

        inbox.accept(new Change.NodeChange(null));
        settle();
        assertThat(loop.health().nodeEligible()).isTrue();
    }

    @Test
    void change_thatNobodyTakesIn_waitsInTheHealth() {
        inbox.accept(new Change.Listed());
        await().until(loop::reconciled);
        CountDownLatch stuck = new CountDownLatch(1);
        CountDownLatch released = new CountDownLatch(1);
        inbox.execute(() -> {
            stuck.countDown();
            try {
                released.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        await().until(() -> stuck.getCount() == 0);
        service("web", 1);
        slice("web", null, 1);

        assertThat(loop.health().oldestQueued()).isNotNull();

        released.countDown();
        settle();
        assertThat(programmed()).containsKey("web");
    }

    @Test
    void stop_endsTheThreadInGoodOrder() throws InterruptedException {
        thread.close();

        assertThat(thread.ended()).isCompletedWithValue(true);
    }

    @Test
    void whatTheKernelDoesNotDo_staysQueued_andIsNoUpdate() {
        inbox.accept(new Change.Listed());
        inbox.accept(new Change.Complete());
        await().until(loop::reconciled);
        installation.close();
        closed = true;
        Instant before = Instant.now();

        service("web", 1);
        slice("web", null, 1);

        awaitFailure("web", Instant.EPOCH);
        Instant failed = Instant.now();
        awaitFailure("web", failed);
        Health health = healthBetweenTwoPasses();
        // Between the clock of arrivals and this one.
        assertThat(health.oldestQueued()).isBetween(before.minusMillis(100), failed);
        assertThat(health.lastUpdated()).isBefore(failed);
    }

    @Test
    void whatTheKernelDoesNotDo_isAsOldAsItsFirstChange_alsoWhenMoreCome() {
        inbox.accept(new Change.Listed());
        inbox.accept(new Change.Complete());
        await().until(loop::reconciled);
        installation.close();
        closed = true;
        service("web", 1);
        awaitFailure("web", Instant.EPOCH);
        Instant first = healthBetweenTwoPasses().oldestQueued();

        slice("web", null, 1);
        for (int retry = 0; retry < 2; retry++) {
            awaitFailure("web", Instant.now());
            assertThat(healthBetweenTwoPasses().oldestQueued()).isNotNull().isEqualTo(first);
        }
    }

    private Health healthBetweenTwoPasses() {
        return CompletableFuture.supplyAsync(loop::health, inbox).join();
    }

    @Test
    void task_thatThrows_doesNotEndTheLoop() {
        inbox.execute(() -> {
            throw new IllegalStateException("a fault");
        });
        inbox.accept(new Change.Listed());

        await().until(loop::reconciled);
        assertThat(thread.ended()).isNotDone();
    }
}
