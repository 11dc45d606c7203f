package io.shunt.cli;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The flag that says where links and maps are pinned. */
@Command
final class BpfRootOption {
    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init")
    private CommandSpec command;

    @Option(
            names = "--bpf-root",
            paramLabel = "DIR",
            defaultValue = "/sys/fs/bpf/shunt",
            description = "The directory on a bpffs where programs' links and maps are pinned. One daemon a directory;"
                    + " `shunt run` makes it if it is missing.")
    @Setting(environment = "SHUNT_BPF_ROOT")
    private Path directory = Path.of("");

    /** Whether it is on a bpffs is seen when it is used: it may yet have to be mounted. */
    Path directory() {
        if (!directory.isAbsolute()) {
            throw new ParameterException(
                    command.commandLine(),
                    "--bpf-root must be an absolute path, as /sys/fs/bpf/shunt, not \"" + directory + '"');
        }
        return directory.normalize();
    }
}
