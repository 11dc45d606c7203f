package io.shunt.chart;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.LabelSelector;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.api.model.rbac.ClusterRoleBinding;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MappingIterator;
import tools.jackson.databind.ValueDeserializer;
import tools.jackson.databind.annotation.JsonDeserialize;
import tools.jackson.databind.cfg.MapperConfig;
import tools.jackson.databind.introspect.Annotated;
import tools.jackson.databind.introspect.JacksonAnnotationIntrospector;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** Reads manifests as a strict API server does: a field that a kind does not have, or that stands there twice, fails. */
final class StrictObjects {
    private static final Map<String, Class<? extends HasMetadata>> KINDS = Map.of(
            "apps/v1 DaemonSet", DaemonSet.class,
            "v1 ServiceAccount", ServiceAccount.class,
            "v1 Service", Service.class,
            "v1 ConfigMap", ConfigMap.class,
            "rbac.authorization.k8s.io/v1 ClusterRole", ClusterRole.class,
            "rbac.authorization.k8s.io/v1 ClusterRoleBinding", ClusterRoleBinding.class,
            "monitoring.coreos.com/v1 ServiceMonitor", ServiceMonitor.class,
            "monitoring.coreos.com/v1 PodMonitor", PodMonitor.class,
            "monitoring.coreos.com/v1 PrometheusRule", PrometheusRule.class);

    /** fabric8's models keep fields that they do not know, by a method for any. */
    private static final class NoFieldsButTheirOwn extends JacksonAnnotationIntrospector {
        private static final long serialVersionUID = 1;

        @Override
        public Boolean hasAnySetter(MapperConfig<?> config, Annotated method) {
            return false;
        }
    }

    private static final YAMLMapper YAML = YAMLMapper.builder()
            .annotationIntrospector(new NoFieldsButTheirOwn())
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    private StrictObjects() {}

    static List<HasMetadata> read(String manifests) {
        List<HasMetadata> objects = new ArrayList<>();
        try (MappingIterator<JsonNode> documents =
                YAML.readerFor(JsonNode.class).readValues(manifests)) {
            while (documents.hasNext()) {
                JsonNode document = documents.next();
                if (!document.isEmpty()) {
                    objects.add(object(document));
                }
            }
        }
        return List.copyOf(objects);
    }

    private static HasMetadata object(JsonNode document) {
        String kind = document.path("apiVersion").asString() + " "
                + document.path("kind").asString();
        Class<? extends HasMetadata> type = KINDS.get(kind);
        if (type == null) {
            throw new AssertionError("the chart makes no " + kind);
        }
        return YAML.treeToValue(document, type);
    }

    /** What all kinds of the Prometheus operator have; of theirs, only what Shunt's chart uses is here. */
    @JsonDeserialize(using = ValueDeserializer.None.class)
    abstract static class Monitoring implements HasMetadata {
        private static final long serialVersionUID = 1;

        @JsonProperty
        private @Nullable String apiVersion;

        @JsonProperty
        private @Nullable String kind;

        @JsonProperty
        private ObjectMeta metadata = new ObjectMeta();

        @Override
        public ObjectMeta getMetadata() {
            return metadata;
        }

        @Override
        public void setMetadata(ObjectMeta metadata) {
            this.metadata = metadata;
        }

        @Override
        public void setApiVersion(String apiVersion) {
            this.apiVersion = apiVersion;
        }
    }

    record Relabeling(
            @Nullable List<String> sourceLabels,
            @Nullable String separator,
            @Nullable String targetLabel,
            @Nullable String regex,
            @Nullable Long modulus,
            @Nullable String replacement,
            @Nullable String action) {}

    record Endpoint(
            String port,
            @Nullable String interval,
            boolean honorLabels,
            List<Relabeling> relabelings,
            @Nullable List<Relabeling> metricRelabelings) {}

    static final class ServiceMonitor extends Monitoring {
        private static final long serialVersionUID = 1;

        record Spec(LabelSelector selector, List<Endpoint> endpoints) {}

        @JsonProperty(required = true)
        Spec spec = new Spec(new LabelSelector(), List.of());
    }

    static final class PodMonitor extends Monitoring {
        private static final long serialVersionUID = 1;

        record Spec(LabelSelector selector, List<Endpoint> podMetricsEndpoints) {}

        @JsonProperty(required = true)
        Spec spec = new Spec(new LabelSelector(), List.of());
    }

    static final class PrometheusRule extends Monitoring {
        private static final long serialVersionUID = 1;

        record Rule(
                @Nullable String alert,
                @Nullable String record,
                String expr,
                @JsonProperty("for") @Nullable String forTime,
                @Nullable Map<String, String> labels,
                @Nullable Map<String, String> annotations) {}

        record Group(String name, @Nullable String interval, List<Rule> rules) {}

        record Spec(List<Group> groups) {}

        @JsonProperty(required = true)
        Spec spec = new Spec(List.of());
    }
}
