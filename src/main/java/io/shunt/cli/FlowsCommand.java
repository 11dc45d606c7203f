package io.shunt.cli;

import io.shunt.api.Json;
import io.shunt.api.Notice;
import io.shunt.flow.Drop;
import io.shunt.flow.Flow;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import tools.jackson.databind.JsonNode;

@Command(
        name = "flows",
        description = {
            "Shows the conversations that this node's packet programs know, or what was dropped.",
            "Conversations that a socket program has sent to their backend are none of theirs, and are not shown. Drops are"
                    + " told while somebody asks, and for a minute longer, at most 1,000 a second; the last 1,000 are"
                    + " kept. All of them are counted: see `shunt status`."
        },
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:shown", "1:no daemon answers, or it stopped", "2:asked wrongly"},
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt flows --service shop/web  who talks to it, and through which backend",
            "  shunt flows --dropped -f        drops, as they happen",
            "  shunt flows --dropped -f -o json | jq -c 'select(.reason == \"source_range\")'"
        })
final class FlowsCommand implements Callable<Integer> {
    /** The daemon ends what is followed after less than this. */
    private static final int SILENCE_MILLIS = 70_000;

    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("HH:mm:ss.SSS");

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    enum Format {
        TEXT,
        JSON
    }

    @Option(names = "--dropped", description = "What was dropped or refused, instead of what goes on.")
    private boolean dropped;

    @Option(
            names = {"-f", "--follow"},
            description = "Go on with drops as they happen, until Ctrl-C.")
    private boolean follow;

    @Option(names = "--service", paramLabel = "NAMESPACE/NAME", description = "Only of this Service.")
    private @Nullable String service;

    @Option(
            names = "--limit",
            paramLabel = "COUNT",
            defaultValue = "1000",
            description = "Show no more conversations than this, 1 to 10000. Default: ${DEFAULT-VALUE}.")
    private int limit;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FORMAT",
            defaultValue = "text",
            description = "`text`; or `json`, as /api/v1/flows: a line each.")
    private Format format = Format.TEXT;

    @Mixin
    private ApiClient api = new ApiClient();

    private final TextTable drops =
            new TextTable("TIME", "REASON", "DIRECTION", "DEVICE", "PROTOCOL", "SERVICE", "FROM", "TO");
    private final TextTable flows =
            new TextTable("PROTOCOL", "STATE", " SILENT", "SERVICE", "CLIENT", "ASKED", "BACKEND", "SEEN AS");
    private long last;

    @Override
    public Integer call() {
        check();
        if (!dropped) {
            api.get("/api/v1/flows?limit=" + limit + ofService(), body -> read(body, this::addFlow));
            print(flows);
            return 0;
        }
        do {
            String path = "/api/v1/flows?dropped=true" + (follow ? "&follow=true&after=" + last : "") + ofService();
            api.get(path, SILENCE_MILLIS, body -> read(body, this::addDrop));
        } while (follow && !out().checkError());
        print(drops);
        return 0;
    }

    private void check() {
        if (follow && !dropped) {
            throw new ParameterException(spec.commandLine(), "--follow goes with --dropped only");
        }
        if (service != null && !service.matches("[a-z0-9.-]+/[a-z0-9.-]+")) {
            throw new ParameterException(
                    spec.commandLine(), "--service must be NAMESPACE/NAME, not \"" + service + '"');
        }
        if (limit < 1 || limit > 10_000) {
            throw new ParameterException(spec.commandLine(), "--limit must be 1 to 10000, not " + limit);
        }
    }

    private String ofService() {
        return service == null ? "" : "&service=" + service;
    }

    private PrintWriter out() {
        return spec.commandLine().getOut();
    }

    private interface Line {
        void take(JsonNode line);
    }

    /** Prints as soon as nothing more is there, until nobody hears it. */
    private boolean read(InputStream body, Line taker) {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null && !out().checkError(); line = lines.readLine()) {
                JsonNode node = Json.MAPPER.readTree(line);
                if (node.has("notice")) {
                    tell(Json.MAPPER.treeToValue(node, Notice.class).notice());
                } else if (format == Format.JSON) {
                    last = Math.max(last, node.path("id").asLong());
                    out().println(line);
                } else {
                    taker.take(node);
                }
                if (follow && !lines.ready()) {
                    print(drops);
                }
            }
            return true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void tell(String notice) {
        PrintWriter err = spec.commandLine().getErr();
        err.println("! " + notice);
        err.flush();
    }

    private void print(TextTable table) {
        if (format == Format.TEXT) {
            table.print(out());
        }
        out().flush();
    }

    private void addDrop(JsonNode line) {
        Drop drop = Json.MAPPER.treeToValue(line, Drop.class);
        last = drop.id();
        drops.row(
                TIME.format(drop.time().atZone(ZoneId.systemDefault())),
                drop.reason() + (drop.more() ? " (and more)" : ""),
                drop.direction(),
                orDash(drop.device()),
                drop.protocol(),
                service(drop.service(), drop.port()),
                named(drop.source(), drop.sourceName()),
                named(drop.destination(), drop.destinationName()));
    }

    private void addFlow(JsonNode line) {
        Flow flow = Json.MAPPER.treeToValue(line, Flow.class);
        flows.row(
                flow.protocol(),
                flow.state(),
                flow.silentSeconds() + " s",
                service(flow.service(), flow.port()),
                named(flow.client(), flow.clientName()),
                flow.frontend(),
                named(flow.backend(), flow.backendName()),
                flow.source().equals(flow.client()) ? "-" : flow.source());
    }

    private static String service(String service, String port) {
        return orDash(port.isEmpty() ? service : service + ":" + port);
    }

    private static String orDash(String text) {
        return text.isEmpty() ? "-" : text;
    }

    private static String named(String address, String name) {
        return name.isEmpty() ? address : address + " (" + name + ")";
    }
}
