package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.cluster.Change;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.EndpointSlice.Hints;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.cluster.TrafficPolicy;
import io.shunt.datapath.Installation;
import io.shunt.datapath.MapSizes;
import io.shunt.datapath.PinnedMaps;
import io.shunt.metrics.Metrics;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import io.shunt.plan.Balancing;
import io.shunt.plan.Locality;
import io.shunt.plan.NodePortAddresses;
import io.shunt.plan.Reference;
import io.shunt.testbed.CallFailedException;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Datagram;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Pins;
import io.shunt.testbed.Pod;
import io.shunt.testbed.Traffic;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * For a minute, 1,000 changes a second to Services, endpoints and the node's zone, against clients that never stop. Who
 * answers a client must have been permitted by the literal {@link Reference} at some moment between the last state that
 * was programmed when the client began and the last that was sent when it ended; and a client may only fail if in one of
 * those states nobody was. Meanwhile the self-audit finds nothing to repair.
 */
@Tag("kernel")
class ChurnTest {
    private static final Duration TIME = Duration.ofSeconds(Integer.getInteger("shunt.churn.seconds", 60));
    /** Between the clock by which changes wait and the one by which they were sent. */
    private static final Duration CLOCK_ERROR = Duration.ofMillis(1);

    private static final long PERIOD_NANOS = 1_000_000;
    private static final int SERVICES = 30;
    private static final int SERVERS = 12;
    private static final int PORT = 80;
    private static final int TARGET_PORT = 8080;
    private static final List<String> NODES = List.of("here", "there");
    private static final List<String> ZONES = List.of("a", "b");

    private static final Reference.Way NOWHERE =
            new Reference.Way(Set.of(), Set.of(), Set.of(), Set.of(), Set.of(), false, 0);

    private final Closing closing = new Closing();
    private final Inbox inbox = new Inbox();
    private final RecentErrors errors = new RecentErrors();
    private Pins pins;
    private Pod pod;
    private Cgroup cgroup;
    private Installation installation;
    private SelfAudit audit;
    private ControlLoop loop;

    private final Random random = new Random(1);
    private final List<Changing> services = new ArrayList<>();
    private volatile Locality here = new Locality("here", "a");

    @BeforeEach
    void start() {
        pins = closing.add(Pins.create("churn"));
        cgroup = closing.add(Cgroup.create("churn"));
        pod = closing.add(new Pod(cgroup, "churn"));
        pod.namespace().ip("route", "add", "local", "10.0.0.0/24", "dev", "lo");
        pod.namespace().ip("-6", "route", "add", "local", "fd00::/64", "dev", "lo");
        pod.namespace().run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
        for (int server = 1; server <= SERVERS; server++) {
            for (IpFamily family : IpFamily.values()) {
                String address = server(family, server);
                pod.traffic().serve(Protocol.TCP, address, TARGET_PORT, address);
                pod.traffic().serve(Protocol.UDP, address, TARGET_PORT, address);
            }
        }
        installation = closing.add(Installation.open(
                pins.path(),
                cgroup.path(),
                // Ids rest until a grace period ends, which a busy machine may put off for long.
                new MapSizes(2_048, 16_384, 1024),
                false,
                new io.shunt.datapath.PacketSettings(1024, 100, false, false, List.of(), true),
                inbox));
        audit = new SelfAudit(installation.audit(), errors, Duration.ofMillis(10));
        loop = new ControlLoop(
                inbox,
                installation.datapath(),
                new Metrics().programming(),
                errors,
                "here",
                NodePortAddresses.of(List.of(), List.of(), true),
                Balancing.DEFAULT,
                Forwarding.SNAT,
                audit);
        ControlThread thread = new ControlThread(loop);
        closing.add(thread);
        thread.start();
        for (int i = 1; i <= SERVICES; i++) {
            services.add(new Changing(i));
        }
    }

    @AfterEach
    void stop() {
        closing.close();
    }

    private static String server(IpFamily family, int number) {
        return Address.of((family == IpFamily.IPV4 ? "10.0.0." : "fd00::") + Integer.toString(number))
                .toString();
    }

    /**
     * What the Service was from a change on: who may answer, by frontend; nobody at a frontend that is not here.
     *
     * @param accepted when the change was in the inbox; it came no later
     */
    private record State(Map<String, Reference.Way> ways, Instant accepted) {}

