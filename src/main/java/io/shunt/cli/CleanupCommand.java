package io.shunt.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
        name = "cleanup",
        description = {
            "Detaches the programs, unpins links and maps, and says what it removed.",
            "From then on nobody serves Services on this node. Stop the daemon first. Needs root."
        },
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n",
        footer = "  shunt cleanup && systemctl start kube-proxy    go back to kube-proxy")
final class CleanupCommand implements Callable<Integer> {
    private final PinnedState pinned;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Mixin
    private BpfRootOption bpfRoot = new BpfRootOption();

    CleanupCommand(PinnedState pinned) {
        this.pinned = pinned;
    }

    @Override
    public Integer call() {
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
