package io.shunt.cli;

import io.shunt.api.HostPort;
import io.shunt.daemon.RunOptions;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.ToIntFunction;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "run",
        description = {
            "Runs the daemon in the foreground.",
            "It stops on SIGTERM or SIGINT. Traffic goes on then, with what is programmed; `shunt cleanup` ends that."
        },
        optionListHeading = "%nOptions:%n",
        sortOptions = false,
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:stopped when told to",
            "1:could not start, or failed",
            "2:a flag, environment variable or file is wrong"
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt run                                     in a pod, with its service account",
            "  shunt run --kubeconfig /etc/shunt/config      on a node, with a kubeconfig",
            "  shunt run --source file:/etc/shunt/services   without Kubernetes, from manifests",
        })
final class RunCommand implements Callable<Integer> {
    static final int DEFAULT_HEALTHZ_PORT = 10256;
    static final int DEFAULT_METRICS_PORT = 10249;

    private static final int MAX_SERVICES = 1 << 20;
    private static final int MAX_BACKENDS = 1 << 22;
    private static final Path HOSTNAME = Path.of("/proc/sys/kernel/hostname");
    private static final Path MOUNTS = Path.of("/proc/self/mounts");
    private static final Pattern NODE_NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?");
    private static final String FILE = "file:";

    private final ToIntFunction<RunOptions> daemon;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Option(
            names = "--source",
            paramLabel = "SOURCE",
            defaultValue = "kubernetes",
            description =
                    "Where Services come from: `kubernetes`, the API server; or `file:DIR`, a directory of Service"
                            + " and EndpointSlice manifests (.yaml, .yml, .json), which is watched.")
    @Setting(environment = "SHUNT_SOURCE")
    private String source = "";

    @Option(names = "--kubeconfig", paramLabel = "FILE", description = "How to reach the API server.")
    @Setting(environment = "KUBECONFIG", otherwise = "the pod's service account")
    private @Nullable Path kubeconfig;

    @Option(
            names = "--hostname-override",
            paramLabel = "NAME",
            description = "This node's name, as its Node object is called.")
    @Setting(environment = "NODE_NAME", otherwise = "the host's name, in lower case")
    private @Nullable String hostnameOverride;

    @Option(
            names = "--cgroup-root",
            paramLabel = "DIR",
            description = "The cgroup2 directory whose sockets are served, with all below it.")
    @Setting(environment = "SHUNT_CGROUP_ROOT", otherwise = "where cgroup2 is mounted")
    private @Nullable Path cgroupRoot;

    @Mixin
    private BpfRootOption bpfRoot = new BpfRootOption();

    @Option(
            names = "--max-services",
            paramLabel = "COUNT",
            defaultValue = "65536",
            description =
                    "How many Service ports, counted for each IP family, the maps hold: 1 to " + MAX_SERVICES + ".")
    @Setting(environment = "SHUNT_MAX_SERVICES")
    private int maxServices;

    @Option(
            names = "--max-backends",
            paramLabel = "COUNT",
            defaultValue = "262144",
            description = "How many backends, of all Service ports together, the maps hold: 1 to " + MAX_BACKENDS + ".")
    @Setting(environment = "SHUNT_MAX_BACKENDS")
    private int maxBackends;

    @Option(
            names = "--healthz-bind-address",
            paramLabel = "IP:PORT",
            defaultValue = "0.0.0.0:10256",
            description = "Where /healthz, /livez and /readyz are served; IPv6 as [::1]:10256, port 0 for any free one."
                    + " 0.0.0.0 takes both families.")
    @Setting(environment = "SHUNT_HEALTHZ_BIND_ADDRESS")
    private String healthzBindAddress = "";

    @Option(
            names = "--metrics-bind-address",
            paramLabel = "IP:PORT",
            defaultValue = "127.0.0.1:10249",
            description = "Where /metrics and /api/v1 are served, which `shunt status` and `shunt service` read.")
    @Setting(environment = "SHUNT_METRICS_BIND_ADDRESS")
    private String metricsBindAddress = "";

