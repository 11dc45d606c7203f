package io.shunt.datapath;

import io.shunt.table.VirtualService;
import io.shunt.testbed.Cgroup;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Pins;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Place for installations on the real kernel, and the control thread that writes them. */
final class Ground implements AutoCloseable {
    static final MapSizes SIZES = new MapSizes(256, 1024, 1024);
    /** Masquerading by 28,976 ports, and nobody is told from pods. */
    static final PacketSettings PACKETS = new PacketSettings(1024, 28_976, false, false, List.of(), true);

    private final Closing closing = new Closing();
    private final Cgroup cgroup;
    private final Pins pins;
    private final ScheduledExecutorService control;

    Ground() {
        try {
            cgroup = closing.add(Cgroup.create("ground"));
            pins = closing.add(Pins.create("ground"));
            control = Executors.newSingleThreadScheduledExecutor();
            closing.add(() -> {
                control.shutdownNow();
                control.awaitTermination(10, TimeUnit.SECONDS);
            });
        } catch (RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    <T extends AutoCloseable> T add(T thing) {
        return closing.add(thing);
    }

    Cgroup cgroup() {
        return cgroup;
    }

    Pins pins() {
        return pins;
    }

    /** Installs with small maps. The installation is the caller's to close. */
    Installation install() {
        return install(SIZES);
    }

    Installation install(MapSizes sizes) {
        return Installation.open(pins.path(), cgroup.path(), sizes, false, PACKETS, control);
    }

    /** Installs for a node that is the network namespace with that cookie. */
    Installation install(Settings settings) {
        return Installation.open(pins.path(), cgroup.path(), SIZES, settings, PACKETS, control);
    }

    Installation install(MapSizes sizes, Settings settings, PacketSettings packets) {
        return Installation.open(pins.path(), cgroup.path(), sizes, settings, packets, control);
    }

    /** Runs tasks on the control thread. */
    ScheduledExecutorService control() {
        return control;
    }

    <T> T onControl(Callable<T> task) {
        try {
            return control.submit(task).get(30, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** Programs one virtual service, or throws what went wrong; returns its id. */
    int put(Installation installation, VirtualService service) {
        return onControl(() -> {
            Datapath.Outcome outcome =
                    installation.datapath().put(List.of(service), Set.of()).getFirst();
            if (outcome.failure() != null) {
                throw outcome.failure();
            }
            return outcome.serviceId();
        });
    }

    void remove(Installation installation, String name) {
        onControl(() -> installation.datapath().put(List.of(), Set.of(name)));
    }

    @Override
    public void close() {
        closing.close();
    }
}
