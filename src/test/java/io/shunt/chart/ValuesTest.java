package io.shunt.chart;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** values.yaml, values.schema.json and the table of the README say the same. */
class ValuesTest {
    private static final Path README = Chart.DIRECTORY.resolve("README.md");
    private static final String BEGIN = "<!-- values: written by `make docs` from values.yaml -->\n";
    private static final String END = "<!-- end of values -->\n";

    private final ValuesTable values = new ValuesTable(Files.readString(Chart.DIRECTORY.resolve("values.yaml")));

    ValuesTest() throws IOException {}

    @Test
    void everyValue_isExplained() {
        assertThat(values.leaves())
                .filteredOn(leaf -> values.meanings().keySet().stream().noneMatch(path -> isIn(leaf, path)))
                .as("values without a comment \"# -- ...\" above them in values.yaml")
                .isEmpty();
        assertThat(values.meanings())
                .allSatisfy((path, meaning) -> assertThat(meaning).as(path).endsWith("."));
    }

    private static boolean isIn(String path, String whole) {
        return path.equals(whole) || path.startsWith(whole + ".");
    }

    @Test
    void theReadmesTable_isWhatTheValuesSay() throws IOException {
        String readme = Files.readString(README);
        int from = readme.indexOf(BEGIN) + BEGIN.length();
        int to = readme.indexOf(END);
        assertThat(readme).contains(BEGIN, END);
        String wanted = readme.substring(0, from) + values.markdown() + readme.substring(to);

        if (Boolean.getBoolean("shunt.docs.write")) {
            Files.writeString(README, wanted);
        }

        assertThat(README)
                .as("run `make docs` (mvn test -Dtest=ValuesTest -Dshunt.docs.write=true)")
                .hasContent(wanted);
    }

    @Test
    void theSchema_knowsJustTheValuesThatThereAre() throws IOException {
        List<String> known = new ArrayList<>();
        gather(
                "",
                JsonMapper.shared().readTree(Files.readString(Chart.DIRECTORY.resolve("values.schema.json"))),
                known);

        assertThat(values.leaves())
                .filteredOn(leaf -> known.stream().noneMatch(path -> isIn(leaf, path) || isIn(path, leaf)))
                .as("values that values.schema.json does not know")
                .isEmpty();
        // What charts around it set for all.
        known.remove("global");
        assertThat(known)
                .filteredOn(path -> values.meanings().keySet().stream().noneMatch(explained -> isIn(path, explained)))
                .as("values of values.schema.json that values.yaml does not have")
                .isEmpty();
    }

    /** Gathers the paths of a schema that are no objects, or objects of any fields; no other may take unknown fields. */
    private static void gather(String path, JsonNode schema, List<String> known) {
        JsonNode properties = schema.path("properties");
        if (properties.isMissingNode()) {
            known.add(path);
        } else {
            assertThat(schema.path("additionalProperties"))
                    .as("%s takes unknown fields", path)
                    .isEqualTo(JsonMapper.shared().getNodeFactory().booleanNode(false));
            properties
                    .properties()
                    .forEach(field -> gather(
                            path.isEmpty() ? field.getKey() : path + "." + field.getKey(), field.getValue(), known));
        }
    }
}
