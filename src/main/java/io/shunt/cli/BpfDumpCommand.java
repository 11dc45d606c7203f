package io.shunt.cli;

import io.shunt.api.Json;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.SequenceWriter;

@Command(
        name = "dump",
        description = "Prints every entry of the pinned maps, decoded: what the kernel really has. Changes nothing;"
                + " needs root.",
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt bpf dump | grep '^frontends'         which service stands behind which address",
            "  shunt bpf dump -o json | jq '.[] | select(.map == \"backends\")'"
        })
final class BpfDumpCommand implements Callable<Integer> {
    private final PinnedState pinned;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    enum Format {
        TEXT,
        JSON
    }

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FORMAT",
            defaultValue = "text",
            description = "`text`, a line an entry; or `json`, an array of entries.")
    private Format format = Format.TEXT;

    @Mixin
    private BpfRootOption bpfRoot = new BpfRootOption();

    BpfDumpCommand(PinnedState pinned) {
        this.pinned = pinned;
    }

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        switch (format) {
            case TEXT -> pinned.dump(bpfRoot.directory(), (map, fields) -> out.println(line(map, fields)));
            case JSON -> {
                try (SequenceWriter array =
                        Json.MAPPER.writer().withRootValueSeparator("\n").writeValuesAsArray(out)) {
                    pinned.dump(bpfRoot.directory(), (map, fields) -> {
                        Map<String, Object> entry = new LinkedHashMap<>();
                        entry.put("map", map);
                        entry.putAll(fields);
                        array.write(entry);
                    });
                }
                out.println();
            }
        }
        return 0;
    }

    private static String line(String map, Map<String, ?> fields) {
        return fields.entrySet().stream()
                .map(field -> field.getKey() + "=" + field.getValue())
                .collect(Collectors.joining(" ", map + " ", ""));
    }
}