    /** A Service, and what it was lately. Changed by one thread, read by all. */
    private final class Changing {
        final ObjectName name;
        final ObjectName sliceName4;
        final ObjectName sliceName6;
        final List<Address> clusterIps;
        final Address externalIp;
        final CopyOnWriteArrayList<State> states = new CopyOnWriteArrayList<>();
        private @Nullable Service service;
        private final Map<IpFamily, EndpointSlice> slices = new TreeMap<>();

        Changing(int number) {
            name = new ObjectName("churn", "s" + number);
            sliceName4 = new ObjectName("churn", "s" + number + "-4");
            sliceName6 = new ObjectName("churn", "s" + number + "-6");
            clusterIps = List.of(Address.of("10.96.0." + number), Address.of("fd00:96::" + number));
            externalIp = Address.of("203.0.113." + number);
        }

        void changeService() {
            service = new Service(
                    name,
                    clusterIps,
                    List.of(new Service.Port("tcp", Protocol.TCP, PORT), new Service.Port("udp", Protocol.UDP, PORT)),
                    new Service.External(List.of(externalIp), List.of(), List.of(), policy(), 0),
                    policy(),
                    0);
            send(new Change.ServiceChange(name, service));
        }

        void removeService() {
            service = null;
            send(new Change.ServiceChange(name, null));
        }

        void changeSlice() {
            IpFamily family = IpFamily.values()[random.nextInt(2)];
            ObjectName sliceName = family == IpFamily.IPV4 ? sliceName4 : sliceName6;
            EndpointSlice slice = new EndpointSlice(
                    sliceName,
                    name,
                    family,
                    List.of(
                            new EndpointSlice.Port("tcp", Protocol.TCP, TARGET_PORT),
                            new EndpointSlice.Port("udp", Protocol.UDP, TARGET_PORT)),
                    endpoints(family),
                    null);
            slices.put(family, slice);
            send(new Change.SliceChange(sliceName, slice));
        }

        private void send(Change change) {
            Map<String, Reference.Way> ways = ways();
            // First what may be from now on, then the change, then when it was there.
            states.add(new State(ways, Instant.MAX));
            inbox.accept(change);
            accepted();
        }

        Map<String, Reference.Way> ways() {
            return service == null ? Map.of() : new Reference(service, List.copyOf(slices.values()), here).ways();
        }

        private void accepted() {
            State last = states.getLast();
            states.set(states.size() - 1, new State(last.ways, Instant.now()));
            while (states.size() > 200) {
                states.removeFirst();
            }
        }

        /** The states that the kernel may have had since all changes before {@code oldest} were programmed. */
        List<State> since(Instant oldest) {
            List<State> all = List.copyOf(states);
            int first = 0;
            for (int i = 1; i < all.size(); i++) {
                if (all.get(i).accepted.isBefore(oldest.minus(CLOCK_ERROR))) {
                    first = i;
                }
            }
            return all.subList(first, all.size());
        }
    }

    private TrafficPolicy policy() {
        return random.nextInt(4) == 0 ? TrafficPolicy.LOCAL : TrafficPolicy.CLUSTER;
    }

    private List<Endpoint> endpoints(IpFamily family) {
        boolean hinted = random.nextBoolean();
        int calm = random.nextInt(2);
        return IntStream.rangeClosed(1, SERVERS)
                .filter(i -> random.nextInt(3) == 0)
                .mapToObj(i -> new Endpoint(
                        Address.of(server(family, i)),
                        calm == 0 || random.nextBoolean(),
                        calm == 0 || random.nextInt(4) > 0,
                        calm == 1 && random.nextBoolean(),
                        NODES.get(random.nextInt(2)),
                        hinted ? new Hints(Set.of(ZONES.get(random.nextInt(2))), Set.of()) : Hints.NONE))
                .toList();
    }

    private void changeZone() {
        String zone = ZONES.get(random.nextInt(2));
        here = new Locality("here", zone);
        services.forEach(each -> each.states.add(new State(each.ways(), Instant.MAX)));
        inbox.accept(
                new Change.NodeChange(new Node("here", List.of(), Map.of("topology.kubernetes.io/zone", zone), false)));
        services.forEach(Changing::accepted);
    }

