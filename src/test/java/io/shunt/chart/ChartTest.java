package io.shunt.chart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.marcnuri.helm.Helm;
import com.marcnuri.helm.LintResult;
import io.fabric8.kubernetes.api.model.Capabilities;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerPort;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.Probe;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.api.model.rbac.ClusterRoleBinding;
import io.shunt.chart.StrictObjects.PodMonitor;
import io.shunt.chart.StrictObjects.PrometheusRule;
import io.shunt.chart.StrictObjects.ServiceMonitor;
import io.shunt.cli.CommandTree;
import io.shunt.cli.RunFlags;
import io.shunt.net.Prefix;
import io.shunt.source.FakeApiServer;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The chart, by helm itself. */
class ChartTest {
    private static final String USUAL = "k8sServiceHost: 192.0.2.10\n";

    /** No value of its own for these, and why. They can all be given by {@code extraArgs}. */
    private static final Map<String, String> WITHOUT_VALUE = Map.ofEntries(
            Map.entry("--config", "the chart's values say all that is in such a file"),
            Map.entry("--kubeconfig", "it is a pod, with a service account"),
            Map.entry("--master", "KUBERNETES_SERVICE_HOST says it"),
            Map.entry("--hostname-override", "NODE_NAME says it"),
            Map.entry("--node-ip", "every node has another; the Node object says it"),
            Map.entry("--bind-address", "the same"),
            Map.entry("--cleanup", "it ends"),
            Map.entry("--init-only", "it ends; the init container has it"),
            Map.entry("--write-config-to", "it ends"),
            Map.entry("--healthz-port", "deprecated"),
            Map.entry("--metrics-port", "deprecated"),
            Map.entry("--oom-score-adj", "the kubelet sets it by the pod's priority and resources"),
            Map.entry("--iptables-sync-period", "how patient /healthz is, which hardly anybody has to say"),
            Map.entry("--ipvs-sync-period", "the same"));

    /** Ways to install it. */
    private enum Values {
        FEWEST(USUAL),
        AUTO_PORTS_BESIDE_KUBE_PROXY("kubeProxy: {running: true}\n"),
        BESIDE_KUBE_PROXY_WITH_API_SERVER(USUAL + "kubeProxy: {running: true}\n"),
        IPV6("""
                k8sServiceHost: fd00::10
                healthzBindAddress: "[::1]:1"
                metricsBindAddress: "[::]:2"
                clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
                """),
        EVERY_FLAG("""
                k8sServiceHost: api.example
                k8sServicePort: 443
                healthzBindAddress: 127.0.0.1:10356
                metricsBindAddress: 0.0.0.0:10349
                bpf: {maxServices: 1000, maxBackends: 2000, maxFlows: 3000}
                devices: [eth0, "bond*", "pod:veth*"]
                loadBalancer: {mode: dsr, algorithm: maglev, acceleration: native}
                maglev: {tableSize: 4093, maxTables: 7}
                nodePort: {addresses: [192.0.2.0/24, "fd00::/8"], localhost: false}
                socketLB: {hostNamespaceOnly: true}
                endStaleTCP: true
                mode: nftables
                masqueradeAll: true
                clusterCIDR: 10.244.0.0/16
                detectLocalMode: BridgeInterface
                detectLocal: {bridgeInterface: cni0, interfaceNamePrefix: veth}
                conntrack:
                  maxPerCore: 1
                  min: 2
                  tcpEstablishedTimeout: 1h
                  tcpCloseWaitTimeout: 2m0s
                  udpTimeout: 3s
                  udpStreamTimeout: 4s
                logging: {verbosity: 4}
                """),
        EVERYTHING_ELSE("""
                k8sServiceHost: 192.0.2.10
                nameOverride: balancer
                fullnameOverride: node-balancer
                image:
                  repository: registry.example:5000/net/shunt
                  tag: v9
                  digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
                  pullPolicy: Always
                imagePullSecrets: [{name: mine}]
                bpf: {root: /run/bpf, autoMount: {enabled: false}}
                cgroup: {hostRoot: /sys/fs/cgroup/unified}
                staleSockets: false
                extraArgs: [--node-ip=192.0.2.1]
                extraEnv: [{name: SHUNT_MAX_SERVICES, value: "9"}]
                extraVolumes: [{name: extra, emptyDir: {}}]
                extraVolumeMounts: [{name: extra, mountPath: /extra}]
                podLabels: {k8s-app: shunt, team: net}
                podAnnotations: {example/why: "because"}
                podSecurityContext: {fsGroup: 1}
                securityContext: {capabilities: [BPF, NET_ADMIN], seLinuxOptions: {type: container_t}}
                affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: proxy, operator: Exists}]}]}}}
                tolerations: [{key: a, operator: Equal, value: b, effect: NoSchedule}]
                updateStrategy: {type: OnDelete, rollingUpdate: null}
                serviceAccount: {name: balancer, annotations: {a: b}}
                metrics:
                  job: shunt
                  serviceMonitor: {enabled: true, interval: 15s, labels: {release: prom}, annotations: {a: b}, trustCRDsExist: true,
                    relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}],
                    metricRelabelings: [{sourceLabels: [__name__], regex: jvm_.*, action: drop}]}
                prometheusRule: {enabled: true, labels: {release: prom}, annotations: {a: b}, trustCRDsExist: true}
                dashboards: {enabled: true, namespace: monitoring, annotations: {grafana_folder: Nodes}}
                """),
        PRIVILEGED_WITH_POD_MONITOR(USUAL + """
                securityContext: {privileged: true}
                cgroup: {hostRoot: /run/shunt/cgroupv2, autoMount: {enabled: true}}
                rbac: {create: false}
                serviceAccount: {create: false, name: theirs}
                metrics: {podMonitor: {enabled: true, trustCRDsExist: true}}
                """);

