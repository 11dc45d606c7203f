package io.shunt.cli;

import io.shunt.snapshot.Version;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
        name = "shunt",
        description = "Takes kube-proxy's place on a node: sends connections to Services to their backends in constant"
                + " time, by eBPF programs at the socket.",
        synopsisSubcommandLabel = "COMMAND",
        versionProvider = ShuntCommand.Versions.class,
        subcommandsRepeatable = false,
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:failed, or the daemon is not healthy", "2:asked wrongly, or configured wrongly"},
        commandListHeading = "%nCommands:%n",
        optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt run --source file:examples/demo    serve the Services in a directory of manifests",
            "  shunt status                             is this node's daemon well?",
            "  shunt service list -n default            what connections to Services become",
            "  shunt flows --dropped -f                 what packets are dropped, and why",
            "Each command tells more: shunt COMMAND --help"
        })
final class ShuntCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "no command given; 'shunt --help' lists them");
    }

    static final class Versions implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {
                "shunt " + Version.current(),
                "Java " + Runtime.version() + ", " + System.getProperty("os.name") + " "
                        + System.getProperty("os.version") + " " + System.getProperty("os.arch")
            };
        }
    }
}
