package io.shunt.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.cluster.Change;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.Syscalls;
import io.shunt.net.Address;
import io.shunt.testbed.Namespace;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * In a namespace of its own, which only threads are in, not the process: so its IPv6 addresses, which the JDK reads of the
 * process, cannot be seen here.
 */
@Tag("kernel")
class HostAddressesTest {
    private static final Address LOOPBACK = Address.of("127.0.0.1");

    private final AtomicReference<Set<Address>> told = new AtomicReference<>(Set.of());

    private static <T> T inside(Namespace namespace, Callable<T> call) throws Exception {
        FutureTask<T> task = new FutureTask<>(() -> {
            try (Fd fd = Syscalls.open(namespace.path())) {
                Syscalls.enterNetworkNamespace(fd);
            }
            return call.call();
        });
        Thread.ofPlatform().start(task);
        return task.get();
    }

    private Set<Address> v4() {
        return told.get().stream().filter(Address::isV4).collect(Collectors.toSet());
    }

    @Test
    void addresses_areToldAtOnceAndWheneverTheyChange() throws Exception {
        try (Namespace namespace = Namespace.create("addresses");
                HostAddresses addresses = inside(namespace, () -> {
                    HostAddresses started =
                            new HostAddresses(change -> told.set(((Change.HostAddressesChange) change).addresses()));
                    started.start();
                    return started;
                })) {
            assertThat(v4()).containsExactly(LOOPBACK);

            namespace.address("lo", "192.0.2.1/32");

            // Within less than the 30 s after which it would look anyway.
            await().atMost(Duration.ofSeconds(10))
                    .untilAsserted(() -> assertThat(v4()).containsExactlyInAnyOrder(LOOPBACK, Address.of("192.0.2.1")));

            namespace.ip("address", "del", "192.0.2.1/32", "dev", "lo");

            await().atMost(Duration.ofSeconds(10))
                    .untilAsserted(() -> assertThat(v4()).containsExactly(LOOPBACK));
        }
    }
}
