package io.shunt.source;

import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/** A field's path, {@code spec.ports[0].port} or {@code metadata.labels[a.b/c]}, as messages show it, and where it stands in a file. */
final class FieldPath {
    private static final Pattern STEP = Pattern.compile("[^.\\[\\]]+|\\[[^\\]]*]");
    private static final Pattern INDEX = Pattern.compile("\\[\\d+]");

    private FieldPath() {}

    /** Where a path ends in a file. */
    record Place(int line, @Nullable String text) {}

    /** The path on which Jackson stumbled. */
    static String of(JacksonException e) {
        StringBuilder path = new StringBuilder();
        for (JacksonException.Reference step : e.getPath()) {
            if (step.getPropertyName() == null) {
                path.append('[').append(step.getIndex()).append(']');
            } else {
                path.append(path.isEmpty() ? "" : ".").append(step.getPropertyName());
            }
        }
        return path.toString();
    }

    /** {@code inner} seen from {@code outer}; either may be "". */
    static String join(String outer, String inner) {
        return outer.isEmpty() || inner.isEmpty() ? outer + inner : outer + "." + inner;
    }

    /**
     * Reads on to the deepest part of {@code path} that is there.
     *
     * @param parser at its start
     * @param document in which of the stream's documents, the first is 0
     * @return its line, and its value if the whole path is there and ends in a scalar
     */
    static Place find(JsonParser parser, int document, String path) {
        for (int i = 0; i < document; i++) {
            parser.nextToken();
            parser.skipChildren();
        }
        JsonToken token = parser.nextToken();
        int line = line(parser);
        List<String> steps =
                STEP.matcher(path).results().map(step -> step.group()).toList();
        for (String step : steps) {
            boolean index = INDEX.matcher(step).matches();
            boolean found = index
                    ? token == JsonToken.START_ARRAY && toElement(parser, step)
                    : token == JsonToken.START_OBJECT && toProperty(parser, key(step));
            if (!found) {
                return new Place(line, null);
            }
            line = line(parser);
            token = index ? parser.currentToken() : parser.nextToken();
        }
        return new Place(line, token != null && token.isScalarValue() ? parser.getString() : null);
    }

    /** {@code [shunt.io/weight]} is a key that looks like a path itself. */
    private static String key(String step) {
        return step.startsWith("[") ? step.substring(1, step.length() - 1) : step;
    }

    private static boolean toProperty(JsonParser parser, String name) {
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            if (name.equals(parser.currentName())) {
                return true;
            }
            parser.nextToken();
            parser.skipChildren();
        }
        return false;
    }

    private static boolean toElement(JsonParser parser, String step) {
        for (int left = Integer.parseInt(step.substring(1, step.length() - 1)); left >= 0; left--) {
            if (parser.nextToken() == JsonToken.END_ARRAY) {
                return false;
            }
            if (left > 0) {
                parser.skipChildren();
            }
        }
        return true;
    }

    private static int line(JsonParser parser) {
        return parser.currentTokenLocation().getLineNr();
    }
}
