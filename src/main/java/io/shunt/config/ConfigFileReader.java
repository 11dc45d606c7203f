package io.shunt.config;

import io.shunt.config.Shape.Notation;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;

/**
 * Reads one file, from its first token to its last, so that what is wrong is named with its line. As kube-proxy it is
 * lenient with fields it does not know and with fields given twice, of which the last counts; and a field that is null
 * or empty was not given.
 */
final class ConfigFileReader {
    static final String API_VERSION = "kubeproxy.config.k8s.io/v1alpha1";
    static final String KIND = "KubeProxyConfiguration";
    private static final TokenStreamFactory YAML = new YAMLFactory();
    private static final TokenStreamFactory JSON = new JsonFactory();

    private static final Map<String, KubeProxySetting<?>> SETTINGS = KubeProxySettings.all().stream()
            .filter(setting -> !setting.field().isEmpty())
            .collect(Collectors.toMap(KubeProxySetting::field, Function.identity()));

    /** Durations of which 0 was given all the same: pointers in kube-proxy's own type. */
    private static final Set<KubeProxySetting<?>> ZERO_COUNTS =
            Set.of(KubeProxySettings.TCP_ESTABLISHED_TIMEOUT, KubeProxySettings.TCP_CLOSE_WAIT_TIMEOUT);

    /** The fields that hold fields. */
    private static final Set<String> SECTIONS = sections();

    private final Path path;
    private final String text;
    private final KubeProxyConfiguration.Builder says = KubeProxyConfiguration.builder();
    private final List<String> unknown = new ArrayList<>();
    private final Set<String> seen = new HashSet<>();

    ConfigFileReader(Path path, String text) {
        this.path = path;
        this.text = text;
    }

    private static Set<String> sections() {
        Set<String> sections = new HashSet<>();
        for (String field : SETTINGS.keySet()) {
            for (int dot = field.indexOf('.'); dot >= 0; dot = field.indexOf('.', dot + 1)) {
                sections.add(field.substring(0, dot));
            }
        }
        return sections;
    }

    /** @throws ConfigurationException if it says something wrong */
    ConfigFile read() {
        TokenStreamFactory format = text.stripLeading().startsWith("{") ? JSON : YAML;
        try (JsonParser parser = format.createParser(ObjectReadContext.empty(), text)) {
            JsonToken first = parser.nextToken();
            if (first == JsonToken.START_OBJECT) {
                section(parser, "");
            } else if (first != null && first != JsonToken.VALUE_NULL) {
                throw wrong(parser, "must be the fields of a " + KIND + ", not " + found(parser));
            }
            checkKind("apiVersion", API_VERSION);
            checkKind("kind", KIND);
            if (parser.nextToken() != null) {
                unknown.add("what follows the first document");
            }
        } catch (JacksonException e) {
            int line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
            throw new ConfigurationException(
                    at(line) + "no YAML or JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse("") + ": correct it",
                    e);
        }
        defaultsOfFamily();
        return new ConfigFile(path, says.build(), List.copyOf(unknown));
    }

    private void checkKind(String field, String wanted) {
        if (!seen.contains(field)) {
            throw new ConfigurationException(at(0) + field + " is missing: write " + field + ": " + wanted);
        }
    }

    /** kube-proxy serves where the bind address's family is at home (pkg/proxy/apis/config/v1alpha1/defaults.go). */
    private void defaultsOfFamily() {
        boolean v6 = says.build()
                .get(KubeProxySettings.BIND_ADDRESS)
                .filter(address -> !address.isV4())
                .isPresent();
        if (v6 && !says.has(KubeProxySettings.HEALTHZ_BIND_ADDRESS)) {
            says.set(KubeProxySettings.HEALTHZ_BIND_ADDRESS, List.of("[::]:" + KubeProxySettings.HEALTHZ_PORT), path);
        }
        if (v6 && !says.has(KubeProxySettings.METRICS_BIND_ADDRESS)) {
            says.set(KubeProxySettings.METRICS_BIND_ADDRESS, List.of("[::1]:" + KubeProxySettings.METRICS_PORT), path);
        }
    }

