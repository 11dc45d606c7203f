package io.shunt.daemon;

import io.shunt.cluster.Change;
import io.shunt.cluster.ClusterState;
import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Forwarding;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.datapath.Datapath;
import io.shunt.datapath.FrontendTakenException;
import io.shunt.datapath.TableFullException;
import io.shunt.flow.ServicePort;
import io.shunt.metrics.ProgrammingMeters;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.plan.Balancing;
import io.shunt.plan.Locality;
import io.shunt.plan.NodePortAddresses;
import io.shunt.plan.PlannedService;
import io.shunt.plan.Planner;
import io.shunt.plan.ServicePortName;
import io.shunt.snapshot.Health;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that owns cluster, plan, table and map writes, so that nothing on that way needs a lock.
 *
 * <p>It takes in all that has arrived, then programs one Service, and looks again: the first change goes at once, and
 * while others wait, changes to one Service coalesce. Nothing is programmed before the source has listed everything, and
 * nothing that an earlier process left is taken away before all of that is programmed and nothing is missing: while a
 * manifest is broken, a Service port may only seem to have no backends.
 */
final class ControlLoop implements Runnable {
    private static final Logger log = LoggerFactory.getLogger(ControlLoop.class);

    /** Arrivals taken in between two Services, so that a flood of changes cannot keep everything from being programmed. */
    private static final int MOST_ARRIVALS = 1000;

    /** So long it waits for something to come before it looks at what failed. */
    private static final long IDLE_NANOS = 1_000_000_000L;

    /** Hears, on the control thread, what has been programmed, and where this daemon stands. */
    interface Listener {
        /** @param service null: there is none, or no longer */
        void programmed(ObjectName name, @Nullable Service service, Collection<EndpointSlice> slices);

        /** @param node null if nothing is known of it */
        void standsAt(Set<Address> hostAddresses, @Nullable Node node);
    }

    private final Inbox inbox;
    private final Datapath datapath;
    private final ProgrammingMeters meters;
    private final RecentErrors errors;
    private final String nodeName;
    private final NodePortAddresses nodePortAddresses;
    private final Balancing balancing;
    private final Forwarding forwarding;
    private final SelfAudit audit;
    private final OldGarbage garbage = OldGarbage.ofThisProcess();
    private final ClusterState cluster = new ClusterState();
    private final LinkedHashMap<ObjectName, Pending> pending = new LinkedHashMap<>();
    private final Failures failures = new Failures();
    /** Changes that were taken up and have not come to the kernel, until they have and are metered. */
    private final Map<ObjectName, Pending> unmetered = new HashMap<>();

    private final Map<ObjectName, Set<ServicePortName>> namesOfService = new HashMap<>();

    /** Written here, read by everyone. */
    private final ConcurrentHashMap<ServicePortName, Programmed> programmed = new ConcurrentHashMap<>();

    /** Services with a port that has no backends yet, put off until nothing is missing. */
    private final Set<ObjectName> putOff = new HashSet<>();

    private @Nullable Instant listed;
    private boolean complete;
    private boolean cleaned;
    private Locality here;
    private @Nullable Node node;
    /** Null until they are known: those that an earlier process selected stay. */
    private volatile @Nullable Set<Address> hostAddresses;

    private boolean nodeAddressesFailed;
    /** {@link System#nanoTime} since when everything has been being programmed; null while single changes are. */
    private @Nullable Long allSinceNanos;

    private @Nullable Listener listener;
    private volatile boolean reconciled;
    private volatile boolean nodeEligible = true;
    private volatile @Nullable Instant lastUpdated;
    /** When the oldest change that waits arrived; null if none waits. */
    private volatile @Nullable Instant oldestPending;

    private volatile boolean stopped;

    ControlLoop(
            Inbox inbox,
            Datapath datapath,
            ProgrammingMeters meters,
            RecentErrors errors,
            String nodeName,
            NodePortAddresses nodePortAddresses,
            Balancing balancing,
            Forwarding forwarding,
            SelfAudit audit) {
        this.inbox = inbox;
        this.datapath = datapath;
        this.meters = meters;
        this.errors = errors;
        this.nodeName = nodeName;
        this.nodePortAddresses = nodePortAddresses;
        this.balancing = balancing;
        this.forwarding = forwarding;
        this.audit = audit;
        here = Locality.of(nodeName, null);
    }

    /** Before the loop runs: {@code listener} hears of what is programmed, and where. */
    void whenProgrammed(Listener listener) {
        this.listener = listener;
    }

