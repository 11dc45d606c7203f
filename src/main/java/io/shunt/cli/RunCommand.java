package io.shunt.cli;

import io.shunt.cluster.Algorithm;
import io.shunt.cluster.Forwarding;
import io.shunt.config.ConfigFile;
import io.shunt.config.ConfigurationException;
import io.shunt.config.KubeProxyConfiguration;
import io.shunt.config.KubeProxySetting;
import io.shunt.config.KubeProxySettings;
import io.shunt.daemon.RunOptions;
import io.shunt.daemon.StartupException;
import io.shunt.datapath.Acceleration;
import io.shunt.datapath.FlowTimeouts;
import io.shunt.libbpf.Cpus;
import io.shunt.net.Address;
import io.shunt.net.HostPort;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.ToIntFunction;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
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
            "  shunt run --config /etc/kube-proxy.conf       on a node, with kube-proxy's configuration",
            "  shunt run --source file:/etc/shunt/services   without Kubernetes, from manifests",
        })
final class RunCommand implements Callable<Integer> {
    private static final int MAX_SERVICES = 1 << 20;
    private static final int MAX_BACKENDS = 1 << 22;
    private static final int MAX_FLOWS = 1 << 23;
    private static final int LEAST_TABLE = 251;
    private static final int MOST_TABLE = 131_071;
    /** 2 GiB of them. */
    private static final int MAX_TABLE_SLOTS = 1 << 28;

    private static final Path HOSTNAME = Path.of("/proc/sys/kernel/hostname");
    private static final Path MOUNTS = Path.of("/proc/self/mounts");
    private static final Pattern NODE_NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?");
    private static final String FILE = "file:";

    private final Map<String, String> environment;
    private final ToIntFunction<RunOptions> daemon;
    private final PinnedState pinned;

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

