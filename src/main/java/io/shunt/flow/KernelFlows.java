package io.shunt.flow;

import io.shunt.datapath.DropEvents;
import io.shunt.datapath.DropEvents.Ends;
import io.shunt.datapath.DropEvents.Event;
import io.shunt.datapath.FlowTable;
import io.shunt.datapath.Installation;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Conversations and drops as the kernel tells of them. While somebody asks for drops, a thread reads them, names them and
 * keeps the last ones; a minute after the last question it ends, and the kernel tells of none.
 */
public final class KernelFlows implements Flows, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(KernelFlows.class);

    /** On one node: more than people can read, and too few to cost anything. */
    static final int MOST_A_SECOND = 1_000;

    private static final int MOST_KEPT = 1_000;
    private static final long SECOND_NANOS = 1_000_000_000L;
    private static final long NANOS_PER_MILLI = 1_000_000;

    /** After which the thread looks whether it is still wanted. */
    private static final long MOST_WAIT_NANOS = 200 * NANOS_PER_MILLI;

    /** In which what comes together is named together. */
    private static final long GATHER_NANOS = 50 * NANOS_PER_MILLI;

    /** For how long drops are told after somebody has asked. */
    public static final Duration WATCH = Duration.ofMinutes(1);

    private final Installation installation;
    private final Names names;
    private final Supplier<Map<Integer, ServicePort>> services;
    private final Duration watchedFor;
    private final DropLog drops = new DropLog(MOST_KEPT);

    /** {@link System#nanoTime} until when somebody wants to know. */
    private long watchedUntil;

    private @Nullable Thread watch;
    private Instant since = Instant.EPOCH;
    private volatile boolean closed;

    /**
     * @param installation to be closed after this
     * @param services by their ids in the kernel maps, as they are now; called from any thread
     * @param watchedFor as {@link #WATCH}
     */
    public KernelFlows(
            Installation installation, Names names, Supplier<Map<Integer, ServicePort>> services, Duration watchedFor) {
        this.installation = installation;
        this.names = names;
        this.services = services;
        this.watchedFor = watchedFor;
    }

    @Override
    public synchronized Instant watch() {
        watchedUntil = System.nanoTime() + watchedFor.toNanos();
        if (watch == null && !closed) {
            since = Instant.now();
            watch = Thread.ofPlatform().name("shunt-drops").daemon().start(this::readDrops);
        }
        return since;
    }

    private synchronized boolean isWatched() {
        return !closed && System.nanoTime() - watchedUntil < 0;
    }

    /** Whoever asks from now on finds no thread, and starts one. */
    private synchronized boolean ends() {
        if (isWatched()) {
            return false;
        }
        watch = null;
        return true;
    }

    private void readDrops() {
        do {
            List<Event> read = new ArrayList<>();
            try (DropEvents events = installation.openDropEvents(read::add)) {
                while (isWatched()) {
                    events.grant(MOST_A_SECOND);
                    readFor(SECOND_NANOS, events, read);
                }
            } catch (RuntimeException e) {
                // Whatever it is: a thread that is gone and not said to be would never be started again.
                log.error("drops cannot be told; tried again when somebody asks", e);
                giveUp();
            }
        } while (!ends());
    }

    private synchronized void giveUp() {
        watchedUntil = System.nanoTime();
    }

    private void readFor(long nanos, DropEvents events, List<Event> read) {
        long end = System.nanoTime() + nanos;
        for (long left = nanos; left > 0 && !closed; left = end - System.nanoTime()) {
            events.poll((int) (Math.min(left, MOST_WAIT_NANOS) / NANOS_PER_MILLI) + 1);
            if (!read.isEmpty()) {
                drops.append(named(read));
                read.clear();
                LockSupport.parkNanos(GATHER_NANOS);
            }
        }
    }

    private List<Drop> named(List<Event> events) {
        Set<Address> addresses = new HashSet<>();
        events.forEach(event -> add(event.ends(), addresses));
        Map<Address, String> known = names.of(addresses);
        Map<Integer, ServicePort> ports = services.get();
        Map<Integer, String> devices = new HashMap<>();
        Instant now = Instant.now();
        long nanoTime = System.nanoTime();
        return events.stream()
                .map(event -> {
                    Ends ends = event.ends();
                    ServicePort port = ports.getOrDefault(event.serviceId(), ServicePort.UNKNOWN);
                    boolean unbound = event.device() == 0 && ends.source().isUnspecified();
                    return new Drop(
                            0,
                            now.minusNanos(nanoTime - event.nanoTime()),
                            protocol(ends),
                            text(ends.source(), ends.sourcePort()),
                            unbound ? "a socket of this node" : known.getOrDefault(ends.source(), ""),
                            text(ends.destination(), ends.destinationPort()),
                            known.getOrDefault(ends.destination(), ""),
                            port.service(),
                            port.port(),
                            event.reason(),
                            event.direction(),
                            devices.computeIfAbsent(event.device(), KernelFlows::device),
                            event.isLast());
                })
                .toList();
    }

    private static void add(Ends ends, Set<Address> addresses) {
        addresses.add(ends.source());
        addresses.add(ends.destination());
    }

    private static String protocol(Ends ends) {
        return Protocol.ofNumber(ends.protocol()).map(Protocol::name).orElse(String.valueOf(ends.protocol()));
    }

    private static String text(Address address, int port) {
        if (port == 0) {
            return address.toString();
        }
        return (address.isV4() ? address : "[" + address + "]") + ":" + port;
    }

    private static String device(int index) {
        if (index == 0) {
            return "";
        }
        try {
            NetworkInterface device = NetworkInterface.getByIndex(index);
            return device == null ? String.valueOf(index) : device.getName();
        } catch (SocketException e) {
            return String.valueOf(index);
        }
    }

    @Override
    public Page drops(long after, Duration wait) throws InterruptedException {
        watch();
        return drops.after(after, wait);
    }

    @Override
    public List<Flow> flows(String service, int most) {
        Map<Integer, ServicePort> ports = services.get();
        List<FlowTable.Flow> found = new ArrayList<>();
        installation.flowTable().forEachUntil(flow -> {
            if (service.isEmpty() || port(ports, flow).service().equals(service)) {
                found.add(flow);
            }
            return found.size() >= most;
        });
        Set<Address> addresses = new HashSet<>();
        found.forEach(flow -> {
            add(flow.asked(), addresses);
            add(flow.sent(), addresses);
        });
        Map<Address, String> known = names.of(addresses);
        return found.stream()
                .map(flow -> {
                    Ends asked = flow.asked();
                    Ends sent = flow.sent();
                    ServicePort port = port(ports, flow);
                    return new Flow(
                            protocol(asked),
                            text(asked.source(), asked.sourcePort()),
                            known.getOrDefault(asked.source(), ""),
                            text(asked.destination(), asked.destinationPort()),
                            port.service(),
                            port.port(),
                            text(sent.source(), sent.sourcePort()),
                            text(sent.destination(), sent.destinationPort()),
                            known.getOrDefault(sent.destination(), ""),
                            flow.state(),
                            flow.silentSeconds());
                })
                .toList();
    }

    private static ServicePort port(Map<Integer, ServicePort> ports, FlowTable.Flow flow) {
        return ports.getOrDefault(flow.serviceId(), ServicePort.UNKNOWN);
    }

    /** Waits for the thread that reads, which takes a fraction of a second. */
    @Override
    public void close() {
        Thread reader;
        synchronized (this) {
            closed = true;
            reader = watch;
        }
        if (reader != null) {
            try {
                reader.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
