package io.shunt.host;

import io.shunt.cluster.Change;
import io.shunt.cluster.ChangeSink;
import io.shunt.libbpf.NetworkNotices;
import io.shunt.libbpf.BpfException;
import io.shunt.net.Address;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the addresses of all interfaces of the network namespace it runs in, at once and whenever they change; as what
 * the kernel says of changes may be lost, it also looks every 30 s.
 */
public final class HostAddresses implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(HostAddresses.class);
    private static final Duration STOPS_WITHIN = Duration.ofMillis(500);
    private static final long LOOK_NANOS = Duration.ofSeconds(30).toNanos();

    private final ChangeSink sink;
    private final NetworkNotices notices = new NetworkNotices();
    private final Thread thread =
            Thread.ofPlatform().name("shunt-addresses").daemon().unstarted(this::run);
    private final CountDownLatch ended = new CountDownLatch(1);
    private Set<Address> told = Set.of();
    private boolean deaf;
    private volatile boolean closed;

    /** @throws io.shunt.libbpf.BpfException if the kernel does not let it listen */
    public HostAddresses(ChangeSink sink) {
        this.sink = sink;
    }

    /** Tells what there is before it returns, and from then on what changes. */
    public void start() {
        look();
        thread.start();
    }

    private void run() {
        try {
            long lookAt = System.nanoTime() + LOOK_NANOS;
            while (!closed) {
                if (heardWithin(STOPS_WITHIN) || System.nanoTime() - lookAt >= 0) {
                    look();
                    lookAt = System.nanoTime() + LOOK_NANOS;
                }
            }
        } finally {
            ended.countDown();
        }
    }

    private boolean heardWithin(Duration time) {
        try {
            return notices.await(time);
        } catch (BpfException e) {
            if (!deaf) {
                deaf = true;
                log.error(
                        "this host's address changes are not heard of, and looked for every 30 s: {}", e.getMessage());
            }
            LockSupport.parkNanos(time.toNanos());
            return false;
        }
    }

    private void look() {
        try {
            Set<Address> now = NetworkInterface.networkInterfaces()
                    .flatMap(NetworkInterface::inetAddresses)
                    .map(address -> Address.of(address.getAddress()))
                    .collect(Collectors.toUnmodifiableSet());
            if (!now.equals(told)) {
                told = now;
                sink.accept(new Change.HostAddressesChange(now));
            }
        } catch (SocketException e) {
            log.error("this host's addresses cannot be read; node ports stay on those known: {}", e.getMessage());
        }
    }

    /** From when it returns on, nothing is told. */
    @Override
    public void close() throws InterruptedException {
        closed = true;
        if (thread.isAlive()) {
            ended.await();
        }
        notices.close();
    }
}