    /** Reads the fields of an object whose start is the current token. */
    private void section(JsonParser parser, String section) {
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            String field = section.isEmpty() ? name : section + "." + name;
            parser.nextToken();
            if (parser instanceof YAMLParser yaml && yaml.isCurrentAlias()) {
                throw wrong(parser, field + " is an alias: write out what it stands for");
            }
            if (!seen.add(field)) {
                unknown.add(field + " a second time, which counts");
            }
            if (name.contains(".")) {
                unknown(parser, field);
            } else {
                field(parser, field);
            }
        }
    }

    private void field(JsonParser parser, String field) {
        KubeProxySetting<?> setting = SETTINGS.get(field);
        if (setting != null) {
            setting(parser, setting);
        } else if (SECTIONS.contains(field)) {
            if (parser.currentToken() == JsonToken.START_OBJECT) {
                section(parser, field);
            } else if (parser.currentToken() != JsonToken.VALUE_NULL) {
                throw wrong(parser, field + " must hold fields, not " + found(parser));
            }
        } else if (field.equals("apiVersion")) {
            kind(parser, field, API_VERSION);
        } else if (field.equals("kind")) {
            kind(parser, field, KIND);
        } else {
            unknown(parser, field);
        }
    }

    private void unknown(JsonParser parser, String field) {
        unknown.add(field);
        parser.skipChildren();
    }

    private void kind(JsonParser parser, String field, String wanted) {
        if (parser.currentToken() != JsonToken.VALUE_STRING
                || !parser.getString().equals(wanted)) {
            throw wrong(parser, field + " must be " + wanted + ", not " + found(parser));
        }
    }

    private void setting(JsonParser parser, KubeProxySetting<?> setting) {
        int line = line(parser);
        try {
            List<String> texts = texts(parser, setting.shape());
            if (texts != null && !isNothing(setting, texts)) {
                says.set(setting, texts, path);
            }
        } catch (WrongValueException e) {
            throw new ConfigurationException(at(line) + setting.field() + e.index() + " " + e.getMessage(), e);
        }
    }

    private static boolean isNothing(KubeProxySetting<?> setting, List<String> texts) {
        Shape<?> shape = setting.shape();
        boolean duration = shape.label().equals(Shape.DURATION) && !ZERO_COUNTS.contains(setting);
        return texts.isEmpty()
                || (texts.equals(List.of("")) && shape.notation() == Notation.TEXT)
                || (duration
                        && GoDuration.parse(texts.getFirst())
                                .filter(Duration::isZero)
                                .isPresent());
    }

    /** The texts of the value whose first token is the current one; null if it is null. */
    private static @Nullable List<String> texts(JsonParser parser, Shape<?> shape) {
        JsonToken token = parser.currentToken();
        if (token == JsonToken.VALUE_NULL) {
            return null;
        }
        return switch (shape.notation()) {
            case TEXT -> List.of(scalar(parser, -1, shape, token == JsonToken.VALUE_STRING));
            case NUMBER -> List.of(scalar(parser, -1, shape, token.isNumeric()));
            case NUMBER_OR_TEXT ->
                List.of(scalar(parser, -1, shape, token.isNumeric() || token == JsonToken.VALUE_STRING));
            case TRUTH -> List.of(scalar(parser, -1, shape, token.isBoolean()));
            case TEXTS -> elements(parser, shape);
            case TRUTHS -> truths(parser, shape);
            case ANYTHING -> anything(parser);
        };
    }

    private static String scalar(JsonParser parser, int index, Shape<?> shape, boolean fits) {
        if (!fits) {
            boolean unquoted = shape.notation() == Notation.TEXT || shape.notation() == Notation.TEXTS;
            boolean cured = unquoted && parser.currentToken().isScalarValue();
            throw Shape.wrong(index, shape.wanted(), found(parser) + (cured ? ": put it in quotes" : ""));
        }
        return parser.getString();
    }

    private static List<String> elements(JsonParser parser, Shape<?> shape) {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw Shape.wrong(-1, "a list", found(parser));
        }
        List<String> texts = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            texts.add(scalar(parser, texts.size(), shape, parser.currentToken() == JsonToken.VALUE_STRING));
        }
        return texts;
    }

    private static List<String> truths(JsonParser parser, Shape<?> shape) {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw Shape.wrong(-1, "fields, each true or false", found(parser));
        }
        List<String> texts = new ArrayList<>();
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            if (!parser.nextToken().isBoolean()) {
                throw Shape.wrong(-1, "fields, each true or false", name + ": " + found(parser));
            }
            texts.add(name + "=" + parser.getString());
        }
        return texts;
    }

    /** Whether there is anything is all that is wanted. */
    private static List<String> anything(JsonParser parser) {
        if (parser.currentToken().isScalarValue()) {
            return List.of(parser.getString());
        }
        List<String> texts = new ArrayList<>();
        for (int depth = 1; depth > 0; ) {
            JsonToken token = parser.nextToken();
            depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
            if (token.isScalarValue()) {
                texts.add(parser.getString());
            }
        }
        return texts;
    }

    /** The current value as messages show it. */
    private static String found(JsonParser parser) {
        return switch (parser.currentToken()) {
            case START_OBJECT -> "fields";
            case START_ARRAY -> "a list";
            case VALUE_STRING -> '"' + parser.getString() + '"';
            default -> parser.getString();
        };
    }

    private ConfigurationException wrong(JsonParser parser, String message) {
        return new ConfigurationException(at(line(parser)) + message);
    }

    private static int line(JsonParser parser) {
        return parser.currentTokenLocation().getLineNr();
    }

    /** How messages begin. */
    private String at(int line) {
        return "--config " + path + ": " + (line > 0 ? "line " + line + ": " : "");
    }
}
