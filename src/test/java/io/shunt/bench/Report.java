package io.shunt.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The results as a page, put together from what each part found when it was last measured. */
final class Report {
    static final String FILE = "results.md";

    /** In the order of the page. */
    private static final List<String> PARTS = List.of("connect", "netfilter", "packets", "node", "change", "start");

    private static final JsonMapper MAPPER =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private final Path directory;

    Report(Path directory) {
        this.directory = directory;
    }

    void save(PartResult result) throws IOException {
        Files.writeString(file(result.name()), MAPPER.writeValueAsString(result) + "\n");
    }

    private Path file(String part) {
        return directory.resolve(part + ".json");
    }

    void write() throws IOException {
        List<PartResult> results = new ArrayList<>();
        for (String part : PARTS) {
            if (Files.exists(file(part))) {
                results.add(MAPPER.readValue(Files.readString(file(part)), PartResult.class));
            }
        }
        StringBuilder page =
                new StringBuilder("# Results\n\nWritten by `make bench`; [README.md](README.md) says how it"
                        + " measures.\n\n## Targets\n\n");
        List<List<String>> judged = new ArrayList<>();
        for (PartResult result : results) {
            for (PartResult.Judged target : result.targets()) {
                judged.add(List.of(
                        target.what(), target.target(), target.measured(), target.met() ? "met" : "**missed**"));
            }
        }
        table(page, List.of("what", "target", "measured", ""), judged);
        for (PartResult result : results) {
            page.append("\n## ").append(result.title()).append("\n\n");
            page.append("Measured ")
                    .append(result.measured())
                    .append(" on ")
                    .append(result.machine())
                    .append(".\n");
            for (PartResult.Table table : result.tables()) {
                page.append("\n### ").append(table.title()).append("\n\n");
                table(page, table.columns(), table.rows());
            }
            for (String chart : result.charts()) {
                page.append("\n![")
                        .append(result.title())
                        .append("](")
                        .append(chart)
                        .append(")\n");
            }
            page.append('\n');
            result.notes().forEach(note -> page.append("- ").append(note).append('\n'));
        }
        Files.writeString(directory.resolve(FILE), page);
    }

    private static void table(StringBuilder page, List<String> columns, List<List<String>> rows) {
        line(page, columns);
        line(page, columns.stream().map(column -> "---").toList());
        rows.forEach(row -> line(page, row));
    }

    private static void line(StringBuilder page, List<String> cells) {
        page.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }
}