    private void change() {
        Changing service = services.get(random.nextInt(SERVICES));
        int kind = random.nextInt(200);
        if (kind == 0) {
            changeZone();
        } else if (kind < 10) {
            service.removeService();
        } else if (kind < 40) {
            service.changeService();
        } else {
            service.changeSlice();
        }
    }

    /** All changes that arrived before it are programmed. Asked on the control thread, where nothing is under way. */
    private Instant programmedBefore() {
        CompletableFuture<Instant> answer = new CompletableFuture<>();
        Instant asked = Instant.now();
        inbox.execute(() -> {
            Instant oldest = loop.health().oldestQueued();
            answer.complete(oldest == null || oldest.isAfter(asked) ? asked : oldest);
        });
        return answer.orTimeout(30, TimeUnit.SECONDS).join();
    }

    private boolean allProgrammed() {
        CompletableFuture<Boolean> answer = new CompletableFuture<>();
        inbox.execute(() -> answer.complete(loop.reconciled() && loop.health().oldestQueued() == null));
        return answer.orTimeout(30, TimeUnit.SECONDS).join();
    }

    /** How a client talks to a service address, and what it says of who answered. */
    private interface Conversation {
        String answerer(Traffic traffic, String address);
    }

    private final class Client implements Runnable {
        private final String kind;
        private final Protocol protocol;
        private final boolean sticks;
        private final Conversation conversation;
        private final Traffic traffic;
        private final Random choice;
        final AtomicLong answers = new AtomicLong();
        final AtomicLong refusals = new AtomicLong();

        Client(String kind, Protocol protocol, boolean sticks, Conversation conversation) {
            this.kind = kind;
            this.protocol = protocol;
            this.sticks = sticks;
            this.conversation = conversation;
            traffic = closing.add(Traffic.start(pod.cgroup(), pod.namespace()));
            choice = new Random(kind.hashCode());
        }

        @Override
        public void run() {
            long end = System.nanoTime() + TIME.toNanos();
            while (System.nanoTime() < end) {
                Changing service = services.get(choice.nextInt(SERVICES));
                List<Address> addresses = new ArrayList<>(service.clusterIps);
                addresses.add(service.externalIp);
                converse(service, addresses.get(choice.nextInt(addresses.size())));
            }
        }

        private void converse(Changing service, Address address) {
            Instant before = programmedBefore();
            String answerer;
            try {
                answerer = conversation.answerer(traffic, address.toString());
            } catch (CallFailedException e) {
                answerer = "";
                assertThat(e.errno()).as("%s to %s", kind, address).isIn("ECONNREFUSED", "ENETUNREACH");
            }
            List<Reference.Way> ways = service.since(before).stream()
                    .map(state -> state.ways.getOrDefault(address + " " + PORT + " " + protocol, NOWHERE))
                    .toList();
            if (answerer.isEmpty()) {
                assertThat(ways)
                        .as("%s to %s failed; errors: %s", kind, address, errors.list())
                        .anyMatch(way -> way.inside().isEmpty());
                refusals.incrementAndGet();
            } else {
                String peer = answerer + " " + TARGET_PORT;
                assertThat(ways)
                        .as("%s to %s was answered by %s; errors: %s", kind, address, peer, errors.list())
                        .anyMatch(way -> permits(way, peer));
                answers.incrementAndGet();
            }
        }

        private boolean permits(Reference.Way way, String peer) {
            return (sticks ? way.conversations() : way.inside()).contains(peer);
        }
    }

    @Test
    void clients_reachOnlyWhoIsPermitted_andFailOnlyIfNobodyIs() throws Exception {
        changeZone();
        services.forEach(Changing::changeService);
        services.forEach(Changing::changeSlice);
        inbox.accept(new Change.Listed());
        inbox.accept(new Change.Complete());
        await().until(this::allProgrammed);

        Client tcp = new Client("TCP", Protocol.TCP, false, (traffic, address) -> traffic.request(address, PORT));
        Client udp =
                new Client("connected UDP", Protocol.UDP, false, (traffic, address) -> connected(traffic, address));
        Client one = new Client("unconnected UDP", Protocol.UDP, true, new Unconnected());
        List<CompletableFuture<Void>> clients =
                List.of(tcp, udp, one).stream().map(CompletableFuture::runAsync).toList();
        long changes = 0;
        for (long next = System.nanoTime(); clients.stream().anyMatch(client -> !client.isDone()); changes++) {
            change();
            next += PERIOD_NANOS;
            LockSupport.parkNanos(next - System.nanoTime());
        }
        clients.forEach(CompletableFuture::join);

        System.out.printf(
                "%,d changes; TCP %,d answers and %,d refusals, UDP %,d and %,d, unconnected UDP %,d and %,d%n",
                changes,
                tcp.answers.get(),
                tcp.refusals.get(),
                udp.answers.get(),
                udp.refusals.get(),
                one.answers.get(),
                one.refusals.get());
        assertThat(changes).isGreaterThan(TIME.toMillis() * 9 / 10);
        assertThat(List.of(tcp.answers.get(), udp.answers.get(), one.answers.get()))
                .allMatch(count -> count > 1000);
        assertThat(audit.view().runs()).isGreaterThan(TIME.toMillis() / 1000);
        assertThat(audit.view().repairs()).allMatch(repair -> repair.count() == 0);
        assertThat(errors.list()).isEmpty();
        assertKernelIsAsComputedFromNothing();
    }