        final String yaml;

        Values(String yaml) {
            this.yaml = yaml;
        }
    }

    @TempDir
    private Path directory;

    @Test
    void theChart_passesStrictLint() {
        LintResult result = new Helm(Chart.DIRECTORY).lint().strict().call();

        assertThat(result.isFailed()).as(result.getMessages().toString()).isFalse();
    }

    @ParameterizedTest
    @EnumSource
    void whatIsInstalled_passesStrictLint(Values values) throws IOException {
        LintResult result = Chart.lint(values.yaml, directory);

        assertThat(result.isFailed()).as(result.getMessages().toString()).isFalse();
    }

    @Test
    void lint_looksAtTheValuesGiven() throws IOException {
        LintResult result = Chart.lint("maglev: {tableSize: many}", directory);

        assertThat(result.isFailed()).isTrue();
        assertThat(result.getMessages())
                .anySatisfy(message -> assertThat(message).contains("maglev"));
    }

    @ParameterizedTest
    @EnumSource
    void theDaemon_takesWhatIsRendered(Values values) throws IOException {
        Container daemon = Chart.of(values.yaml).daemon();

        assertThat(flags(daemon))
                .allSatisfy(flag -> assertThat(RunFlags.synonyms(flag))
                        .as("shunt run has no %s", flag)
                        .isNotEmpty());
        assertThat(daemon.getEnv())
                .extracting(EnvVar::getName)
                .allSatisfy(name -> assertThat(RunFlags.variables().contains(name)
                                || name.equals("KUBERNETES_SERVICE_HOST")
                                || name.equals("KUBERNETES_SERVICE_PORT"))
                        .as("shunt obeys no %s", name)
                        .isTrue());
        assertThat(tried(daemon)).isEmpty();
    }

    private static List<String> flags(Container container) {
        assertThat(container.getArgs().getFirst()).isEqualTo("run");
        return container.getArgs().stream()
                .skip(1)
                .map(argument -> argument.replaceFirst("=.*", ""))
                .map(flag -> flag.equals("--v") ? "-v" : flag)
                .toList();
    }

    /** What `shunt run` complains of, with these arguments and a cgroup2 where the container has it. */
    private String tried(Container container) throws IOException {
        Path cgroup = Files.createDirectory(directory.resolve("cgroup"));
        Files.createFile(cgroup.resolve("cgroup.controllers"));
        Map<String, String> environment = new HashMap<>();
        container
                .getEnv()
                .forEach(variable ->
                        environment.put(variable.getName(), Objects.requireNonNullElse(variable.getValue(), "node-1")));
        StringWriter said = new StringWriter();
        PrintWriter out = new PrintWriter(said);
        int exitCode = new CommandTree(environment, options -> 0, out, out)
                .execute(container.getArgs().stream()
                        .map(argument ->
                                argument.replaceFirst("^--cgroup-root=/host/cgroup$", "--cgroup-root=" + cgroup))
                        .toArray(String[]::new));
        assertThat(exitCode).as(said.toString()).isZero();
        return said.toString();
    }

