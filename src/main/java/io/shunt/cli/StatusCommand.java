package io.shunt.cli;

import io.shunt.snapshot.Status;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(
        name = "status",
        description = {
            "Shows whether this node's daemon is well.",
            "One screen: its source, services, programs and maps, and what went wrong."
        },
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:healthy", "1:not healthy, or no daemon answers", "2:asked wrongly"},
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt status",
            "  shunt status -o json | jq .complaints",
        })
final class StatusCommand implements Callable<Integer> {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FORMAT",
            defaultValue = "table",
            description = "`table`; `wide`, with each program, map and device; `json` or `yaml`, as /api/v1/status.")
    private OutputFormat format = OutputFormat.TABLE;

    @Mixin
    private ApiClient api = new ApiClient();

    @Override
    public Integer call() {
        Status status = api.get("/api/v1/status", Status.class);
        PrintWriter out = spec.commandLine().getOut();
        switch (format) {
            case TABLE -> new StatusScreen(status, Instant.now()).print(out);
            case WIDE -> new StatusScreen(status, Instant.now()).printWide(out);
            case JSON, YAML -> format.write(status, out);
        }
        return status.healthy() ? 0 : CommandTree.FAILURE;
    }
}
