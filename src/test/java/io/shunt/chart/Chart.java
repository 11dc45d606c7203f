package io.shunt.chart;

import com.marcnuri.helm.Helm;
import com.marcnuri.helm.LintResult;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** The chart, rendered by helm with some values. */
public final class Chart {
    public static final Path DIRECTORY = Path.of("charts/shunt");

    private final List<HasMetadata> objects;

    private Chart(List<HasMetadata> objects) {
        this.objects = objects;
    }

    /**
     * Renders it beside its own values with these, in YAML, and reads each object strictly.
     *
     * @throws IllegalStateException with what helm says, if it refuses them
     */
    public static Chart of(String values) {
        return of(values, "1.36.0");
    }

    static Chart of(String values, String kubeVersion) {
        try {
            Path file = Files.createTempFile("shunt-values", ".yaml");
            try {
                Files.writeString(file, values);
                return new Chart(StrictObjects.read(new Helm(DIRECTORY)
                        .template()
                        .withName("shunt")
                        .withNamespace("kube-system")
                        .withKubeVersion(kubeVersion)
                        .withValuesFile(file)
                        .call()));
            } finally {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * What `helm lint --strict` says of it with these values, in YAML. helm-java's lint takes none beside the chart's own,
     * so that they become its own, in a copy.
     *
     * @param directory for the copy
     */
    static LintResult lint(String values, Path directory) throws IOException {
        Path copy = directory.resolve("shunt");
        copy(DIRECTORY, copy);
        Path own = copy.resolve("values.yaml");
        ObjectMapper yaml = new YAMLMapper();
        ObjectNode merged = (ObjectNode) yaml.readTree(Files.readString(own));
        merge(merged, yaml.readTree(values));
        Files.writeString(own, yaml.writeValueAsString(merged));
        return new Helm(copy).lint().strict().call();
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file)));
            }
        }
    }

    /** As helm does: objects are merged, null takes a value away, and all else takes another's place. */
    private static void merge(ObjectNode values, JsonNode more) {
        more.properties().forEach(field -> {
            JsonNode before = values.get(field.getKey());
            if (field.getValue().isNull()) {
                values.remove(field.getKey());
            } else if (before instanceof ObjectNode object && field.getValue().isObject()) {
                merge(object, field.getValue());
            } else {
                values.set(field.getKey(), field.getValue());
            }
        });
    }

    public List<HasMetadata> objects() {
        return objects;
    }

    /** The objects of one kind. */
    public <T extends HasMetadata> List<T> all(Class<T> kind) {
        return objects.stream().filter(kind::isInstance).map(kind::cast).toList();
    }

    /** The one object of its kind. */
    public <T extends HasMetadata> T one(Class<T> kind) {
        List<T> found = all(kind);
        if (found.size() != 1) {
            throw new AssertionError(found.size() + " objects of kind " + kind.getSimpleName());
        }
        return found.getFirst();
    }

    PodSpec pod() {
        return one(DaemonSet.class).getSpec().getTemplate().getSpec();
    }

    public Container daemon() {
        return pod().getContainers().getFirst();
    }
}