    @Test
    void everyFlag_hasAValue_orAReasonWhyNot() {
        Set<String> rendered = new TreeSet<>();
        flags(Chart.of(Values.EVERY_FLAG.yaml).daemon()).forEach(flag -> rendered.addAll(RunFlags.synonyms(flag)));

        assertThat(RunFlags.names())
                .allSatisfy(flag -> assertThat(rendered.contains(flag)).isNotEqualTo(WITHOUT_VALUE.containsKey(flag)));
        assertThat(RunFlags.names()).containsAll(WITHOUT_VALUE.keySet());
    }

    @Test
    void defaults_areLeftToTheProgram() {
        assertThat(Chart.of(USUAL).daemon().getArgs())
                .containsExactly(
                        "run",
                        "--source=kubernetes",
                        "--cgroup-root=/host/cgroup",
                        "--bpf-root=/sys/fs/bpf/shunt",
                        "--healthz-bind-address=0.0.0.0:10256",
                        "--metrics-bind-address=127.0.0.1:10249");
    }

    @Test
    void everyNode_getsADaemonInItsNetwork() {
        PodSpec pod = Chart.of(USUAL).pod();

        assertThat(pod.getHostNetwork()).isTrue();
        assertThat(pod.getPriorityClassName()).isEqualTo("system-node-critical");
        assertThat(pod.getTolerations()).singleElement().satisfies(toleration -> {
            assertThat(toleration.getOperator()).isEqualTo("Exists");
            assertThat(toleration.getKey()).isNull();
        });
    }

    @Test
    void theSelector_isNeverMoreThanThePodsLabels() {
        for (Values values : Values.values()) {
            Chart chart = Chart.of(values.yaml);
            DaemonSet daemonSet = chart.one(DaemonSet.class);
            PodTemplateSpec pod = daemonSet.getSpec().getTemplate();
            Map<String, String> selector = daemonSet.getSpec().getSelector().getMatchLabels();

            assertThat(pod.getMetadata().getLabels()).containsAllEntriesOf(selector);
            assertThat(selector).doesNotContainKey("k8s-app");
            chart.all(Service.class)
                    .forEach(service ->
                            assertThat(service.getSpec().getSelector()).isEqualTo(selector));
            chart.all(ServiceMonitor.class)
                    .forEach(monitor -> assertThat(
                                    chart.one(Service.class).getMetadata().getLabels())
                            .containsAllEntriesOf(monitor.spec.selector().getMatchLabels()));
        }
        assertThat(Chart.of(USUAL)
                        .one(DaemonSet.class)
                        .getSpec()
                        .getTemplate()
                        .getMetadata()
                        .getLabels())
                .containsEntry("k8s-app", "kube-proxy");
    }

    @Test
    void theApiServersAddress_isGivenToTheDaemon() {
        assertThat(Chart.of("{k8sServiceHost: 192.0.2.10, k8sServicePort: 8443}")
                        .daemon()
                        .getEnv())
                .contains(
                        new EnvVar("KUBERNETES_SERVICE_HOST", "192.0.2.10", null),
                        new EnvVar("KUBERNETES_SERVICE_PORT", "8443", null));
        assertThat(Chart.of("kubeProxy: {running: true}").daemon().getEnv())
                .extracting(EnvVar::getName)
                .containsExactly("NODE_NAME", "SHUNT_METRICS_ADDRESS");
    }

