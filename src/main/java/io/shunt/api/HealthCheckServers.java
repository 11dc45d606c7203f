package io.shunt.api;

import io.shunt.health.Probes;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.snapshot.HealthCheckPort;
import io.shunt.snapshot.HealthChecks;
import io.shunt.snapshot.Snapshots;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers at the Services' health check node ports. They come and go with their Services; one that cannot be listened
 * at is tried again every second. All waiting is done by virtual threads, so hundreds of them cost no thread of the
 * system.
 */
public final class HealthCheckServers implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(HealthCheckServers.class);

    private static final long RETRY_NANOS = 1_000_000_000L;
    private static final Duration CLOSES_WITHIN = Duration.ofSeconds(1);

    /** Hears which ports cannot be listened at, each time when it is tried. */
    public interface Failures {
        /**
         * It cannot be listened at.
         *
         * @param reason why, in a few words
         */
        void failed(HealthCheckPort port, String reason);

        /** It is listened at, or not wanted any more. */
        void healed(HealthCheckPort port);
    }

    /** One port of one Service, and where it is listened at. */
    private record Place(String namespace, String name, int port, Set<Address> addresses) {}

    private final Snapshots snapshots;
    private final Probes probes;
    private final Failures failures;
    private final Map<Place, HealthCheckListener> listeners = new HashMap<>();
    private final Map<Place, HealthCheckPort> failing = new HashMap<>();
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition awakened = lock.newCondition();
    private final Thread thread = Thread.ofVirtual().name("health-checks").unstarted(this::run);
    private volatile Map<Place, HealthCheckPort> wanted = Map.of();
    private boolean changed = true;
    private volatile boolean closed;

    private HealthCheckServers(Snapshots snapshots, Probes probes, Failures failures) {
        this.snapshots = snapshots;
        this.probes = probes;
        this.failures = failures;
    }

    /** Serves what {@link Snapshots#healthChecks} says until closed. */
    public static HealthCheckServers open(Snapshots snapshots, Probes probes, Failures failures) {
        HealthCheckServers servers = new HealthCheckServers(snapshots, probes, failures);
        servers.thread.start();
        return servers;
    }

    /** The health checks have changed. Safe from any thread, and returns at once. */
    public void wake() {
        lock.lock();
        try {
            changed = true;
            awakened.signal();
        } finally {
            lock.unlock();
        }
    }

    private void run() {
        try {
            while (!closed) {
                await();
                trySynchronise();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            listeners.values().forEach(HealthCheckListener::close);
        }
    }

    private void await() throws InterruptedException {
        lock.lock();
        try {
            long left = failing.isEmpty() ? Long.MAX_VALUE : RETRY_NANOS;
            while (!changed && left > 0) {
                left = awakened.awaitNanos(left);
            }
            changed = false;
        } finally {
            lock.unlock();
        }
    }

    private void trySynchronise() {
        try {
            synchronise();
        } catch (RuntimeException e) {
            log.error("the health check node ports may not be as they should be", e);
        }
    }

    /** Closes before it opens, since a port may have gone from one Service to another. */
    private void synchronise() {
        HealthChecks now = snapshots.healthChecks();
        Map<Place, HealthCheckPort> places = new HashMap<>();
        now.ports().forEach(port -> places.put(place(port, now.addresses()), port));
        wanted = places;
        Set<Place> obsolete = new HashSet<>(listeners.keySet());
        obsolete.removeAll(places.keySet());
        obsolete.forEach(place -> close(listeners.remove(place)));
        Set<Place> givenUp = new HashSet<>(failing.keySet());
        givenUp.removeAll(places.keySet());
        givenUp.forEach(this::heal);
        places.forEach((place, port) -> {
            if (!listeners.containsKey(place)) {
                listen(place, port);
            }
        });
    }

    private static Place place(HealthCheckPort port, Set<Address> addresses) {
        return new Place(
                port.namespace(),
                port.name(),
                port.port(),
                addresses.stream()
                        .filter(address -> port.localEndpoints().containsKey(address.family()))
                        .collect(Collectors.toUnmodifiableSet()));
    }

    private static void close(@Nullable HealthCheckListener listener) {
        if (listener != null) {
            listener.close();
        }
    }

    private void heal(Place place) {
        HealthCheckPort port = failing.remove(place);
        if (port != null) {
            failures.healed(port);
        }
    }

    private void listen(Place place, HealthCheckPort port) {
        try {
            listeners.put(
                    place, HealthCheckListener.open(place.addresses, place.port, family -> answer(place, family)));
            heal(place);
        } catch (IOException | RuntimeException e) {
            failing.put(place, port);
            failures.failed(port, String.valueOf(e.getMessage()));
        }
    }

    private Probes.@Nullable ServiceAnswer answer(Place place, IpFamily family) {
        HealthCheckPort port = wanted.get(place);
        return port == null ? null : probes.service(port, family);
    }

    /** Stops listening. */
    @Override
    public void close() {
        closed = true;
        wake();
        try {
            thread.join(CLOSES_WITHIN);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
