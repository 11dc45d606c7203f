package io.shunt.testbed;

import io.shunt.libbpf.Capability;
import io.shunt.libbpf.Fd;
import io.shunt.libbpf.Syscalls;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;

/** A network namespace of a test's own. Only its loopback is up, and nothing leads out of it until it is linked. */
public final class Namespace implements AutoCloseable {
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final String name;

    private Namespace(String name) {
        this.name = name;
    }

    /**
     * Makes one.
     *
     * @param hint what it is, for whoever looks at `ip netns`
     * @throws IllegalStateException without the rights to make one
     */
    public static Namespace create(String hint) {
        if (!Capability.effective().containsAll(Set.of(Capability.CAP_NET_ADMIN, Capability.CAP_SYS_ADMIN))) {
            throw new IllegalStateException("this test makes network namespaces and cgroups: run it as root");
        }
        Namespace namespace = new Namespace("shunt-" + hint + "-" + unique());
        Command.run("ip", "netns", "add", namespace.name);
        try {
            namespace.ip("link", "set", "lo", "up");
            // Until its link-local address is known to be nobody else's, a device does not look for neighbours.
            namespace.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0");
        } catch (RuntimeException e) {
            namespace.close();
            throw e;
        }
        return namespace;
    }

    /** Part of a name that no other test on this machine uses. */
    static String unique() {
        return ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet();
    }

    public String name() {
        return name;
    }

    /** What `nsenter --net=` takes. */
    public Path path() {
        return Path.of("/run/netns", name);
    }

    /** Runs `ip` on this namespace. */
    public List<String> ip(String... arguments) {
        List<String> command = new ArrayList<>(List.of("ip", "-n", name));
        command.addAll(List.of(arguments));
        return Command.run(command.toArray(String[]::new));
    }

    /** Runs a command inside, with this process's own mounts and cgroup, and returns the lines it printed. */
    public List<String> run(String... command) {
        return Command.run(inside(command));
    }

    /** Calls on a thread of its own inside, which never comes back from there; so do the threads that it starts. */
    public <T> T call(Callable<T> call) {
        FutureTask<T> task = new FutureTask<>(() -> {
            try (Fd fd = Syscalls.open(path())) {
                Syscalls.enterNetworkNamespace(fd);
            }
            return call.call();
        });
        Thread.ofPlatform().start(task);
        try {
            return task.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** The index of a device. */
    public int index(String device) {
        // Before it may stand a complaint about the namespace of the device's peer.
        return Integer.parseInt(
                ip("-o", "link", "show", "dev", device).getLast().split(":")[0]);
    }

    private String[] inside(String... command) {
        List<String> entered = new ArrayList<>(List.of("nsenter", "--net=" + path()));
        entered.addAll(List.of(command));
        return entered.toArray(String[]::new);
    }

    /** Gives a device an address, such as 10.0.0.1/24, that can be used at once: nobody looks for duplicates. */
    public void address(String device, String address) {
        if (address.indexOf(':') >= 0) {
            ip("address", "add", address, "dev", device, "nodad");
        } else {
            ip("address", "add", address, "dev", device);
        }
    }

    /** Joins two namespaces by a pair of devices, both up and without addresses. */
    public void link(String device, Namespace peer, String peerDevice) {
        ip("link", "add", device, "type", "veth", "peer", "name", peerDevice, "netns", peer.name);
        ip("link", "set", device, "up");
        peer.ip("link", "set", peerDevice, "up");
    }

    /** Removes it; it is gone when the last process in it is. */
    @Override
    public void close() {
        Command.run("ip", "netns", "delete", name);
    }

    @Override
    public String toString() {
        return name;
    }
}