    RunCommand(ToIntFunction<RunOptions> daemon) {
        this.daemon = daemon;
    }

    @Override
    public Integer call() throws IOException {
        boolean kubernetes = source.equals("kubernetes");
        if (!kubernetes) {
            checkDirectory();
        }
        RunOptions options = new RunOptions(
                source,
                kubernetes ? readableKubeconfig() : null,
                nodeName(),
                cgroup2(),
                bpfRoot.directory(),
                within("--max-services", maxServices, MAX_SERVICES),
                within("--max-backends", maxBackends, MAX_BACKENDS),
                address("--healthz-bind-address", healthzBindAddress, DEFAULT_HEALTHZ_PORT),
                address("--metrics-bind-address", metricsBindAddress, DEFAULT_METRICS_PORT));
        InetSocketAddress healthz = options.healthzBindAddress();
        if (healthz.getPort() != 0 && healthz.equals(options.metricsBindAddress())) {
            throw wrong("--healthz-bind-address and --metrics-bind-address are both " + HostPort.format(healthz)
                    + ": give two ports");
        }
        return daemon.applyAsInt(options);
    }

    private void checkDirectory() {
        String directory = source.startsWith(FILE) ? source.substring(FILE.length()) : "";
        if (directory.isEmpty()) {
            throw wrong("--source must be kubernetes or file:DIR, not " + quoted(source));
        }
        if (!Files.isDirectory(Path.of(directory))) {
            throw wrong("--source " + source + ": there is no such directory; make it, or give another");
        }
    }

    private @Nullable Path readableKubeconfig() {
        if (kubeconfig == null) {
            return null;
        }
        if (!Files.isRegularFile(kubeconfig) && kubeconfig.toString().indexOf(':') >= 0) {
            throw wrong("--kubeconfig (or KUBECONFIG) " + kubeconfig + " names several files; give one");
        }
        if (!Files.isRegularFile(kubeconfig) || !Files.isReadable(kubeconfig)) {
            throw wrong("--kubeconfig (or KUBECONFIG) " + kubeconfig + " is not a file that can be read; give one, or"
                    + " leave it out to use the pod's service account");
        }
        return kubeconfig;
    }

    /** As kube-proxy makes it: the override or the host's name, trimmed and in lower case. */
    private String nodeName() throws IOException {
        String given = hostnameOverride == null ? Files.readString(HOSTNAME) : hostnameOverride;
        String name = given.strip().toLowerCase(Locale.ROOT);
        if (!NODE_NAME.matcher(name).matches()) {
            throw wrong("--hostname-override (or NODE_NAME) must be a node's name (letters, digits, '-' and '.'), not "
                    + quoted(name));
        }
        return name;
    }

    private Path cgroup2() throws IOException {
        if (cgroupRoot == null) {
            return new MountTable(MOUNTS)
                    .cgroup2()
                    .orElseThrow(() -> wrong("no cgroup2 file system is mounted: mount one (mount -t cgroup2 none"
                            + " /sys/fs/cgroup), or give --cgroup-root"));
        }
        // Only cgroup2 has it, and in every directory.
        if (!Files.exists(cgroupRoot.resolve("cgroup.controllers"))) {
            throw wrong("--cgroup-root " + cgroupRoot + " is not a cgroup2 directory: give one, or leave it out to use"
                    + " where cgroup2 is mounted");
        }
        return cgroupRoot;
    }

    private int within(String flag, int value, int most) {
        if (value < 1 || value > most) {
            throw wrong(flag + " must be 1 to " + most + ", not " + value);
        }
        return value;
    }

    private InetSocketAddress address(String flag, String text, int defaultPort) {
        return HostPort.parse(text, defaultPort)
                .orElseThrow(() -> wrong(flag + " must be an address and port, as 127.0.0.1:" + defaultPort
                        + " or [::1]:" + defaultPort + ", not " + quoted(text)));
    }

    private static String quoted(String text) {
        return '"' + text + '"';
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
