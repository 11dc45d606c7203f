package io.shunt.cli;

import io.shunt.daemon.RunOptions;
import io.shunt.daemon.StartupException;
import java.io.PrintWriter;
import java.util.Arrays;
import java.util.Map;
import java.util.function.ToIntFunction;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** The `shunt` commands, put together. */
public final class CommandTree {
    /** What a command exits with if it was asked wrongly. */
    static final int USAGE = CommandLine.ExitCode.USAGE;

    /** What a command exits with if it could not do what it was asked. */
    static final int FAILURE = CommandLine.ExitCode.SOFTWARE;

    private static final int HELP_WIDTH = 100;
    private static final Pattern FLAG_NAME = Pattern.compile("^--[a-z_-]+");

    private final CommandLine shunt;

    /**
     * @param environment the process's environment variables
     * @param daemon runs the daemon and returns its exit code, or throws {@link StartupException}
     */
    public CommandTree(
            Map<String, String> environment, ToIntFunction<RunOptions> daemon, PrintWriter out, PrintWriter err) {
        this(environment, daemon, new NodePins(), out, err);
    }

    CommandTree(
            Map<String, String> environment,
            ToIntFunction<RunOptions> daemon,
            PinnedState pinned,
            PrintWriter out,
            PrintWriter err) {
        CommandLine run = new CommandLine(new RunCommand(environment, daemon, pinned));
        KubeProxyFlags.addTo(run.getCommandSpec());
        run.getCommandSpec()
                .versionProvider(new ShuntCommand.Versions())
                .addOption(OptionSpec.builder("--version")
                        .versionHelp(true)
                        .description("Show the version and exit.")
                        .build());
        CommandLine commands = new CommandLine(new ShuntCommand())
                .addSubcommand(run)
                .addSubcommand(new StatusCommand())
                .addSubcommand(new CommandLine(new ServiceCommand()).addSubcommand(new ServiceListCommand()))
                .addSubcommand(new FlowsCommand())
                .addSubcommand(new CommandLine(new BpfCommand()).addSubcommand(new BpfDumpCommand(pinned)))
                .addSubcommand(new CleanupCommand(pinned, environment))
                .addSubcommand(new CompletionCommand());
        commands.getCommandSpec()
                .addOption(OptionSpec.builder("-V", "--version")
                        .versionHelp(true)
                        .description("Show the version and exit.")
                        .build());
        addHelp(commands);
        CommandLine.tracer().setLevel(CommandLine.TraceLevel.OFF);
        // Settings reach subcommands only if made when these are there.
        shunt = commands.setOut(out)
                .setErr(err)
                .setDefaultValueProvider(new Settings(environment))
                .setHelpFactory(SettingsHelp::new)
                .setUsageHelpWidth(HELP_WIDTH)
                .setCaseInsensitiveEnumValuesAllowed(true)
                // As kube-proxy has it: of a flag that is given twice the last counts, and nobody is told.
                .setOverwrittenOptionsAllowed(true)
                .setParameterExceptionHandler(CommandTree::misused)
                .setExecutionExceptionHandler(CommandTree::failed);
    }

    /** Runs a command and returns its exit code: 0 done, 1 failed, 2 asked wrongly. */
    public int execute(String... arguments) {
        return shunt.execute(
                Arrays.stream(arguments).map(CommandTree::withDashes).toArray(String[]::new));
    }

    /** kube-proxy's flags may be written with underscores (k8s.io/component-base/cli/flag, WordSepNormalizeFunc). */
    private static String withDashes(String argument) {
        return FLAG_NAME.matcher(argument).replaceFirst(name -> name.group().replace('_', '-'));
    }

    /** The commands and their options, for the documentation. */
    CommandLine model() {
        return shunt;
    }

    private static void addHelp(CommandLine command) {
        command.getCommandSpec()
                .addOption(OptionSpec.builder("-h", "--help")
                        .usageHelp(true)
                        .description("Show this help and exit.")
                        .build());
        command.getSubcommands().values().forEach(CommandTree::addHelp);
    }

    private static int misused(ParameterException e, String[] arguments) {
        CommandLine command = e.getCommandLine();
        String name = command.getCommandSpec().qualifiedName();
        PrintWriter err = command.getErr();
        err.println(name + ": " + oneLine(e));
        if (e instanceof UnmatchedArgumentException unmatched) {
            UnmatchedArgumentException.printSuggestions(unmatched, err);
            err.println("See '" + name + " --help'.");
        }
        return USAGE;
    }

    private static int failed(Exception e, CommandLine command, ParseResult parsed) {
        PrintWriter err = command.getErr();
        String name = command.getCommandSpec().qualifiedName();
        return switch (e) {
            case StartupException cannotStart -> {
                err.println(name + ": " + oneLine(e));
                yield cannotStart.exitCode();
            }
            case CommandFailure failure -> {
                err.println(name + ": " + oneLine(e));
                yield FAILURE;
            }
            default -> {
                err.println(name + ": this is a fault of shunt itself, please report it:");
                e.printStackTrace(err);
                yield FAILURE;
            }
        };
    }

    private static String oneLine(Exception e) {
        return String.valueOf(e.getMessage()).replaceAll("\\R", " ");
    }
}
