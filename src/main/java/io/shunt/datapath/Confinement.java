package io.shunt.datapath;

import io.shunt.libbpf.Capability;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** What may forbid a process what its capabilities allow. */
final class Confinement {
    private static final Path SELF = Path.of("/proc/self");
    private static final Path DOMAIN = SELF.resolve("attr/current");

    private Confinement() {}

    /** Whether all is there that programs are loaded and attached with. */
    static boolean hasCapabilities() {
        Set<Capability> held = Capability.effective();
        return held.contains(Capability.CAP_SYS_ADMIN)
                || held.containsAll(Set.of(Capability.CAP_BPF, Capability.CAP_NET_ADMIN, Capability.CAP_PERFMON));
    }

    static boolean isRoot() {
        try {
            return Files.getAttribute(SELF, "unix:uid").equals(0);
        } catch (IOException e) {
            return false;
        }
    }

    /** For people, who were refused although {@link #hasCapabilities}: who may have done it, and the cure. */
    static String cure() {
        return "the rights are there, so something beside them forbids it: AppArmor or SELinux" + domain()
                + " (give the container appArmorProfile Unconfined, or the SELinux type spc_t), seccomp (seccompProfile"
                + " Unconfined), a user namespace (run it in the host's), or lockdown"
                + " (/sys/kernel/security/lockdown); the kernel's log says which (journalctl -k)";
    }

    /** The security modules' word for this process; "" without one. */
    private static String domain() {
        try {
            String domain = Files.readString(DOMAIN).replace("\0", "").strip();
            return domain.isEmpty() ? "" : ", by which this process is \"" + domain + '"';
        } catch (IOException e) {
            return "";
        }
    }
}
