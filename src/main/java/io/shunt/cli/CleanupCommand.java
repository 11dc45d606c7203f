package io.shunt.cli;

import io.shunt.cli.KubeProxyRules.Step;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "cleanup",
        description = {
            "Detaches the programs, unpins links and maps, and says what it removed.",
            "From then on nobody serves Services on this node. Stop the daemon first. Needs root.",
            "With --kube-proxy-rules it leaves Shunt alone, and takes out what kube-proxy has left instead."
        },
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt cleanup                                 end Shunt on this node",
            "  shunt cleanup --kube-proxy-rules --dry-run    what has kube-proxy left here?",
            "  shunt cleanup --kube-proxy-rules              take it out; Shunt serves on"
        })
final class CleanupCommand implements Callable<Integer> {
    private final PinnedState pinned;
    private final Map<String, String> environment;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Option(
            names = "--kube-proxy-rules",
            description =
                    "Takes kube-proxy's chains out of iptables (nat, filter, mangle, of both kinds and families), and its"
                            + " nftables tables, and nothing else: neither the kubelet's, a CNI's or your own rules, nor Shunt."
                            + " Stop kube-proxy first, or it writes them anew. Needs CAP_NET_ADMIN, CAP_NET_RAW where there"
                            + " are legacy tables, and iptables and nft on PATH, which the image has.")
    private boolean kubeProxyRules;

    @Option(names = "--dry-run", description = "With --kube-proxy-rules: prints what would be done, and does nothing.")
    private boolean dryRun;

    @Mixin
    private BpfRootOption bpfRoot = new BpfRootOption();

    CleanupCommand(PinnedState pinned, Map<String, String> environment) {
        this.pinned = pinned;
        this.environment = environment;
    }

    @Override
    public Integer call() {
        if (dryRun && !kubeProxyRules) {
            throw new ParameterException(spec.commandLine(), "--dry-run goes with --kube-proxy-rules only");
        }
        return kubeProxyRules ? cleanKubeProxy() : cleanShunt();
    }

    private int cleanKubeProxy() {
        PrintWriter out = spec.commandLine().getOut();
        KubeProxyRules rules = new KubeProxyRules(environment.get("PATH"));
        List<Step> steps = rules.steps();
        if (steps.isEmpty()) {
            out.println("nothing of kube-proxy is here");
        }
        for (Step step : steps) {
            if (dryRun) {
                out.print("# " + String.join(" ", step.command()) + "\n" + step.script());
            } else {
                rules.take(step);
                step.done().forEach(out::println);
            }
        }
        return 0;
    }

    private int cleanShunt() {
        PrintWriter out = spec.commandLine().getOut();
        Path directory = bpfRoot.directory();
        List<String> done = pinned.cleanup(directory);
        if (done.isEmpty()) {
            out.println("nothing of shunt is at " + directory);
        }
        done.forEach(out::println);
        return 0;
    }
}
