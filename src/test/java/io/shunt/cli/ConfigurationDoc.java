package io.shunt.cli;

import io.shunt.config.KubeProxySetting;
import io.shunt.config.KubeProxySettings;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** docs/configuration.md, made from the commands themselves. */
final class ConfigurationDoc {
    private final StringBuilder text = new StringBuilder();

    private ConfigurationDoc() {}

    static String of(CommandLine shunt) {
        ConfigurationDoc doc = new ConfigurationDoc();
        doc.text.append("""
                # Configuration

                This page is made from the commands' own help; `make docs` writes it anew, and a test fails while it
                differs. The daemon is told everything by flags, kube-proxy's configuration file or environment
                variables. A flag wins over the file, the file over the variable, and an empty variable counts as not
                set. A flag that is given twice counts as it was given last; a list grows. A value that is wrong ends
                the command with exit code 2 and one line that says what to give.

                """);
        doc.commands(shunt);
        return doc.text.toString();
    }

    private void commands(CommandLine command) {
        section(command.getCommandSpec());
        if (command.getCommandName().equals("run")) {
            annotations();
            kubeProxy();
        }
        command.getSubcommands().values().forEach(this::commands);
    }

    private void section(CommandSpec command) {
        text.append("## ").append(command.qualifiedName()).append("\n\n");
        text.append(String.join(" ", command.usageMessage().description())).append("\n\n");
        for (PositionalParamSpec parameter : command.positionalParameters()) {
            text.append("- `")
                    .append(parameter.paramLabel())
                    .append("`: ")
                    .append(description(parameter.description()));
            text.append("\n\n");
        }
        List<OptionSpec> options = command.options().stream()
                .filter(option -> !option.usageHelp() && !option.hidden())
                .toList();
        if (!options.isEmpty()) {
            text.append("| flag | environment | default | meaning |\n|---|---|---|---|\n");
            options.forEach(this::row);
            text.append('\n');
        }
        if (!command.usageMessage().exitCodeList().isEmpty()) {
            text.append(command.usageMessage().exitCodeList().entrySet().stream()
                            .map(code -> "`" + code.getKey() + "` " + code.getValue())
                            .collect(Collectors.joining("; ", "Exit codes: ", ".")))
                    .append("\n\n");
        }
    }

    private void annotations() {
        text.append("""
                ### Annotations

                | on a | annotation | value | meaning |
                |---|---|---|---|
                | Service | `shunt.io/algorithm` | `random` or `maglev` | How packets from elsewhere get a backend, in place of `--algorithm`. With `maglev` the client's address and port choose it, on every node the same; with session affinity the address alone. |
                | Service | `shunt.io/forwarding` | `snat`, `dsr` or `hybrid` | How clients from elsewhere reach its backends on other nodes, in place of `--forwarding`; [what `dsr` asks of the network](architecture.md#direct-server-return). |
                | EndpointSlice | `shunt.io/weight` | 1 to 1000 | How many connections each of its endpoints gets, as against those of other slices, which without it have 1. Only with `maglev`. |

                A value that is none of these is reported, with the object and the cure, and counts as none: the
                Service is served as `--algorithm` and `--forwarding` say, the endpoints have weight 1. From files the
                file is the unit: it says what it said before.

                **How much room Maglev takes**: a table of `--maglev-table-size` slots of 4 bytes, 64 KiB by default, for
                each Service port and IP family that has two or more backends, and as much again where
                `externalTrafficPolicy` or `internalTrafficPolicy` is Local and not all backends are on the node. The
                kernel has half of three slots a backend (`--max-backends`) for them, which is 24 tables where both are at
                their defaults; for more, give `--max-maglev-tables` their number and a few for changes. Services with few
                backends need no large table: 1021 slots are within 2 % for 20. **All nodes have to have the same size**:
                else each chooses another backend.

                """);
    }

