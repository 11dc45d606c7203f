package io.shunt.host;

import io.shunt.cluster.Change;
import io.shunt.cluster.ChangeSink;
import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.NetworkNotices;
import io.shunt.libbpf.Rtnetlink;
import io.shunt.libbpf.Rtnetlink.LinkAddress;
import io.shunt.net.Address;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the addresses and the devices of the network namespace it runs in, at once and whenever they change, but looks
 * no more than ten times a second; as what the kernel says of changes may be lost, it also looks every 30 s. Addresses are
 * told if they have changed, devices whenever it looks, so that who works on them can mend what others have done to them.
 */
public final class HostNetwork implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(HostNetwork.class);
    private static final Duration STOPS_WITHIN = Duration.ofMillis(500);
    private static final long REST_NANOS = Duration.ofMillis(100).toNanos();
    private static final int REST_FOLD = 9;
    private static final long LOOK_NANOS = Duration.ofSeconds(30).toNanos();

    private final NodeDevices devices;
    private final ChangeSink addressSink;
    private final Consumer<NodeDevices.Found> deviceSink;
    private final NetworkNotices notices = new NetworkNotices();
    private final Rtnetlink kernel;
    private final Thread thread =
            Thread.ofPlatform().name("shunt-network").daemon().unstarted(this::run);
    private final CountDownLatch closing = new CountDownLatch(1);
    private final CountDownLatch ended = new CountDownLatch(1);
    private Set<Address> toldAddresses = Set.of();
    private boolean deaf;
    private boolean blind;

    /**
     * Prepares to tell, on a thread of its own.
     *
     * @param addressSink hears of {@link Change.HostAddressesChange}s
     * @param devices says which of the devices those are that count
     * @param deviceSink hears of all of them at every look, whether or not anything has changed; must not throw
     * @throws BpfException if the kernel does not let it listen
     */
    public HostNetwork(ChangeSink addressSink, NodeDevices devices, Consumer<NodeDevices.Found> deviceSink) {
        this.addressSink = addressSink;
        this.devices = devices;
        this.deviceSink = deviceSink;
        try {
            this.kernel = new Rtnetlink();
        } catch (BpfException e) {
            notices.close();
            throw e;
        }
    }

    /** Tells what there is before it returns, and from then on what changes. */
    public void start() {
        look();
        thread.start();
    }

    private void run() {
        try {
            long lookAt = System.nanoTime() + LOOK_NANOS;
            while (!closing.await(0, TimeUnit.NANOSECONDS)) {
                if (heardWithin(STOPS_WITHIN) || System.nanoTime() - lookAt >= 0) {
                    long began = System.nanoTime();
                    look();
                    long finished = System.nanoTime();
                    lookAt = finished + LOOK_NANOS;
                    // Changes come in swarms; all that ring meanwhile are seen by one look. On a router with a
                    // million routes a look takes long, and has to be rare.
                    closing.await(Math.max(REST_NANOS, REST_FOLD * (finished - began)), TimeUnit.NANOSECONDS);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
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
                        "changes of this host's addresses and devices are not heard of, and looked for every 30 s: {}",
                        e.getMessage());
            }
            LockSupport.parkNanos(time.toNanos());
            return false;
        }
    }

    private void look() {
        try {
            List<LinkAddress> addresses = kernel.addresses();
            Set<Address> now = addresses.stream()
                    .map(address -> Address.of(address.address().getAddress()))
                    .collect(Collectors.toUnmodifiableSet());
            if (!now.equals(toldAddresses)) {
                toldAddresses = now;
                addressSink.accept(new Change.HostAddressesChange(now));
            }
            deviceSink.accept(devices.among(kernel.links(), addresses, kernel.routes(NodeDevices::isTelling)));
            blind = false;
        } catch (BpfException e) {
            if (!blind) {
                blind = true;
                log.error(
                        "this host's addresses and devices cannot be read; node ports stay on those known: {}",
                        e.getMessage());
            }
        }
    }

    /** From when it returns on, nothing is told. */
    @Override
    public void close() throws InterruptedException {
        closing.countDown();
        if (thread.isAlive()) {
            ended.await();
        }
        kernel.close();
        notices.close();
    }
}
