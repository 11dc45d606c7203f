package io.shunt.cli;

import io.shunt.api.Json;
import java.io.PrintWriter;
import java.util.Locale;
import tools.jackson.databind.MapperFeature;
import tools.jackson.dataformat.yaml.YAMLMapper;
import tools.jackson.dataformat.yaml.YAMLWriteFeature;

/** How a command shows what it has found. */
enum OutputFormat {
    /** For people. */
    TABLE,
    /** For people with wide screens. */
    WIDE,
    JSON,
    YAML;

    /**
     * Writes what the API answered, for programs.
     *
     * @throws IllegalStateException if this format is for people
     */
    void write(Object answer, PrintWriter out) {
        out.println(
                switch (this) {
                    case JSON -> Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(answer);
                    case YAML -> yaml().writeValueAsString(answer).stripTrailing();
                    case TABLE, WIDE -> throw new IllegalStateException(this + " is for people");
                });
    }

    private static YAMLMapper yaml() {
        return YAMLMapper.builder()
                .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
                .disable(YAMLWriteFeature.WRITE_DOC_START_MARKER)
                .enable(YAMLWriteFeature.MINIMIZE_QUOTES)
                .enable(YAMLWriteFeature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
                .build();
    }

    /** As it is given. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
