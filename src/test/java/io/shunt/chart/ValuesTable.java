package io.shunt.chart;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** The values of the chart with what values.yaml says of each in a comment that begins with "# -- ", as helm-docs has it. */
final class ValuesTable {
    private static final Pattern KEY = Pattern.compile("( *)([A-Za-z0-9]+):.*");
    private static final Pattern COMMENT = Pattern.compile(" *# ?(-- )?(.*)");

    private final Map<String, String> meanings = new LinkedHashMap<>();
    private final JsonNode values;

    ValuesTable(String yaml) {
        values = new YAMLMapper().readTree(yaml);
        List<String> path = new ArrayList<>();
        String meaning = "";
        for (String line : yaml.lines().toList()) {
            Matcher comment = COMMENT.matcher(line);
            Matcher key = KEY.matcher(line);
            if (comment.matches()) {
                meaning = comment.group(1) != null
                        ? comment.group(2)
                        : meaning.isEmpty() ? "" : meaning + " " + comment.group(2);
            } else {
                if (key.matches()) {
                    path.subList(key.group(1).length() / 2, path.size()).clear();
                    path.add(key.group(2));
                    if (!meaning.isEmpty()) {
                        meanings.put(String.join(".", path), meaning);
                    }
                }
                meaning = "";
            }
        }
    }

    /** What is said of each value, by its path; of an object with a comment, once for all in it. */
    Map<String, String> meanings() {
        return meanings;
    }

    JsonNode value(String path) {
        return values.at("/" + path.replace('.', '/'));
    }

    /** The paths of all values that are no objects, or empty ones. */
    List<String> leaves() {
        List<String> leaves = new ArrayList<>();
        gather("", values, leaves);
        return leaves;
    }

    private static void gather(String path, JsonNode node, List<String> leaves) {
        if (node.isObject() && !node.isEmpty()) {
            node.properties()
                    .forEach(field -> gather(
                            path.isEmpty() ? field.getKey() : path + "." + field.getKey(), field.getValue(), leaves));
        } else {
            leaves.add(path);
        }
    }

    String markdown() {
        StringBuilder table = new StringBuilder("| value | default | meaning |\n|---|---|---|\n");
        meanings.forEach((path, meaning) -> table.append("| `")
                .append(path)
                .append("` | `")
                .append(JsonMapper.shared().writeValueAsString(value(path)))
                .append("` | ")
                .append(meaning.replace("|", "\\|"))
                .append(" |\n"));
        return table.toString();
    }
}