    private static String connected(Traffic traffic, String address) {
        try (Traffic.Socket socket = traffic.socket(address.contains(":") ? Traffic.Kind.UDP6 : Traffic.Kind.UDP4)) {
            socket.connect(address, PORT);
            socket.send("who");
            return socket.receive();
        }
    }

    /** One socket for each address for the whole time, so that it keeps its backend while that serves. */
    private static final class Unconnected implements Conversation {
        private final Map<String, Traffic.Socket> sockets = new HashMap<>();

        @Override
        public String answerer(Traffic traffic, String address) {
            Traffic.Socket socket = sockets.computeIfAbsent(
                    address, a -> traffic.socket(a.contains(":") ? Traffic.Kind.UDP6 : Traffic.Kind.UDP4));
            Peer peer = new Peer(address, PORT);
            socket.sendTo(peer, "who");
            Datagram reply = socket.receiveFrom();
            assertThat(reply.from()).as("the reply's source").isEqualTo(peer);
            return reply.text();
        }
    }

    /** Every frontend with its backends, read from the pinned maps, against what the reference says of the last state. */
    private void assertKernelIsAsComputedFromNothing() {
        await().until(this::allProgrammed);
        Map<String, Set<String>> expected = new TreeMap<>();
        services.forEach(service -> service.ways().forEach((frontend, way) -> expected.put(frontend, way.inside())));
        Map<Object, String> backends = new HashMap<>();
        Map<Object, Object> slots = new HashMap<>();
        Map<String, Set<String>> sets = new HashMap<>();
        Map<String, String> frontends = new TreeMap<>();
        PinnedMaps.dump(pins.path(), (map, fields) -> {
            switch (map) {
                case "frontends" -> {
                    if (fields.containsKey("protocol")) {
                        frontends.put(
                                spaced(fields.get("address")) + " " + protocol(fields),
                                fields.get("service_id") + " " + fields.get("inside"));
                    }
                }
                case "slots" -> slots.put(fields.get("slot"), fields.get("backend_id"));
                case "backends" -> backends.put(fields.get("backend_id"), spaced(fields.get("address")));
                default -> {}
            }
        });
        PinnedMaps.dump(pins.path(), (map, fields) -> {
            if (map.equals("sets")) {
                Set<String> members = new TreeSet<>();
                int base = (int) fields.get("base");
                for (int i = 0; i < (int) fields.get("count"); i++) {
                    members.add(backends.get(slots.get(base + i)));
                }
                sets.put(fields.get("service_id") + " " + fields.get("reach"), members);
            }
        });
        Map<String, Set<String>> kernel = new TreeMap<>();
        frontends.forEach((frontend, set) -> kernel.put(frontend, sets.getOrDefault(set, Set.of())));
        assertThat(kernel).isEqualTo(expected);
    }

    /** {@code 10.0.0.1:80} or {@code [fd00::1]:80} as {@code 10.0.0.1 80} or {@code fd00::1 80}. */
    private static String spaced(@Nullable Object endpoint) {
        String text = String.valueOf(endpoint);
        int colon = text.lastIndexOf(':');
        return text.substring(0, colon).replaceAll("[\\[\\]]", "") + " " + text.substring(colon + 1);
    }

    private static String protocol(Map<String, ?> fields) {
        return Protocol.ofNumber((int) fields.get("protocol")).orElseThrow().toString();
    }
}