    /** `kubectl exec POD -- shunt status` has no flags to know. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            {}                                                                  |
            metrics: {podMonitor: {enabled: true, trustCRDsExist: true}}        |
            kubeProxy: {running: true}                                          | 127.0.0.1:10349
            metricsBindAddress: "[::]:10249"                                    | [::1]:10249
            metricsBindAddress: 10.0.0.0:10249                                  | 10.0.0.0:10249
            """)
    void commandsInThePod_findTheDaemon(String values, @Nullable String address) {
        assertThat(Chart.of(values.equals("{}") ? USUAL : USUAL + values)
                        .daemon()
                        .getEnv())
                .filteredOn(variable -> variable.getName().equals("SHUNT_METRICS_ADDRESS"))
                .extracting(EnvVar::getValue)
                .isEqualTo(address == null ? List.of() : List.of(address));
    }

    /** helm renders it with an API server to look in, and shows what it came to in its notes. */
    private String installed(FakeApiServer server) throws IOException {
        Path kubeconfig = Files.writeString(directory.resolve("kubeconfig"), """
                apiVersion: v1
                kind: Config
                current-context: here
                contexts: [{name: here, context: {cluster: mine, user: me}}]
                clusters: [{name: mine, cluster: {server: "%s"}}]
                users: [{name: me, user: {}}]
                """.formatted(server.url()));
        server.answer("/api/v1?timeout", 200, """
                {"kind": "APIResourceList", "groupVersion": "v1", "resources":
                  [{"name": "configmaps", "singularName": "", "namespaced": true, "kind": "ConfigMap", "verbs": ["get"]}]}
                """);
        return new Helm(Chart.DIRECTORY)
                .install()
                .withName("shunt")
                .withNamespace("kube-system")
                .withKubeConfig(kubeconfig)
                .clientOnly()
                .dryRun()
                .withKubeVersion("1.36.0")
                .set("k8sServiceHost", "auto")
                .call()
                .getOutput();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            https://192.0.2.10:6443      | 192.0.2.10, port 6443.
            https://api.example          | api.example, port 443.
            https://[fd00::10]:8443/     | fd00::10, port 8443.
            """)
    void theApiServersAddress_isFoundWhereKubeadmWroteIt(String url, String found) throws IOException {
        try (FakeApiServer server = new FakeApiServer().start()) {
            server.answer("/kube-public/configmaps/cluster-info", 200, """
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info"}, "data": {"kubeconfig":
                      "apiVersion: v1\\nkind: Config\\nclusters: [{name: '', cluster: {server: '%s'}}]\\n"}}
                    """.formatted(url));

            assertThat(installed(server)).contains("The API server is reached at " + found);
        }
    }

    @Test
    void theApiServersAddress_isRefusedWhereNobodyWroteIt() {
        try (FakeApiServer server = new FakeApiServer().start()) {
            server.answer("/kube-public/configmaps/cluster-info", 404, """
                    {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                    """);

            assertThatThrownBy(() -> installed(server))
                    .hasMessageContaining(
                            "k8sServiceHost is auto, and helm finds no ConfigMap kube-public/cluster-info");
        }
    }

    @Test
    void theImage_isTheChartsVersionUnlessATagOrADigestIsGiven() {
        assertThat(Chart.of(USUAL).daemon().getImage()).isEqualTo("shunt:0.1.0");
        assertThat(Chart.of(Values.EVERYTHING_ELSE.yaml).daemon().getImage())
                .isEqualTo("registry.example:5000/net/shunt:v9@sha256:"
                        + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    @Test
    void chartImageAndBuild_areOfOneVersion() throws IOException {
        String build = found(Path.of("pom.xml"), "<artifactId>shunt</artifactId>\\s*<version>([^<]+)");
        Path chart = Chart.DIRECTORY.resolve("Chart.yaml");

        assertThat(found(Path.of("Dockerfile"), "ARG VERSION=(.+)")).isEqualTo(build);
        assertThat(found(chart, "appVersion: (.+)")).isEqualTo(build.replace("-SNAPSHOT", ""));
    }

    private static String found(Path file, String pattern) throws IOException {
        Matcher matcher = Pattern.compile(pattern).matcher(Files.readString(file));
        assertThat(matcher.find()).as("%s has %s", file, pattern).isTrue();
        return matcher.group(1);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', emptyValue = "", textBlock = """
            ''                                                            | 10256 | 10249 | ''
            kubeProxy: {running: true}                                    | 10356 | 10349 | ''
            healthzBindAddress: "127.0.0.1:7"                             | 7     | 10249 | 127.0.0.1
            healthzBindAddress: "[::1]:7"                                 | 7     | 10249 | ::1
            {healthzBindAddress: "[::]:7", metricsBindAddress: "1.2.3.4:8"} | 7   | 8     | ''
            """)
    void probes_askWhereTheDaemonServes(String values, int healthz, int metrics, String host) {
        Container daemon = Chart.of(
                        values.startsWith("{")
                                ? values.replaceFirst("}$", ", k8sServiceHost: 192.0.2.1}")
                                : USUAL + values)
                .daemon();

        assertThat(daemon.getPorts())
                .extracting(ContainerPort::getName, ContainerPort::getContainerPort)
                .containsExactly(
                        org.assertj.core.groups.Tuple.tuple("healthz", healthz),
                        org.assertj.core.groups.Tuple.tuple("metrics", metrics));
        Map<Probe, String> probes = Map.of(
                daemon.getStartupProbe(), "/livez",
                daemon.getLivenessProbe(), "/livez",
                daemon.getReadinessProbe(), "/readyz");
        probes.forEach((probe, path) -> {
            assertThat(probe.getHttpGet().getPath()).isEqualTo(path);
            assertThat(probe.getHttpGet().getPort().getStrVal()).isEqualTo("healthz");
            assertThat(Objects.requireNonNullElse(probe.getHttpGet().getHost(), ""))
                    .isEqualTo(host);
            assertThat(probe.getFailureThreshold()).isPositive();
        });
    }

    @Test
    void prometheus_reachesWhatItIsToMonitor() {
        String monitors = USUAL + "metrics: {%s: {enabled: true, trustCRDsExist: true}}";

        for (String monitor : List.of("serviceMonitor", "podMonitor")) {
            assertThat(Chart.of(monitors.formatted(monitor)).daemon().getArgs())
                    .contains("--metrics-bind-address=0.0.0.0:10249");
        }
        StrictObjects.Endpoint endpoint = Chart.of(monitors.formatted("podMonitor"))
                .one(PodMonitor.class)
                .spec
                .podMetricsEndpoints()
                .getFirst();
        assertThat(endpoint.port()).isEqualTo("metrics");
        assertThat(endpoint.honorLabels()).isTrue();
        assertThat(endpoint.relabelings()).singleElement().satisfies(relabeling -> {
            assertThat(relabeling.targetLabel()).isEqualTo("job");
            assertThat(relabeling.replacement()).isEqualTo("kube-proxy");
        });
    }

    @Test
    void theJob_isTheSameInMonitorsAndRules() {
        Chart chart = Chart.of(Values.EVERYTHING_ELSE.yaml);

        assertThat(chart.one(ServiceMonitor.class).spec.endpoints().getFirst().relabelings())
                .anySatisfy(relabeling -> assertThat(relabeling.replacement()).isEqualTo("shunt"));
        assertThat(chart.one(PrometheusRule.class).spec.groups())
                .flatExtracting(PrometheusRule.Group::rules)
                .extracting(PrometheusRule.Rule::expr)
                .anySatisfy(expr -> assertThat(expr).contains("job=\"shunt\""))
                .noneSatisfy(expr -> assertThat(expr).contains("kube-proxy"));
    }

    @Test
    void staleSockets_takeMoreRights() {
        PodSpec with = Chart.of(USUAL).pod();
        assertThat(with.getHostPID()).isTrue();
        assertThat(with.getContainers().getFirst().getSecurityContext()).satisfies(rights -> {
            assertThat(rights.getAllowPrivilegeEscalation()).isTrue();
            assertThat(rights.getPrivileged()).isNull();
            assertThat(rights.getCapabilities())
                    .isEqualTo(new Capabilities(
                            List.of("BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_PTRACE"), List.of("ALL")));
        });

        PodSpec without = Chart.of(USUAL + "staleSockets: false").pod();
        assertThat(without.getHostPID()).isFalse();
        assertThat(without.getContainers().getFirst().getSecurityContext()).satisfies(rights -> {
            assertThat(rights.getAllowPrivilegeEscalation()).isFalse();
            assertThat(rights.getCapabilities())
                    .isEqualTo(new Capabilities(List.of("BPF", "NET_ADMIN", "PERFMON"), List.of("ALL")));
        });
    }

    @Test
    void theBpffs_isMountedOnTheNodeUnlessToldNotTo() throws IOException {
        PodSpec pod = Chart.of(USUAL).pod();
        Container init = pod.getInitContainers().getFirst();
        assertThat(init.getSecurityContext().getPrivileged()).isTrue();
        assertThat(propagation(init, "/sys/fs/bpf")).isEqualTo("Bidirectional");
        assertThat(propagation(init, "/host/cgroup")).isEmpty();
        assertThat(flags(init))
                .allSatisfy(flag -> assertThat(RunFlags.synonyms(flag)).isNotEmpty());

        assertThat(Chart.of(Values.EVERYTHING_ELSE.yaml).pod().getInitContainers())
                .isEmpty();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void cgroup2_isMountedOnTheNodeIfToldTo(boolean bpffsToo) {
        PodSpec pod = Chart.of(USUAL + """
                bpf: {autoMount: {enabled: %s}}
                cgroup: {hostRoot: /run/shunt/cgroupv2, autoMount: {enabled: true}}
                """.formatted(bpffsToo)).pod();
        Container init = pod.getInitContainers().getFirst();
        Container daemon = pod.getContainers().getFirst();
        assertThat(init.getArgs()).contains("--init-only", "--cgroup-root=/host/cgroup");
        assertThat(daemon.getArgs()).contains("--cgroup-root=/host/cgroup");
        assertThat(propagation(init, "/host/cgroup")).isEqualTo("Bidirectional");
        assertThat(propagation(daemon, "/host/cgroup")).isEqualTo("HostToContainer");
        assertThat(propagation(init, "/sys/fs/bpf")).isEqualTo(bpffsToo ? "Bidirectional" : "");
        assertThat(pod.getVolumes())
                .filteredOn(volume -> volume.getName().equals("cgroup"))
                .singleElement()
                .satisfies(volume -> {
                    assertThat(volume.getHostPath().getPath()).isEqualTo("/run/shunt/cgroupv2");
                    assertThat(volume.getHostPath().getType()).isEqualTo("DirectoryOrCreate");
                });
        assertThat(Chart.of(USUAL).pod().getInitContainers().getFirst().getArgs())
                .noneMatch(argument -> argument.startsWith("--cgroup-root"));
    }

    /** How a container's mounts there and the node's go over to each other; "" if they do not. */
    private static String propagation(Container container, String path) {
        return container.getVolumeMounts().stream()
                .filter(mount -> mount.getMountPath().equals(path))
                .map(mount -> Objects.requireNonNullElse(mount.getMountPropagation(), ""))
                .collect(Collectors.joining());
    }

    @Test
    void volumes_andTheirMountsFitTogether() {
        for (Values values : Values.values()) {
            PodSpec pod = Chart.of(values.yaml).pod();
            Set<String> volumes = pod.getVolumes().stream().map(Volume::getName).collect(Collectors.toSet());
            Stream.concat(pod.getContainers().stream(), pod.getInitContainers().stream())
                    .forEach(container -> assertThat(container.getVolumeMounts())
                            .extracting(VolumeMount::getName)
                            .isSubsetOf(volumes)
                            .contains("bpf", "tmp"));
        }
        assertThat(Chart.of(Values.EVERYTHING_ELSE.yaml).pod().getVolumes())
                .filteredOn(volume -> volume.getHostPath() != null)
                .extracting(volume -> volume.getHostPath().getPath())
                .containsExactly("/run/bpf", "/sys/fs/cgroup/unified");
    }

    @Test
    void appArmor_isNamedAsTheClusterNamesIt() {
        assertThat(Chart.of(USUAL, "1.30.0")
                        .daemon()
                        .getSecurityContext()
                        .getAppArmorProfile()
                        .getType())
                .isEqualTo("Unconfined");

        Chart old = Chart.of(USUAL, "1.29.9-gke.1");
        assertThat(old.daemon().getSecurityContext().getAppArmorProfile()).isNull();
        assertThat(old.one(DaemonSet.class)
                        .getSpec()
                        .getTemplate()
                        .getMetadata()
                        .getAnnotations())
                .containsEntry("container.apparmor.security.beta.kubernetes.io/shunt", "unconfined");
    }

    @Test
    void theServiceAccount_isTheOneThatHasTheRights() {
        for (Values values : Values.values()) {
            Chart chart = Chart.of(values.yaml);
            String account = chart.pod().getServiceAccountName();
            chart.all(ServiceAccount.class)
                    .forEach(made -> assertThat(made.getMetadata().getName()).isEqualTo(account));
            chart.all(ClusterRoleBinding.class).forEach(binding -> {
                assertThat(binding.getSubjects()).singleElement().satisfies(subject -> {
                    assertThat(subject.getName()).isEqualTo(account);
                    assertThat(subject.getNamespace()).isEqualTo("kube-system");
                });
                assertThat(binding.getRoleRef().getName())
                        .isEqualTo(chart.one(ClusterRole.class).getMetadata().getName());
            });
        }
        assertThat(Chart.of(Values.PRIVILEGED_WITH_POD_MONITOR.yaml).pod().getServiceAccountName())
                .isEqualTo("theirs");
    }

    @Test
    void nothingIsThere_thatNobodyAskedFor() {
        assertThat(Chart.of(USUAL).objects())
                .extracting(HasMetadata::getKind)
                .containsExactlyInAnyOrder("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "DaemonSet");
        assertThat(Chart.of(Values.EVERYTHING_ELSE.yaml).all(ConfigMap.class))
                .hasSizeGreaterThanOrEqualTo(3)
                .allSatisfy(dashboard -> {
                    assertThat(dashboard.getMetadata().getNamespace()).isEqualTo("monitoring");
                    assertThat(dashboard.getMetadata().getLabels()).containsEntry("grafana_dashboard", "1");
                });
    }

    @Test
    void addresses_mayBeWrittenInAnyWay() {
        String values = """
                nodePort: {addresses: [0.0.0.0/0, 255.255.255.255/32, 10.1.2.3/8, "::/0", "::1/128", "fd00::/8",
                  "fd00:1:2:3:4:5:6:7/99", "1:2:3:4:5:6:7::/112", "::2:3:4:5:6:7:8/127", "FD00::A:b/100", "1::3:4:5:6:7:8/9"]}
                clusterCIDR: fd00:10:244::/56,10.244.0.0/16
                healthzBindAddress: "[fd00::10]:65535"
                metricsBindAddress: 192.0.2.10:65535
                """;
        Chart chart = Chart.of(USUAL + values);

        assertThat(chart.daemon().getArgs())
                .filteredOn(argument -> argument.startsWith("--nodeport-addresses="))
                .singleElement(InstanceOfAssertFactories.STRING)
                .satisfies(argument -> assertThat(
                                argument.replaceFirst(".*=", "").split(","))
                        .hasSize(11)
                        .allSatisfy(range -> assertThat(Prefix.parse(range)).isPresent()));
    }

    /** What no cluster could run, and what helm says of it. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            {}                                                                  | k8sServiceHost is empty: without kube-proxy the kubernetes Service is not there
            k8sServiceHost: "https://192.0.2.10"                                | k8sServiceHost
            k8sServiceHost: "192.0.2.10:6443"                                   | k8sServiceHost
            {k8sServiceHost: a, k8sServicePort: 0}                              | k8sServicePort
            {k8sServiceHost: a, k8sServicehost: b}                              | k8sServicehost
            {k8sServiceHost: a, image: {tga: v1}}                               | tga
            {k8sServiceHost: a, image: {digest: "sha256:12"}}                   | digest
            {k8sServiceHost: a, loadBalancer: {mode: DSR}}                      | mode
            {k8sServiceHost: a, cgroup: {autoMount: {enabled: true}}}           | as cgroup.hostRoot=/run/shunt/cgroupv2
            {k8sServiceHost: a, cgroup: {autoMount: true}}                      | autoMount
            {k8sServiceHost: a, loadBalancer: {acceleration: off}}              | acceleration
            {k8sServiceHost: a, healthzBindAddress: "10256"}                    | healthzBindAddress
            {k8sServiceHost: a, healthzBindAddress: "1.2.3.4:1", metricsBindAddress: "1.2.3.4:1"} | are both 1.2.3.4:1: give two ports
            {k8sServiceHost: a, healthzBindAddress: "0.0.0.0:10249"}            | healthzBindAddress and metricsBindAddress are 0.0.0.0:10249 and 127.0.0.1:10249, and the one takes the port at all addresses: give two ports
            {k8sServiceHost: a, healthzBindAddress: "[fd00::1]:1", metricsBindAddress: "[::]:1"} | are [fd00::1]:1 and [::]:1, and the one takes
            {k8sServiceHost: a, nodePort: {addresses: [192.0.2.1]}}             | addresses
            {k8sServiceHost: a, conntrack: {udpTimeout: 30}}                    | udpTimeout
            {k8sServiceHost: a, healthzBindAddress: "0.0.0.0:70000"}            | healthzBindAddress is 0.0.0.0:70000: give an address and a port from 1 to 65535
            {k8sServiceHost: a, metricsBindAddress: "256.0.0.1:1"}              | metricsBindAddress is 256.0.0.1:1: give an address and a port
            {k8sServiceHost: a, metricsBindAddress: "[::1::]:1"}                | metricsBindAddress is [::1::]:1: give an address and a port
            {k8sServiceHost: a, nodePort: {addresses: [10.0.0.0/8, 999.1.1.1/200]}} | nodePort.addresses has 999.1.1.1/200: give CIDRs, as 10.0.0.0/8 or fd00::/8, or [primary]
            {k8sServiceHost: a, nodePort: {addresses: ["fd00::/129"]}}          | nodePort.addresses has fd00::/129
            {k8sServiceHost: a, nodePort: {addresses: [primary, 10.0.0.0/8]}}   | nodePort.addresses has primary
            {k8sServiceHost: a, clusterCIDR: 999.1.1.1/200}                     | clusterCIDR is 999.1.1.1/200: give a CIDR, or one of each family, as 10.244.0.0/16,fd00:10:244::/56
            {k8sServiceHost: a, clusterCIDR: "10.244.0.0/16,10.1.0.0/16"}       | clusterCIDR is 10.244.0.0/16,10.1.0.0/16: give a CIDR, or one of each family
            {k8sServiceHost: a, clusterCIDR: "fd00::/56,fd01:2:3:4:5:6:7:8/56"} | clusterCIDR is fd00::/56,fd01:2:3:4:5:6:7:8/56: give a CIDR, or one of each family
            {k8sServiceHost: a, clusterCIDR: "fd00::1::/56"}                    | clusterCIDR is fd00::1::/56
            {k8sServiceHost: a, maglev: {tableSize: 16384}}                     | maglev.tableSize is 16384, which is no prime number: the next is 16411
            {k8sServiceHost: a, maglev: {tableSize: 130321}}                    | maglev.tableSize is 130321, which is no prime number: the next is 130337
            {k8sServiceHost: a, maglev: {maxTables: 16388}}                     | maglev.maxTables is 16388: give 16387 at most with maglev.tableSize=16381
            {k8sServiceHost: a, extraEnv: [{value: b}]}                         | name
            {k8sServiceHost: a, extraEnv: [{name: A, values: b}]}               | values
            {k8sServiceHost: a, extraEnv: [{name: A, value: 9}]}                | value
            {k8sServiceHost: a, extraVolumeMounts: [{name: a, mountPath: /a, readonly: true}]} | readonly
            {k8sServiceHost: a, imagePullSecrets: [{}]}                         | imagePullSecrets
            {k8sServiceHost: a, imagePullSecrets: [{name: ""}]}                 | imagePullSecrets
            {k8sServiceHost: a, securityContext: {capabilities: [CAP_BPF]}}     | capabilities
            {k8sServiceHost: a, updateStrategy: {rollingUpdate: {maxSurge: 1}}} | maxSurge
            {k8sServiceHost: a, resources: {limit: {memory: 1Gi}}}              | limit
            {k8sServiceHost: a, staleSockets: "no"}                             | staleSockets
            {k8sServiceHost: a, extraArgs: [devices=eth0]}                      | extraArgs
            {k8sServiceHost: a, detectLocalMode: BridgeInterface}               | give detectLocal.bridgeInterface
            {k8sServiceHost: a, detectLocalMode: InterfaceNamePrefix}           | give detectLocal.interfaceNamePrefix
            {k8sServiceHost: a, serviceAccount: {create: false}}                | give serviceAccount.name
            {k8sServiceHost: a, metrics: {serviceMonitor: {enabled: true}}}     | metrics.serviceMonitor.enabled is true, and this cluster has no monitoring.coreos.com/v1
            {k8sServiceHost: a, metrics: {podMonitor: {enabled: true}}}         | metrics.podMonitor.trustCRDsExist=true
            {k8sServiceHost: a, prometheusRule: {enabled: true}}                | prometheusRule.enabled is true, and this cluster has no monitoring.coreos.com/v1
            {k8sServiceHost: a, metrics: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}} | enable one
            {k8sServiceHost: a, metricsBindAddress: "127.0.0.1:1", metrics: {podMonitor: {enabled: true, trustCRDsExist: true}}} | where Prometheus does not reach it
            """)
    void whatCannotWork_isRefused(String values, String why) {
        assertThatThrownBy(() -> Chart.of(values)).hasMessageContaining(why);
    }
}
