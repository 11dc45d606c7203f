package io.shunt.source;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import io.shunt.source.Problem.Cause;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.exc.InputCoercionException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.util.JsonParserSequence;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.util.TokenBuffer;

/**
 * Reads files of Kubernetes manifests: YAML or JSON, any number of documents, each an object or a List. It goes
 * through a file object by object, so a file may be far larger than the heap. Kinds that no proxy needs are passed
 * over.
 */
final class ManifestReader {
    private static final int MAX_PROBLEMS = 20;
    private static final String SHAPE_CURE = "write objects with apiVersion, kind and metadata";

    private final ObjectReader services;
    private final ObjectReader slices;
    private final ObjectReader nodes;
    private final TokenStreamFactory yaml = new PlainYamlFactory();
    private final TokenStreamFactory json = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();
    private final String nodeName;

    /** @param nodeName of all Nodes only this one is read */
    ManifestReader(String nodeName) {
        JsonMapper mapper = ApiFields.mapper().build();
        this.services = mapper.readerFor(io.fabric8.kubernetes.api.model.Service.class);
        this.slices = mapper.readerFor(io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice.class);
        this.nodes = mapper.readerFor(io.fabric8.kubernetes.api.model.Node.class);
        this.nodeName = nodeName;
    }

    /**
     * Reads {@code file}.
     *
     * @return what it says; if it has problems, not all of it
     * @throws IOException if it cannot be read
     */
    Manifests read(Path file) throws IOException {
        Reading reading = new Reading(file);
        try (JsonParser parser = parser(file)) {
            reading.documents(parser);
        } catch (JacksonException e) {
            IOException unreadable = ioException(e);
            if (unreadable == null) {
                reading.broken(e);
            } else if (unreadable instanceof CharacterCodingException) {
                reading.notText();
            } else {
                throw unreadable;
            }
        }
        return reading.found;
    }

