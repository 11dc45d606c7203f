package io.shunt.chart;

import com.marcnuri.helm.Helm;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

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
