package io.shunt.daemon;

import io.shunt.datapath.DeviceHooks;
import io.shunt.datapath.InstallationException;
import io.shunt.datapath.PacketPrograms;
import io.shunt.host.NodeDevices;
import io.shunt.libbpf.BpfException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the packet programs at the node's devices. It is told of all devices at each look at the network, changed or not,
 * so what could not be done and what others have undone is tried again then. Told by one thread at a time; the rest is
 * safe from any.
 */
final class PacketPath implements Consumer<NodeDevices.Found> {
    private static final Logger log = LoggerFactory.getLogger(PacketPath.class);

    private static final String NARROW_TUNNEL =
            "direct server return: the MTU of the way to another node is too small for"
                    + " packets within others, which takes 1,320 bytes for IPv6 and 596 for IPv4; clients are masqueraded instead:"
                    + " raise it, or say --forwarding=snat";

    private final PacketPrograms programs;
    private final RecentErrors errors;
    private final AtomicLong failures = new AtomicLong();
    private volatile boolean areWanted;
    private volatile List<String> unmatched = List.of();
    private volatile String trouble = "";
    private long narrowTunnels;

    PacketPath(PacketPrograms programs, RecentErrors errors) {
        this.programs = programs;
        this.errors = errors;
        narrowTunnels = programs.narrowTunnels();
        if (!programs.notAccelerated().isEmpty()) {
            failures.incrementAndGet();
            errors.add("devices", programs.notAccelerated());
        }
    }

    @Override
    public void accept(NodeDevices.Found found) {
        if (!found.unmatched().equals(unmatched)) {
            unmatched = found.unmatched();
            unmatched.forEach(name -> log.warn(
                    "--devices: no device that is up is called {}; the programs go there when one comes", name));
        }
        areWanted = !found.devices().isEmpty();
        if (!refusal().isEmpty() && errors.add("devices", refusal())) {
            failures.incrementAndGet();
            log.error(refusal());
        }
        try {
            programs.follow(found.devices().stream().map(PacketPath::device).toList(), found.sources());
            trouble = "";
        } catch (BpfException | InstallationException | UncheckedIOException e) {
            trouble = "the packet programs cannot follow the node's devices: " + e.getMessage()
                    + "; tried again within 30 s";
            failures.incrementAndGet();
            if (errors.add("devices", trouble)) {
                log.error(trouble);
            }
        }
        lookAtTunnels();
        for (DeviceHooks.Failure failure : programs.failures()) {
            failures.incrementAndGet();
            errors.add("device " + failure.device(), failure.hook() + ": " + failure.message());
        }
    }

    private void lookAtTunnels() {
        long now = programs.narrowTunnels();
        if (now > narrowTunnels && errors.add("forwarding", NARROW_TUNNEL)) {
            log.warn(NARROW_TUNNEL);
        }
        narrowTunnels = now;
    }

    private static PacketPrograms.Device device(NodeDevices.Device device) {
        return new PacketPrograms.Device(
                device.index(), device.name(), device.role() == NodeDevices.Role.PODS, device.isEthernet());
    }

    /** Why packets are not translated at any device, for people to read; "" if they are, or no device is there for that. */
    String refusal() {
        return programs.refusal().isEmpty() || !areWanted
                ? ""
                : "clients from elsewhere and pods with kernels of their own are not served, sockets are: the kernel refuses"
                        + " the packet programs (" + programs.refusal() + "). Run a newer kernel, or do without them by"
                        + " --devices=none";
    }

    /** Why nobody from elsewhere should be sent here, for people to read; "" if there is no reason. */
    String obstacle() {
        return programs.sitNowhere() ? refusal() : "";
    }

    /** What was named as a device and is none that is up. */
    List<String> unmatched() {
        return unmatched;
    }

    /** How often something could not be done. */
    long failures() {
        return failures.get();
    }

    /** Where programs are to sit, and whether they do, asked from the kernel now. */
    List<DeviceHooks.Attachment> attachments() {
        return programs.attachments();
    }

    /** What is wrong now, one line each. */
    List<String> complaints(List<DeviceHooks.Attachment> attachments) {
        List<String> complaints = new ArrayList<>();
        if (!refusal().isEmpty()) {
            complaints.add(refusal());
        }
        if (!trouble.isEmpty()) {
            complaints.add(trouble);
        }
        if (!programs.notAccelerated().isEmpty()) {
            complaints.add(programs.notAccelerated());
        }
        Set<List<String>> failed = new HashSet<>();
        for (DeviceHooks.Failure failure : programs.failures()) {
            failed.add(List.of(failure.device(), failure.hook()));
            complaints.add("program " + failure.hook() + " at device " + failure.device() + ": " + failure.message()
                    + "; tried again within 30 s");
        }
        attachments.stream()
                .filter(each -> !each.isInForce()
                        && !failed.contains(List.of(each.device(), each.hook().program())))
                .forEach(each -> complaints.add("program " + each.hook().program() + " has been taken from device "
                        + each.device() + "; it is put back within 30 s"));
        return complaints;
    }
}