    private void kubeProxy() {
        List<KubeProxySetting<?>> settings = KubeProxySettings.all();
        text.append("""
                ### In kube-proxy's place

                `shunt run` takes all flags of kube-proxy 1.36, and with `--config` the file that they are given in at
                most sites: a KubeProxyConfiguration (`kubeproxy.config.k8s.io/v1alpha1`), in YAML or JSON. What kubeadm
                wrote into the ConfigMap `kube-proxy` is taken as it is. Started by the name `kube-proxy`, the program
                runs `shunt run`.

                - **Beside `--config`** only `--hostname-override`, `--master`, the flags of logging, `--cleanup`,
                  `--init-only` and `--write-config-to` count of kube-proxy's flags, as with kube-proxy. Shunt's own
                  flags all count.
                - **What is wrong** in the file ends the start: a value of the wrong type, an address, CIDR or duration
                  that is none, another kind or version. The message names the file, the line and the field.
                - **What has no meaning here** is accepted, and named in one line of the log unless it asks for nothing
                  (empty, 0, false). So are fields that kube-proxy 1.36 does not know, and fields that stand there
                  twice, of which the last counts.
                - **When the file changes**, mounted ConfigMaps included, the daemon ends with exit code 1, to be
                  started again; traffic goes on meanwhile. It looks every second and waits until two looks find the
                  same. A file that says the same in other words changes nothing. Unlike with kube-proxy, one that is
                  wrong or gone changes nothing either: the log says so, and what it said before stays in force.

                **In kubeadm's DaemonSet** `kube-proxy` Shunt needs more than its image: two volumes of the node's, which
                kube-proxy never needed. [This patch](../examples/kubeadm/kube-proxy-patch.yaml) brings both, and the
                image:

                    kubectl --namespace kube-system patch daemonset kube-proxy --patch-file kube-proxy-patch.yaml

                | volume | mounted at | without it |
                |---|---|---|
                | `/sys/fs/bpf`, with `mountPropagation: Bidirectional` | `/sys/fs/bpf` | The programs' links and maps are pinned in a bpffs of the container's own and end with it: Services stop whenever the container does, and the next start has nothing to adopt. `Bidirectional` makes the node keep the bpffs that Shunt mounts where there was none; it takes a privileged container, which kubeadm's is. |
                | `/sys/fs/cgroup` | `/host/cgroup`, which `SHUNT_CGROUP_ROOT` names | What a container sees at `/sys/fs/cgroup` may begin at its own cgroup: then Services are served to its own sockets alone. |

                With `hostPID: true`, which the patch sets too, sockets connected to a backend that leaves are ended. The
                node's cgroup2 has to be at `/sys/fs/cgroup`: else (cgroup v1 and v2 side by side) put its place into the
                patch. `kubeadm upgrade` writes the DaemonSet anew: apply the patch again. The rules that kube-proxy left on
                a node still translate the traffic that Shunt leaves alone, to endpoints that may be gone meanwhile:
                `shunt cleanup --kube-proxy-rules` takes them out, once Shunt serves ([migrate](migrate.md)).

                | field | flag | meaning |
                |---|---|---|
                """);
        settings.stream()
                .filter(setting -> setting.use() != null && !setting.field().isEmpty())
                .forEach(this::field);
        text.append("\nWithout meaning here: ");
        text.append(settings.stream()
                .filter(setting -> setting.use() == null)
                .map(setting -> setting.field().isEmpty() || setting.flag().isEmpty()
                        ? "`" + setting + "`"
                        : "`" + setting.field() + "` (`--" + setting.flag() + "`)")
                .collect(Collectors.joining(", ", "", ".\n\n")));
    }

    private void field(KubeProxySetting<?> setting) {
        text.append("| `").append(setting.field()).append("` | ");
        text.append(setting.flag().isEmpty() ? "" : "`--" + setting.flag() + "`");
        text.append(" | ")
                .append(Objects.requireNonNull(setting.use()).description())
                .append(" |\n");
    }

    private void row(OptionSpec option) {
        String flag = String.join(", ", option.names());
        String environment = Settings.environment(option);
        String fallback = Settings.fallback(option);
        boolean literal = !fallback.isEmpty() && fallback.equals(Settings.literal(option));
        text.append("| `").append(option.arity().max() == 0 ? flag : flag + "=" + option.paramLabel());
        text.append("` | ").append(environment.isEmpty() ? "" : "`" + environment + "`");
        text.append(" | ").append(literal ? "`" + fallback + "`" : fallback);
        text.append(" | ").append(description(option.description())).append(" |\n");
    }

    private static String description(String[] lines) {
        return String.join(" ", lines).replace("|", "\\|");
    }
}