    private static @Nullable IOException ioException(JacksonException e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof IOException found) {
                return found;
            }
        }
        return null;
    }

    private JsonParser parser(Path file) throws IOException {
        if (file.toString().endsWith(".json")) {
            return json.createParser(ObjectReadContext.empty(), Files.newInputStream(file));
        }
        BufferedReader text = Files.newBufferedReader(file);
        return yaml.createParser(ObjectReadContext.empty(), text);
    }

    /** One pass over one file. */
    private final class Reading {
        final Manifests found = new Manifests();
        private final Path file;
        private final String fileName;
        /** Which document of the file is being read, the first is 0. */
        private int document;
        /** The object that is being bound: its kind, and where in its document it stands. */
        private @Nullable String kind;

        private String path = "";

        Reading(Path file) {
            this.file = file;
            this.fileName = String.valueOf(file.getFileName());
        }

        void documents(JsonParser parser) {
            boolean empty = true;
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token == JsonToken.START_OBJECT) {
                    object(parser, "", "", "");
                    empty = false;
                } else if (token != JsonToken.VALUE_NULL) {
                    String text = token == JsonToken.VALUE_STRING ? parser.getString() : "a list or number";
                    if (!text.isBlank()) {
                        int line = parser.currentTokenLocation().getLineNr();
                        problem(fileName, line, "", "is no manifest", SHAPE_CURE);
                        return;
                    }
                }
                document++;
            }
            if (empty) {
                problem(
                        fileName,
                        0,
                        "",
                        "says nothing, as a file does that is still being written",
                        "remove the file if its objects shall go");
            }
        }

        /**
         * Reads one object, at whose start {@code parser} stands. Its kind may come after its contents; until it is
         * known they are held as tokens. A list's items, which may be many, are read as they come.
         *
         * @param where the object's path in its document
         * @param knownApiVersion what the list around it says of its items, or ""
         */
        private void object(JsonParser parser, String where, String knownApiVersion, String knownKind) {
            String apiVersion = knownApiVersion;
            String kindSaid = knownKind;
            if (!kindSaid.isEmpty() && !apiVersion.isEmpty()) {
                bind(parser, where, apiVersion, kindSaid);
                return;
            }
            boolean list = false;
            TokenBuffer held = new TokenBuffer(ObjectWriteContext.empty(), false);
            held.writeStartObject();
            while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
                String field = parser.currentName();
                JsonToken value = parser.nextToken();
                if (field.equals("kind") && value == JsonToken.VALUE_STRING) {
                    kindSaid = parser.getString();
                    list |= kindSaid.endsWith("List");
                } else if (field.equals("apiVersion") && value == JsonToken.VALUE_STRING) {
                    apiVersion = parser.getString();
                } else if (field.equals("items") && value == JsonToken.START_ARRAY && (list || kindSaid.isEmpty())) {
                    list = true;
                    items(parser, FieldPath.join(where, "items"), apiVersion, kindSaid);
                } else if (list) {
                    parser.skipChildren();
                } else {
                    held.writeName(field);
                    held.copyCurrentStructure(parser);
                }
                if (!list && !apiVersion.isEmpty() && !kindSaid.isEmpty()) {
                    parser.clearCurrentToken();
                    JsonParser whole =
                            JsonParserSequence.createFlattened(false, held.asParser(ObjectReadContext.empty()), parser);
                    whole.nextToken();
                    bind(whole, where, apiVersion, kindSaid);
                    return;
                }
            }
            if (!list) {
                String missing = apiVersion.isEmpty() ? "apiVersion" : "kind";
                problem(fileName, line(where), FieldPath.join(where, missing), "is missing", SHAPE_CURE);
            }
        }

        private void items(JsonParser parser, String where, String apiVersion, String listKind) {
            String itemKind = listKind.equals("List") || listKind.isEmpty()
                    ? ""
                    : listKind.substring(0, listKind.length() - "List".length());
            for (int i = 0; parser.nextToken() != JsonToken.END_ARRAY; i++) {
                String item = where + "[" + i + "]";
                if (parser.currentToken() == JsonToken.START_OBJECT) {
                    object(parser, item, itemKind.isEmpty() ? "" : apiVersion, itemKind);
                } else {
                    problem(fileName, line(item), item, "is no manifest", SHAPE_CURE);
                    parser.skipChildren();
                }
            }
        }

        /** Binds and converts the object at whose start {@code parser} stands, and reads to its end. */
        private void bind(JsonParser parser, String where, String apiVersion, String objectKind) {
            kind = objectKind;
            path = where;
            switch (apiVersion + " " + objectKind) {
                case "v1 Service" -> service(services.readValue(parser));
                case "discovery.k8s.io/v1 EndpointSlice" -> slice(slices.readValue(parser));
                case "v1 Node" -> node(nodes.readValue(parser));
                default -> parser.skipChildren();
            }
            kind = null;
        }

        private void service(io.fabric8.kubernetes.api.model.Service raw) {
            try {
                Converted<Service> converted = Conversion.service(raw);
                converted.leftOut().forEach(entry -> invalid(entry, raw));
                add(found.services, "Service", converted);
            } catch (InvalidObjectException e) {
                invalid(e, raw);
            }
        }

        private void slice(io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice raw) {
            try {
                Converted<io.shunt.cluster.EndpointSlice> converted = Conversion.slice(raw);
                converted.leftOut().forEach(entry -> invalid(entry, raw));
                add(found.slices, "EndpointSlice", converted);
            } catch (InvalidObjectException e) {
                invalid(e, raw);
            }
        }

        private void node(io.fabric8.kubernetes.api.model.Node raw) {
            if (raw.getMetadata() == null || !nodeName.equals(raw.getMetadata().getName())) {
                return;
            }
            try {
                found.node = Conversion.node(raw);
            } catch (InvalidObjectException e) {
                invalid(e, raw);
            }
        }

        private <T> void add(Map<ObjectName, T> objects, String objectKind, Converted<T> converted) {
            if (converted.object() == null) {
                found.notServed.add(objectKind + " " + converted.name() + " is " + converted.notServed());
            } else if (objects.putIfAbsent(converted.name(), converted.object()) != null) {
                problem(
                        objectKind + " " + converted.name(),
                        line(FieldPath.join(path, "metadata.name")),
                        "metadata.name",
                        "is in this file twice",
                        "remove one");
            }
        }

        private void invalid(InvalidObjectException e, HasMetadata raw) {
            if (found.problems.size() < MAX_PROBLEMS) {
                String field = FieldPath.join(path, e.field());
                found.problems.add(e.problem(describe(raw), fileName + ":" + line(field)));
            }
        }

        private String describe(HasMetadata raw) {
            ObjectMeta metadata = raw.getMetadata();
            return describe(
                    metadata == null ? null : metadata.getNamespace(), metadata == null ? null : metadata.getName());
        }

        private String describe(@Nullable String namespace, @Nullable String name) {
            String namespaced = "Node".equals(kind) ? "" : (namespace == null ? "default" : namespace) + "/";
            return kind + " " + (name == null ? "without a name" : namespaced + name);
        }

        /** Not YAML or JSON, or an object with a field of the wrong type: either way there is no reading on. */
        void broken(JacksonException e) {
            String field = FieldPath.of(e);
            String expected = expected(e);
            if (kind == null || field.isEmpty() || expected.isEmpty()) {
                problem(fileName, syntaxLine(e), "", syntaxMessage(e), "correct it");
                return;
            }
            String whole = FieldPath.join(path, field);
            problem(
                    describe(text("metadata.namespace"), text("metadata.name")),
                    line(whole),
                    field,
                    "is not " + expected,
                    "write " + expected);
        }

        void notText() {
            problem(fileName, 0, "", "is not UTF-8 text", "save it as UTF-8");
        }

        private int line(String where) {
            return find(where).line();
        }

        private @Nullable String text(String field) {
            return find(FieldPath.join(path, field)).text();
        }

        /** Looks in the file again, as a parser that has gone past a field no longer knows where it was. */
        private FieldPath.Place find(String where) {
            try (JsonParser again = parser(file)) {
                return FieldPath.find(again, document, where);
            } catch (IOException | JacksonException e) {
                return new FieldPath.Place(0, null);
            }
        }

        private void problem(String object, int line, String field, String message, String cure) {
            if (found.problems.size() < MAX_PROBLEMS) {
                String where = line == 0 ? fileName : fileName + ":" + line;
                found.problems.add(new Problem(Cause.SYNTAX, object, where, field, message, cure));
            }
        }
    }

    /** What Jackson wanted where it found something else, in words; "" if that is not what is wrong. */
    private static String expected(JacksonException e) {
        Class<?> type = e instanceof MismatchedInputException mismatch
                ? mismatch.getTargetType()
                : e instanceof InputCoercionException coercion ? coercion.getTargetType() : null;
        if (type == null) {
            return "";
        } else if (Number.class.isAssignableFrom(type) || type == int.class) {
            return "a whole number";
        } else if (type == Boolean.class || type == boolean.class) {
            return "true or false";
        } else if (type == String.class) {
            return "text";
        } else if (Iterable.class.isAssignableFrom(type)) {
            return "a list";
        }
        return "an object";
    }

    private static int syntaxLine(JacksonException e) {
        if (e.getCause() instanceof MarkedYamlEngineException yamlError
                && yamlError.getProblemMark().isPresent()) {
            return yamlError.getProblemMark().get().getLine() + 1;
        }
        return e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getLineNr());
    }

    private static String syntaxMessage(JacksonException e) {
        if (e.getCause() instanceof MarkedYamlEngineException yamlError) {
            return "is no YAML: " + yamlError.getProblem();
        }
        return "cannot be parsed: " + e.getOriginalMessage().lines().findFirst().orElse("");
    }
}
