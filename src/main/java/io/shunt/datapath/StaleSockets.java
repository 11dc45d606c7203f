package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.Capability;
import io.shunt.libbpf.Errno;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.Syscalls;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends the sockets that were translated to a backend that has left: connected UDP sockets, and TCP connections if asked
 * to. Their owners get ECONNABORTED, connect again, and reach a backend that serves.
 *
 * <p>Works on a thread of its own, when {@link #request}ed. Needs Linux 6.5 and the capabilities SYS_ADMIN and
 * SYS_PTRACE, to enter the network namespaces where the sockets are; without them it is off, and {@link #state} says why.
 */
public final class StaleSockets implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(StaleSockets.class);

    /** Between two looks, so that a flood of changes leaves the CPU to others. */
    private static final long PAUSE_MILLIS = 100;

    /** A process by which a namespace was to be entered has ended; the second look finds another if there is one. */
    private static final Set<Errno> ENDED = Set.of(Errno.ENOENT, Errno.ESRCH);

    /** After the last request; by then whoever had chosen the backend just before it left has connected to it. */
    private static final long SECOND_LOOK_MILLIS = 1_000;

    /** Hears of each look, on the thread that looks. */
    @FunctionalInterface
    public interface Listener {
        /**
         * Somebody has looked for stale sockets.
         *
         * @param nanos how long it took
         * @param ended how many sockets were ended, by the family that they spoke
         */
        void looked(long nanos, Map<IpFamily, Long> ended);
    }

    private final @Nullable StalePrograms programs;
    private final NetworkNamespaces namespaces;
    private final Listener listener;
    private final String mode;
    private final Semaphore requests = new Semaphore(0);
    private final Thread thread =
            Thread.ofPlatform().name("shunt-stale").daemon().unstarted(this::run);
    /** When each TCP connection was looked for first that has not been ended yet, by {@link System#nanoTime}. */
    private final Map<StalePrograms.Connection, Long> sought = new HashMap<>();

    /**
     * TCP connections that were nowhere in all namespaces that can be entered, also when whoever was about to connect had
     * done so: not looked for any more. Most are dead, and their process keeps the socket open.
     */
    private final Set<StalePrograms.Connection> nowhere = new HashSet<>();

    private Map<IpFamily, Long> endedByFamily = Map.of();
    private volatile String trouble = "";
    private volatile Map<Protocol, Long> ended = Map.of(Protocol.UDP, 0L, Protocol.TCP, 0L);

    /** @param programs null if it is off */
    private StaleSockets(
            @Nullable StalePrograms programs, NetworkNamespaces namespaces, Listener listener, String mode) {
        this.programs = programs;
        this.namespaces = namespaces;
        this.listener = listener;
        this.mode = mode;
    }

    /**
     * Starts, with a first look for backends that left while no daemon ran.
     *
     * @param installation has to be open for as long as this is
     * @param tcp whether TCP connections are ended too
     */
    public static StaleSockets open(Installation installation, boolean tcp, Listener listener) {
        return open(
                Installation.read("/bpf/" + StalePrograms.OBJECT + ".bpf.o"),
                installation.maps(),
                tcp,
                Capability.effective(),
                new NetworkNamespaces(),
                listener);
    }

    static StaleSockets open(
            byte[] elf,
            Collection<BpfMap> maps,
            boolean tcp,
            Set<Capability> held,
            NetworkNamespaces namespaces,
            Listener listener) {
        if (!held.containsAll(Set.of(Capability.CAP_SYS_ADMIN, Capability.CAP_SYS_PTRACE))) {
            return off(namespaces, "entering network namespaces needs CAP_SYS_ADMIN and CAP_SYS_PTRACE");
        }
        try {
            StalePrograms programs = new StalePrograms(elf, maps, tcp);
            StaleSockets sockets =
                    new StaleSockets(programs, namespaces, listener, "on for UDP" + (tcp ? " and TCP" : ""));
            sockets.thread.start();
            sockets.request();
            return sockets;
        } catch (BpfException e) {
            return off(
                    namespaces,
                    "the kernel refuses the programs, which need Linux 6.5: "
                            + String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
        }
    }

    private static StaleSockets off(NetworkNamespaces namespaces, String reason) {
        log.warn("sockets connected to a backend that leaves are not ended: {}", reason);
        return new StaleSockets(null, namespaces, (nanos, ended) -> {}, "off: " + reason);
    }

    /** A backend is gone or does not serve, and the programs that might have chosen it have ended. Never waits. */
    public void request() {
        // Who waits will look at all that is gone by then, and when it is off nobody does.
        if (requests.availablePermits() == 0) {
            requests.release();
        }
    }

    /** Whether it is on, for which protocols, and what keeps it from working. Safe from any thread. */
    public String state() {
        return trouble.isEmpty() ? mode : mode + ", but " + trouble;
    }

    /** How many sockets were ended since this was opened. Safe from any thread. */
    public Map<Protocol, Long> ended() {
        return ended;
    }

    private void run() {
        try {
            while (true) {
                requests.acquire();
                do {
                    look();
                    TimeUnit.MILLISECONDS.sleep(PAUSE_MILLIS);
                } while (requests.tryAcquire(SECOND_LOOK_MILLIS, TimeUnit.MILLISECONDS));
                look();
            }
        } catch (InterruptedException closed) {
            Thread.currentThread().interrupt();
        }
    }

    private void look() {
        StalePrograms running = programs;
        if (running == null) {
            return;
        }
        String before = trouble;
        long start = System.nanoTime();
        try {
            trouble = findAndEnd(running);
            tell(running, System.nanoTime() - start);
        } catch (RuntimeException e) {
            trouble = e.toString();
        }
        if (!trouble.isEmpty() && !trouble.equals(before)) {
            log.warn("some sockets connected to a backend that has left are not ended: {}", trouble);
        }
    }

    private void tell(StalePrograms running, long nanos) {
        Map<Protocol, Long> byProtocol = new EnumMap<>(Protocol.class);
        Map<IpFamily, Long> byFamily = new EnumMap<>(IpFamily.class);
        for (Protocol protocol : ended.keySet()) {
            for (IpFamily family : IpFamily.values()) {
                long count = running.ended(protocol, family);
                byProtocol.merge(protocol, count, Long::sum);
                byFamily.merge(family, count, Long::sum);
            }
        }
        Map<IpFamily, Long> since = new EnumMap<>(byFamily);
        endedByFamily.forEach((family, count) -> since.merge(family, -count, Long::sum));
        ended = byProtocol;
        endedByFamily = byFamily;
        listener.looked(nanos, since);
    }

    /** Returns what keeps some from being ended, "" if nothing does. */
    private String findAndEnd(StalePrograms running) {
        Set<Long> withUdp = running.findUdp();
        Set<StalePrograms.Connection> tcp = running.findTcp();
        nowhere.retainAll(tcp);
        sought.keySet().retainAll(tcp);
        tcp.removeAll(nowhere);
        if (withUdp.isEmpty() && tcp.isEmpty()) {
            return unfound(0);
        }
        long now = System.nanoTime();
        Map<Long, Path> entrances = namespaces.entrances();
        Set<Long> unreached = new HashSet<>(withUdp);
        unreached.removeAll(entrances.keySet());
        if (tcp.isEmpty()) {
            entrances.keySet().retainAll(withUdp);
        }
        Pass pass = CompletableFuture.supplyAsync(
                        () -> endIn(running, entrances, withUdp),
                        task -> Thread.ofPlatform().name("shunt-namespaces").start(task))
                .join();
        if (pass.complete) {
            tcp.retainAll(running.findTcp());
            tcp.forEach(connection -> lookedFor(connection, now));
        }
        if (!pass.failure.isEmpty()) {
            return pass.failure;
        }
        if (!unreached.isEmpty()) {
            // Some may have ended meanwhile.
            unreached.retainAll(running.findUdp());
        }
        return unfound(unreached.size());
    }

    private void lookedFor(StalePrograms.Connection connection, long nanos) {
        Long first = sought.putIfAbsent(connection, nanos);
        if (first != null && nanos - first >= TimeUnit.MILLISECONDS.toNanos(SECOND_LOOK_MILLIS)) {
            sought.remove(connection);
            nowhere.add(connection);
        }
    }

    private String unfound(int namespacesWithUdp) {
        List<String> unfound = new ArrayList<>();
        if (namespacesWithUdp > 0) {
            unfound.add(namespacesWithUdp + " network namespaces where they are");
        }
        if (!nowhere.isEmpty() && !namespaces.showAllProcesses()) {
            unfound.add(nowhere.size() + " TCP connections");
        }
        return unfound.isEmpty()
                ? ""
                : String.join(" and ", unfound)
                        + " cannot be found: run shunt in the host's process namespace (hostPID), or mount the host's"
                        + " /run/netns";
    }

    /**
     * What came of entering namespaces.
     *
     * @param complete whether all were entered
     * @param failure what went wrong, "" if nothing but that some have ended
     */
    private record Pass(boolean complete, String failure) {}

    /**
     * Enters the namespaces one after the other, and never comes back: for a thread that ends then. It must not wake a
     * virtual thread from there, nor log: a thread starts in the namespace of the one that starts it, and the JVM starts
     * carriers of virtual threads where these are woken.
     */
    private static Pass endIn(StalePrograms running, Map<Long, Path> entrances, Set<Long> withUdp) {
        boolean complete = true;
        String failure = "";
        for (Map.Entry<Long, Path> entrance : entrances.entrySet()) {
            try (Fd namespace = Syscalls.open(entrance.getValue())) {
                Syscalls.enterNetworkNamespace(namespace);
                if (withUdp.contains(entrance.getKey())) {
                    running.endUdp();
                }
                running.endTcp();
            } catch (BpfException e) {
                complete = false;
                if (!ENDED.contains(e.errno())) {
                    failure = String.valueOf(e.getMessage());
                }
            }
        }
        return new Pass(complete, failure);
    }

    @Override
    public void close() {
        if (programs == null) {
            return;
        }
        thread.interrupt();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        }
        programs.close();
    }
}
