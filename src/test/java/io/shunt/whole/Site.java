package io.shunt.whole;

import io.shunt.net.Protocol;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Node;
import io.shunt.testbed.Node.NodePod;
import io.shunt.testbed.Pins;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A node with pods, a directory of manifests, and place for a daemon's pins. Closing it takes it all away, the daemons
 * that were started on it first.
 */
final class Site implements AutoCloseable {
    static final int HTTP = 8080;
    static final int DNS = 5353;

    private final Closing closing = new Closing();
    private final Node node;
    private final Pins pins;
    private final Path manifests;

    Site() {
        try {
            manifests = Files.createTempDirectory("shunt-manifests");
            closing.add(() -> delete(manifests));
            node = closing.add(new Node(1));
            pins = closing.add(Pins.create("whole"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    private static void delete(Path directory) throws IOException {
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    Node node() {
        return node;
    }

    Path bpfRoot() {
        return pins.path();
    }

    Path cgroupRoot() {
        return node.cgroup().path();
    }

    Path manifests() {
        return manifests;
    }

    /** Something that has to be closed before the node is. */
    <T extends AutoCloseable> T add(T thing) {
        return closing.add(thing);
    }

    /** Pods that answer with their names, web-0 and so on: TCP at {@link #HTTP} and UDP at {@link #DNS}, v4 and v6. */
    List<NodePod> servers(int count) {
        List<NodePod> servers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            NodePod pod = node.pod("web" + i);
            for (String address : List.of(pod.v4(), pod.v6())) {
                pod.traffic().serve(Protocol.TCP, address, HTTP, "web-" + i);
                pod.traffic().serve(Protocol.UDP, address, DNS, "web-" + i);
            }
            servers.add(pod);
        }
        return servers;
    }

    /** A daemon of this site, with the manifests as its source, at ports of the kernel's choice. */
    DaemonProcess start(String... moreFlags) {
        return start(Launcher.plain(), "file:" + manifests, moreFlags);
    }

    DaemonProcess start(Launcher launcher, String source, String... moreFlags) {
        return closing.add(DaemonProcess.start(launcher, flags(source, moreFlags)));
    }

    /** What a daemon of this site needs, with maps small enough to be read again and again; a flag given counts more. */
    private List<String> flags(String source, String... moreFlags) {
        List<String> flags = new ArrayList<>(List.of(
                "--source=" + source,
                "--hostname-override=node-1",
                "--cgroup-root=" + cgroupRoot(),
                "--bpf-root=" + bpfRoot(),
                "--max-services=512",
                "--max-backends=2048",
                "--max-flows=1024",
                "--devices=none",
                "--healthz-bind-address=127.0.0.1:0",
                "--metrics-bind-address=127.0.0.1:0"));
        for (String flag : moreFlags) {
            String name = flag.substring(0, flag.indexOf('=') + 1);
            flags.removeIf(other -> other.startsWith(name));
            flags.add(flag);
        }
        return flags;
    }

    /** Runs `shunt run` of this site, which has to end by itself. */
    Launcher.Outcome run(Launcher launcher, String... moreFlags) {
        List<String> arguments = new ArrayList<>(List.of("run"));
        arguments.addAll(flags("file:" + manifests, moreFlags));
        return launcher.run(arguments.toArray(String[]::new));
    }

    /** Puts a manifest in place complete, as a careful editor does. */
    void write(String name, String... documents) {
        write(name, FileTime.from(Instant.now()), documents);
    }

    /** The same, long done: what comes to the directory by a move need not be waited for. */
    void moveIn(String name, String... documents) {
        write(name, FileTime.from(Instant.now().minusSeconds(1)), documents);
    }

    private void write(String name, FileTime time, String... documents) {
        try {
            Path draft = manifests.resolve("." + name);
            Files.writeString(draft, String.join("", documents));
            Files.setLastModifiedTime(draft, time);
            Files.move(draft, manifests.resolve(name), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    void remove(String name) {
        try {
            Files.delete(manifests.resolve(name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What the pinned maps hold now. */
    KernelTable table() {
        return KernelTable.read(bpfRoot());
    }

    @Override
    public void close() {
        closing.close();
    }
}