    @Option(
            names = "--config",
            paramLabel = "FILE",
            description = "A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1, YAML or JSON). As with"
                    + " kube-proxy, beside it only these of kube-proxy's flags count: --hostname-override, --master, -v,"
                    + " --cleanup, --init-only, --write-config-to. The daemon ends when it says something else, to be"
                    + " started again.")
    @Setting(environment = "SHUNT_CONFIG")
    private @Nullable Path config;

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
            names = "--max-flows",
            paramLabel = "COUNT",
            description = "How many conversations of packets with Services are remembered: 1 to " + MAX_FLOWS
                    + ". Those of sockets take none.")
    @Setting(environment = "SHUNT_MAX_FLOWS", otherwise = "what --conntrack-max-per-core and --conntrack-min come to")
    private @Nullable Integer maxFlows;

    @Option(
            names = "--devices",
            paramLabel = "NAME,NAME",
            split = ",",
            description =
                    "At which devices packets to Services are translated: `eth0,bond*` names those to the network,"
                            + " `pod:veth*,pod:cni0` those to pods (a bridge stands for its ports). Of which kind none is named,"
                            + " all are found. `none`: at no device, so that only sockets of this node reach Services.")
    @Setting(environment = "SHUNT_DEVICES", otherwise = "found by addresses and routes")
    private List<String> devices = new ArrayList<>();

    @Option(
            names = "--algorithm",
            paramLabel = "NAME",
            defaultValue = "random",
            description = "How packets from elsewhere get a backend where the Service's annotation `shunt.io/algorithm`"
                    + " does not say: `random`; or `maglev`, by the client's address and port, on every node the same.")
    @Setting(environment = "SHUNT_ALGORITHM")
    private String algorithm = "";

    @Option(
            names = "--maglev-table-size",
            paramLabel = "COUNT",
            defaultValue = "16381",
            description = "How many slots a Maglev table has: a prime number from " + LEAST_TABLE + " to " + MOST_TABLE
                    + ", a hundred times the backends or more, on every node the same.")
    @Setting(environment = "SHUNT_MAGLEV_TABLE_SIZE")
    private int maglevTableSize;

    @Option(
            names = "--max-maglev-tables",
            paramLabel = "COUNT",
            defaultValue = "0",
            description = "How many Maglev tables the maps hold, one for each Service port and IP family and one more"
                    + " while it changes; 4 bytes a slot. 0: what --max-backends leaves room for, 24 where both are at"
                    + " their defaults.")
    @Setting(environment = "SHUNT_MAX_MAGLEV_TABLES")
    private int maxMaglevTables;

    @Option(
            names = "--acceleration",
            paramLabel = "MODE",
            defaultValue = "off",
            description =
                    "Whether packets that come in from the network and leave by it again are translated before the"
                            + " kernel sees them (XDP): `native`, by the devices' drivers, which have to be able to; `generic`,"
                            + " at any Ethernet device, for trials; `off`.")
    @Setting(environment = "SHUNT_ACCELERATION")
    private String acceleration = "";

    @Option(
            names = "--forwarding",
            paramLabel = "HOW",
            defaultValue = "snat",
            description = "How clients from elsewhere reach backends on other nodes where the Service's annotation"
                    + " `shunt.io/forwarding` does not say: `snat`, in this node's name; `dsr`, in their own, and the"
                    + " backend's node answers them straight; `hybrid`, TCP by dsr and all else by snat.")
    @Setting(environment = "SHUNT_FORWARDING")
    private String forwarding = "";

    @Option(
            names = "--node-ip",
            paramLabel = "IP",
            split = ",",
            description = "This node's addresses, at most one of each family.")
    @Setting(environment = "SHUNT_NODE_IP", otherwise = "--bind-address, then what the Node object says")
    private List<String> nodeIp = new ArrayList<>();

    @Option(
            names = "--socket-host-namespace-only",
            arity = "0..1",
            fallbackValue = "true",
            defaultValue = "false",
            paramLabel = "BOOL",
            description = "Whether Services are served at the sockets of the host's network namespace only: for service"
                    + " meshes, and pods that are virtual machines.")
    @Setting(environment = "SHUNT_SOCKET_HOST_NAMESPACE_ONLY")
    private boolean hostNamespaceOnly;

    @Option(
            names = "--end-stale-tcp",
            arity = "0..1",
            fallbackValue = "true",
            defaultValue = "false",
            paramLabel = "BOOL",
            description =
                    "Whether TCP connections to backends that are gone are ended, as connected UDP sockets to them"
                            + " always are.")
    @Setting(environment = "SHUNT_END_STALE_TCP")
    private boolean endStaleTcp;

    @Option(
            names = "--cleanup",
            arity = "0..1",
            fallbackValue = "true",
            paramLabel = "BOOL",
            description = "Does what `shunt cleanup` does, and ends.")
    private boolean cleanup;

    @Option(
            names = "--init-only",
            arity = "0..1",
            fallbackValue = "true",
            paramLabel = "BOOL",
            description = "Does what needs CAP_SYS_ADMIN, and ends: mounts a bpffs where there is none, and, if"
                    + " --cgroup-root is given and an empty directory, cgroup2 there.")
    private boolean initOnly;

    @Option(
            names = "--write-config-to",
            paramLabel = "FILE",
            description = "Writes the configuration in force there, as a KubeProxyConfiguration, and ends.")
    private @Nullable Path writeConfigTo;

    RunCommand(Map<String, String> environment, ToIntFunction<RunOptions> daemon, PinnedState pinned) {
        this.environment = environment;
        this.daemon = daemon;
        this.pinned = pinned;
    }

    @Override
    public Integer call() throws IOException {
        try {
            ConfigFile file = config == null ? null : ConfigFile.read(config);
            KubeProxyFlags flags = new KubeProxyFlags(spec, environment, file);
            KubeProxyConfiguration settings = flags.inForce();
            if (writeConfigTo != null) {
                return write(settings, writeConfigTo);
            }
            if (cleanup) {
                return clean();
            }
            if (initOnly) {
                return prepare();
            }
            return daemon.applyAsInt(options(file, settings, flags.remark(settings)));
        } catch (ConfigurationException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }

    private int clean() {
        pinned.cleanup(bpfRoot.directory()).forEach(spec.commandLine().getOut()::println);
        return 0;
    }

    private int prepare() throws IOException {
        pinned.prepare(bpfRoot.directory());
        if (cgroupRoot != null) {
            Path mounted = new MountTable(MOUNTS).cgroup2().orElse(null);
            pinned.mountCgroup2(cgroupRoot, mounted == null || isPart(mounted) ? null : mounted);
            warnOfPart(cgroupRoot, "run this in the host's cgroup namespace, as privileged containers are");
        }
        return 0;
    }

    /** All cgroups but the root have it. */
    private static boolean isPart(Path cgroup) {
        return Files.exists(cgroup.resolve("cgroup.type"));
    }

    private void warnOfPart(Path cgroup, String cure) {
        if (isPart(cgroup)) {
            spec.commandLine()
                    .getErr()
                    .println("shunt run: warning: " + cgroup + " is not the machine's whole cgroup2 but a part, as a"
                            + " container sees it: Services are served to sockets in that part alone; " + cure);
        }
    }

    private int write(KubeProxyConfiguration settings, Path file) {
        try {
            Files.writeString(file, settings.toYaml());
        } catch (IOException e) {
            throw new CommandFailure("--write-config-to " + file + " cannot be written: " + e.getMessage(), e);
        }
        return 0;
    }

    private RunOptions options(@Nullable ConfigFile file, KubeProxyConfiguration settings, String remark)
            throws IOException {
        boolean kubernetes = source.equals("kubernetes");
        if (!kubernetes) {
            checkDirectory();
        }
        InetSocketAddress healthz =
                address(settings, KubeProxySettings.HEALTHZ_BIND_ADDRESS, KubeProxySettings.HEALTHZ_PORT_FLAG);
        InetSocketAddress metrics =
                address(settings, KubeProxySettings.METRICS_BIND_ADDRESS, KubeProxySettings.METRICS_PORT_FLAG);
        if (healthz != null && metrics != null && HostPort.clash(healthz, metrics)) {
            String names = settings.name(KubeProxySettings.HEALTHZ_BIND_ADDRESS) + " and "
                    + settings.name(KubeProxySettings.METRICS_BIND_ADDRESS);
            throw wrong(
                    healthz.equals(metrics)
                            ? names + " are both " + HostPort.format(healthz) + ": give two ports"
                            : names + " are " + HostPort.format(healthz) + " and " + HostPort.format(metrics)
                                    + ", and the one takes the port at all addresses: give two ports");
        }
        return new RunOptions(
                source,
                file,
                kubernetes ? kubeconfig(settings) : null,
                settings.get(KubeProxySettings.MASTER).orElse(null),
                nodeName(settings),
                nodeIps(settings),
                cgroup2(),
                bpfRoot.directory(),
                within("--max-services", maxServices, MAX_SERVICES),
                within("--max-backends", maxBackends, MAX_BACKENDS),
                algorithm(),
                tableSize(),
                maxTables(),
                settings.nodePortAddresses(),
                settings.localhostNodePorts(),
                devices.stream()
                        .map(String::strip)
                        .filter(name -> !name.isEmpty())
                        .toList(),
                acceleration(),
                forwarding(),
                settings.masqueradeAll(),
                settings.localDetection(),
                maxFlows == null
                        ? (int) Math.clamp(settings.flows(Cpus.online()), 1, MAX_FLOWS)
                        : within("--max-flows", maxFlows, MAX_FLOWS),
                new FlowTimeouts(
                        settings.get(KubeProxySettings.TCP_ESTABLISHED_TIMEOUT)
                                .orElse(FlowTimeouts.USUAL.tcpEstablished()),
                        settings.get(KubeProxySettings.TCP_CLOSE_WAIT_TIMEOUT)
                                .orElse(FlowTimeouts.USUAL.tcpHalfClosed()),
                        settings.get(KubeProxySettings.UDP_TIMEOUT).orElse(FlowTimeouts.USUAL.udp()),
                        settings.get(KubeProxySettings.UDP_STREAM_TIMEOUT).orElse(FlowTimeouts.USUAL.udpStream())),
                hostNamespaceOnly,
                endStaleTcp,
                settings.syncPeriod(),
                healthz,
                metrics,
                settings.get(KubeProxySettings.OOM_SCORE_ADJ).orElse(null),
                settings.get(KubeProxySettings.VERBOSITY).orElse(0),
                remark);
    }

    private Acceleration acceleration() {
        return Arrays.stream(Acceleration.values())
                .filter(mode -> mode.name().equalsIgnoreCase(acceleration.strip()))
                .findFirst()
                .orElseThrow(() -> wrong("--acceleration must be native, generic or off, not " + quoted(acceleration)));
    }

    private Forwarding forwarding() {
        return Forwarding.parse(forwarding)
                .orElseThrow(() -> wrong("--forwarding must be " + Forwarding.CHOICE + ", not " + quoted(forwarding)));
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

    private @Nullable Path kubeconfig(KubeProxyConfiguration settings) {
        Optional<String> given = settings.get(KubeProxySettings.KUBECONFIG);
        if (given.isEmpty()) {
            return null;
        }
        Path kubeconfig = Path.of(given.get());
        String name = settings.name(KubeProxySettings.KUBECONFIG);
        if (!Files.isRegularFile(kubeconfig) && kubeconfig.toString().indexOf(':') >= 0) {
            throw wrong(name + " " + kubeconfig + " names several files; give one");
        }
        if (!Files.isRegularFile(kubeconfig) || !Files.isReadable(kubeconfig)) {
            throw wrong(name + " " + kubeconfig + " is not a file that can be read; give one, or leave it out to use"
                    + " the pod's service account");
        }
        return kubeconfig;
    }

    /** As kube-proxy makes it: the override or the host's name, trimmed and in lower case. */
    private String nodeName(KubeProxyConfiguration settings) throws IOException {
        Optional<String> override = settings.get(KubeProxySettings.HOSTNAME_OVERRIDE);
        String given = override.isPresent() ? override.get() : Files.readString(HOSTNAME);
        String name = given.strip().toLowerCase(Locale.ROOT);
        if (!NODE_NAME.matcher(name).matches()) {
            throw wrong(settings.name(KubeProxySettings.HOSTNAME_OVERRIDE)
                    + " must be a node's name (letters, digits, '-' and '.'), not " + quoted(name));
        }
        return name;
    }

    private List<Address> nodeIps(KubeProxyConfiguration settings) {
        List<Address> addresses = new ArrayList<>();
        for (String text : nodeIp) {
            Address address = Address.parse(text.strip())
                    .filter(it -> !it.isUnspecified())
                    .filter(it -> addresses.stream().noneMatch(other -> other.isV4() == it.isV4()))
                    .orElseThrow(() -> wrong("--node-ip must be this node's addresses, at most one of each family, not "
                            + quoted(String.join(",", nodeIp))));
            addresses.add(address);
        }
        settings.nodeIp()
                .filter(it -> addresses.stream().noneMatch(other -> other.isV4() == it.isV4()))
                .ifPresent(addresses::add);
        return List.copyOf(addresses);
    }

    private Path cgroup2() throws IOException {
        if (cgroupRoot == null) {
            Path found = new MountTable(MOUNTS)
                    .cgroup2()
                    .orElseThrow(() -> new StartupException("no cgroup2 file system is mounted: mount one (mount -t"
                            + " cgroup2 none /sys/fs/cgroup), or give --cgroup-root"));
            warnOfPart(found, "mount the host's /sys/fs/cgroup (hostPath) elsewhere, and name that by --cgroup-root");
            return found;
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

    private Algorithm algorithm() {
        return Algorithm.parse(algorithm)
                .orElseThrow(() -> wrong("--algorithm must be " + Algorithm.CHOICE + ", not " + quoted(algorithm)));
    }

    private int tableSize() {
        if (maglevTableSize < LEAST_TABLE || maglevTableSize > MOST_TABLE) {
            throw wrong("--maglev-table-size must be a prime number from " + LEAST_TABLE + " to " + MOST_TABLE
                    + ", not " + maglevTableSize);
        }
        int prime = maglevTableSize;
        while (!isPrime(prime)) {
            prime++;
        }
        if (prime != maglevTableSize) {
            throw wrong(
                    "--maglev-table-size must be a prime number, not " + maglevTableSize + ": the next is " + prime);
        }
        return maglevTableSize;
    }

    private static boolean isPrime(int number) {
        return IntStream.rangeClosed(2, (int) Math.sqrt(number)).noneMatch(divisor -> number % divisor == 0);
    }

    private int maxTables() {
        int most = MAX_TABLE_SLOTS / maglevTableSize;
        if (maxMaglevTables < 0 || maxMaglevTables > most) {
            throw wrong("--max-maglev-tables must be 0 to " + most + " with --maglev-table-size " + maglevTableSize
                    + ", not " + maxMaglevTables);
        }
        return maxMaglevTables;
    }

    /** @return null if nothing is to be served */
    private static @Nullable InetSocketAddress address(
            KubeProxyConfiguration settings, KubeProxySetting<String> address, KubeProxySetting<Integer> portFlag) {
        String text = settings.get(address)
                .orElse(Objects.requireNonNull(address.use()).fallback());
        int port = settings.get(portFlag).orElse(KubeProxySettings.usualPort(address));
        return port == 0 ? null : HostPort.parse(text, port).orElse(null);
    }

    private static String quoted(String text) {
        return '"' + text + '"';
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