    /** Before the loop runs: a cluster is to tell of this node, and until it does, this node is not part of it. */
    void expectNode() {
        nodeEligible = false;
    }

    /** Works until {@link #stop}; ends early only by an error that no retry can heal. */
    @Override
    public void run() {
        try {
            while (!stopped) {
                doWork();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends the loop after what it is doing now. Safe from any thread. */
    void stop() {
        stopped = true;
        inbox.execute(() -> {});
    }

    private void doWork() throws InterruptedException {
        boolean idle = (listed == null || pending.isEmpty()) && !audit.isDue();
        Inbox.Item item = idle ? inbox.poll(IDLE_NANOS) : inbox.poll();
        boolean quiet = idle && item == null;
        for (int taken = 1; item != null; taken++) {
            take(item);
            item = taken < MOST_ARRIVALS ? inbox.poll() : null;
        }
        if (listed != null) {
            retryFailed();
            programNext();
            publishOldest();
            garbage.clear(quiet);
        }
        audit.goOn();
    }

    private void take(Inbox.Item item) {
        switch (item) {
            case Inbox.Task task -> run(task.task());
            case Inbox.Arrival arrival -> arrival.changes().forEach(change -> take(change, arrival.arrivedNanos()));
        }
    }

    private static void run(Runnable task) {
        try {
            task.run();
        } catch (RuntimeException e) {
            log.error("a task of the control loop has failed", e);
        }
    }

    private void take(Change change, long arrivedNanos) {
        switch (change) {
            case Change.ServiceChange service -> {
                cluster.apply(service);
                pending(service.name(), arrivedNanos).serviceChanges++;
                meters.queued(ProgrammingMeters.Kind.SERVICE, 1);
            }
            case Change.SliceChange slice -> {
                for (ObjectName service : cluster.apply(slice)) {
                    pending(service, arrivedNanos).add(slice);
                    meters.queued(ProgrammingMeters.Kind.ENDPOINT, 1);
                }
            }
            case Change.HostAddressesChange(Set<Address> addresses) -> {
                hostAddresses = addresses;
                selectNodeAddresses();
            }
            case Change.NodeChange(Node node) -> {
                // kube-proxy keeps its last word on a Node that is gone (pkg/proxy/node.go).
                if (node != null) {
                    nodeEligible = !node.leaving();
                    this.node = node;
                    stand(Locality.of(nodeName, node), arrivedNanos);
                    selectNodeAddresses();
                }
            }
            case Change.Listed() -> {
                listed = Instant.now();
                allSinceNanos = System.nanoTime();
                publishOldest();
                selectNodeAddresses();
            }
            case Change.Complete() -> {
                complete = true;
                putOff.forEach(name -> pending.computeIfAbsent(name, n -> new Pending(arrivedNanos)));
                putOff.clear();
            }
        }
    }

    /** Not before the source has listed: the Node may say which, and what an earlier process chose may be right. */
    private void selectNodeAddresses() {
        Set<Address> addresses = hostAddresses;
        if (listed == null || addresses == null || !nodePortAddresses.areKnown(node)) {
            return;
        }
        if (listener != null) {
            listener.standsAt(addresses, node);
        }
        try {
            datapath.putNodeAddresses(nodePortAddresses.select(addresses, node));
            nodeAddressesFailed = false;
        } catch (RuntimeException e) {
            String message = String.valueOf(e.getMessage());
            if (errors.add("the node's addresses", message)) {
                log.error("node ports cannot be opened on all of the node's addresses; trying again: {}", message);
            }
            nodeAddressesFailed = true;
        }
    }

    /** Hints mean something else in another zone. */
    private void stand(Locality place, long arrivedNanos) {
        if (!place.equals(here)) {
            here = place;
            allSinceNanos = listed == null ? null : Long.valueOf(System.nanoTime());
            cluster.services().forEach(name -> pending(name, arrivedNanos));
        }
    }

    private Pending pending(ObjectName service, long arrivedNanos) {
        Pending waiting = pending.computeIfAbsent(service, name -> new Pending(arrivedNanos));
        publishOldest();
        return waiting;
    }

    /** Before the source has listed, nothing is late: an API server that is down is not this daemon's illness. */
    private void publishOldest() {
        Map.Entry<ObjectName, Pending> oldest = pending.firstEntry();
        Instant arrived = oldest == null ? null : oldest.getValue().arrived;
        Instant failed = failures.oldestLasting();
        if (failed != null && (arrived == null || failed.isBefore(arrived))) {
            arrived = failed;
        }
        if (listed == null || arrived == null) {
            oldestPending = null;
        } else {
            oldestPending = arrived.isBefore(listed) ? listed : arrived;
        }
    }

    /** As if it came now: what the kernel has refused for want of room does not make this daemon late. */
    private void retryFailed() {
        if (failures.areDue() || datapath.roomCame()) {
            if (nodeAddressesFailed) {
                selectNodeAddresses();
            }
            long now = System.nanoTime();
            failures.retry().forEach(name -> pending.computeIfAbsent(name, n -> new Pending(now)));
        }
    }

    private void programNext() {
        Iterator<Map.Entry<ObjectName, Pending>> next = pending.entrySet().iterator();
        if (next.hasNext()) {
            Map.Entry<ObjectName, Pending> entry = next.next();
            next.remove();
            program(entry.getKey(), entry.getValue());
        }
        if (pending.isEmpty()) {
            if (failures.oldestLasting() == null) {
                lastUpdated = Instant.now();
            }
            if (allSinceNanos != null) {
                meters.syncedFully(System.nanoTime() - allSinceNanos);
                allSinceNanos = null;
            }
            if (!reconciled) {
                reconciled = true;
                log.info("programmed {} virtual services", programmed.size());
            }
            if (complete && !cleaned) {
                removeUnclaimed();
            }
        }
    }

    private void removeUnclaimed() {
        try {
            int removed = datapath.removeUnclaimed();
            cleaned = true;
            log.info("removed {} virtual services that an earlier process left", removed);
        } catch (RuntimeException e) {
            String message = String.valueOf(e.getMessage());
            if (errors.add("what an earlier process left", message)) {
                log.error("what an earlier process left cannot be removed; trying again: {}", message);
            }
        }
    }

    private void program(ObjectName name, Pending changes) {
        long start = System.nanoTime();
        Set<ServicePortName> before = namesOfService.getOrDefault(name, Set.of());
        Set<ServicePortName> after = before;
        boolean done = false;
        try {
            List<PlannedService> planned = planned(name, before);
            after = planned.stream().map(PlannedService::name).collect(Collectors.toSet());
            List<Datapath.Outcome> outcomes = put(name, planned, before, after);
            if (listener != null) {
                listener.programmed(name, cluster.service(name), cluster.slices(name));
            }
            boolean nothing = after.isEmpty() && putOff.contains(name);
            done = report(name, outcomes, changes) && !nothing;
        } catch (RuntimeException e) {
            fail(name, e.toString(), changes, true, e);
        }
        meters.taken(ProgrammingMeters.Kind.SERVICE, changes.serviceChanges);
        meters.taken(ProgrammingMeters.Kind.ENDPOINT, changes.sliceChanges);
        if (done) {
            meter(before, after, withUnmetered(name, changes), start);
        } else if (!changes.isEmpty()) {
            unmetered.merge(name, changes, Pending::join);
        }
    }

    private Pending withUnmetered(ObjectName name, Pending changes) {
        Pending earlier = unmetered.remove(name);
        return earlier == null ? changes : earlier.join(changes);
    }

    private List<Datapath.Outcome> put(
            ObjectName name, List<PlannedService> planned, Set<ServicePortName> before, Set<ServicePortName> after) {
        Set<ServicePortName> obsolete = new HashSet<>(before);
        obsolete.removeAll(after);
        Set<ServicePortName> either = new HashSet<>(before);
        either.addAll(after);
        // If this ends half way, some of both are in the kernel.
        remember(name, either);
        List<Datapath.Outcome> outcomes = datapath.put(
                planned.stream().map(PlannedService::service).toList(),
                obsolete.stream().map(ServicePortName::toString).collect(Collectors.toSet()));
        publish(planned, outcomes);
        obsolete.forEach(programmed::remove);
        // What fails may still be served by what is obsolete, which is to be named until it is gone.
        boolean failed = outcomes.stream().anyMatch(outcome -> outcome.failure() != null);
        remember(name, failed ? either : after);
        return outcomes;
    }

    /** What to program, without what has to be put off; {@code before} is what has been programmed already. */
    private List<PlannedService> planned(ObjectName name, Set<ServicePortName> before) {
        Service service = cluster.service(name);
        List<PlannedService> planned =
                service == null ? List.of() : Planner.plan(service, cluster.slices(name), here, balancing, forwarding);
        if (complete) {
            return planned;
        }
        List<PlannedService> certain = planned.stream()
                .filter(each -> before.contains(each.name())
                        || each.service().backends().stream()
                                .anyMatch(backend -> backend.state().serves()))
                .toList();
        if (certain.size() < planned.size()) {
            putOff.add(name);
        } else {
            putOff.remove(name);
        }
        return certain;
    }

    private void publish(List<PlannedService> planned, List<Datapath.Outcome> outcomes) {
        for (int i = 0; i < planned.size(); i++) {
            Datapath.Outcome outcome = outcomes.get(i);
            String error = outcome.failure() == null
                    ? ""
                    : String.valueOf(outcome.failure().getMessage());
            programmed.put(planned.get(i).name(), new Programmed(planned.get(i), outcome.serviceId(), error));
        }
    }

    private void remember(ObjectName name, Set<ServicePortName> names) {
        if (names.isEmpty()) {
            namesOfService.remove(name);
        } else if (!names.equals(namesOfService.get(name))) {
            namesOfService.put(name, Set.copyOf(names));
        }
    }

    /** @return whether all is as wanted */
    private boolean report(ObjectName name, List<Datapath.Outcome> outcomes, Pending changes) {
        List<RuntimeException> reasons = outcomes.stream()
                .map(Datapath.Outcome::failure)
                .filter(Objects::nonNull)
                .toList();
        if (reasons.isEmpty()) {
            failures.remove(name);
            return true;
        }
        String message = reasons.stream()
                .map(reason -> String.valueOf(reason.getMessage()))
                .distinct()
                .collect(Collectors.joining("; "));
        boolean lasting = reasons.stream()
                .anyMatch(reason ->
                        !(reason instanceof TableFullException) && !(reason instanceof FrontendTakenException));
        fail(name, message, changes, lasting, null);
        return false;
    }

    /** @param fault null for what may well happen; else its stack trace goes to the log */
    private void fail(
            ObjectName name, String message, Pending changes, boolean lasting, @Nullable RuntimeException fault) {
        errors.add("Service " + name, message);
        if (failures.add(name, message, changes.arrived, lasting)) {
            log.error("Service {} is not programmed as it should be: {}", name, message, fault);
        }
    }

    private void meter(
            Collection<ServicePortName> before, Collection<ServicePortName> after, Pending changes, long startNanos) {
        long end = System.nanoTime();
        Instant now = Instant.now();
        Set<IpFamily> families = EnumSet.noneOf(IpFamily.class);
        before.forEach(name -> families.add(name.family()));
        after.forEach(name -> families.add(name.family()));
        for (IpFamily family : families) {
            meters.synced(family, end - startNanos);
        }
        changes.triggers().forEach(trigger -> meters.programmed(trigger.family(), trigger.at(), now));
        if (!changes.isEmpty()) {
            meters.delay(end - changes.arrivedNanos);
        }
    }

    /** What is programmed, and what became of it. Safe from any thread; entries never change, the collection does. */
    Collection<Programmed> programmed() {
        return programmed.values();
    }

    /** The Service ports that are programmed, by their ids in the kernel maps. Safe from any thread. */
    Map<Integer, ServicePort> servicePorts() {
        Map<Integer, ServicePort> ports = new HashMap<>();
        programmed.forEach((name, programmed) ->
                ports.put(programmed.serviceId(), new ServicePort(name.service().toString(), name.port())));
        return ports;
    }

    /** What the source has told of Services. Safe from any thread. */
    Collection<Service> services() {
        return cluster.allServices();
    }

    /** What the source has told of endpoints. Safe from any thread. */
    Collection<EndpointSlice> slices() {
        return cluster.allSlices();
    }

    /** This host's addresses, loopback included, as far as they are known. Safe from any thread. */
    Set<Address> hostAddresses() {
        Set<Address> known = hostAddresses;
        return known == null ? Set.of() : known;
    }

    /** Whether everything that the source listed has been programmed once. Safe from any thread. */
    boolean reconciled() {
        return reconciled;
    }

    /** Safe from any thread. */
    Health health() {
        Instant oldest = oldestPending;
        Duration untaken = reconciled && oldest == null ? inbox.oldest() : null;
        if (untaken != null) {
            oldest = Instant.now().minus(untaken);
        }
        return new Health(lastUpdated, oldest, nodeEligible);
    }
}
