package io.shunt.source;

import com.fasterxml.jackson.annotation.JsonIncludeProperties;
import io.fabric8.kubernetes.api.model.LoadBalancerIngress;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeAddress;
import io.fabric8.kubernetes.api.model.NodeSpec;
import io.fabric8.kubernetes.api.model.NodeStatus;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectReference;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServicePort;
import io.fabric8.kubernetes.api.model.ServiceSpec;
import io.fabric8.kubernetes.api.model.ServiceStatus;
import io.fabric8.kubernetes.api.model.Taint;
import io.fabric8.kubernetes.api.model.discovery.v1.Endpoint;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointConditions;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointPort;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import java.util.EnumSet;
import java.util.Set;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.type.LogicalType;

/**
 * Binds API objects with only the fields that {@link Conversion} reads; the rest is skipped while it is parsed, which
 * is most of an object's memory. A field of the wrong type is an error, as it is to the API server.
 */
final class ApiFields {
    private static final Set<CoercionInputShape> NO_TEXT =
            EnumSet.of(CoercionInputShape.Boolean, CoercionInputShape.Integer, CoercionInputShape.Float);

    private ApiFields() {}

    static JsonMapper.Builder mapper() {
        return JsonMapper.builder()
                .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
                .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                .disable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .withCoercionConfig(LogicalType.Textual, text -> {
                    for (CoercionInputShape scalar : NO_TEXT) {
                        text.setCoercion(scalar, CoercionAction.Fail);
                    }
                })
                .addMixIn(ObjectMeta.class, OfObjectMeta.class)
                .addMixIn(Service.class, OfSpecified.class)
                .addMixIn(ServiceSpec.class, OfServiceSpec.class)
                .addMixIn(ServicePort.class, OfPort.class)
                .addMixIn(ServiceStatus.class, OfServiceStatus.class)
                .addMixIn(LoadBalancerIngress.class, OfIngress.class)
                .addMixIn(EndpointSlice.class, OfEndpointSlice.class)
                .addMixIn(Endpoint.class, OfEndpoint.class)
                .addMixIn(ObjectReference.class, OfReference.class)
                .addMixIn(EndpointConditions.class, OfEndpointConditions.class)
                .addMixIn(EndpointPort.class, OfPort.class)
                .addMixIn(Node.class, OfSpecified.class)
                .addMixIn(NodeSpec.class, OfNodeSpec.class)
                .addMixIn(NodeStatus.class, OfNodeStatus.class)
                .addMixIn(NodeAddress.class, OfNodeAddress.class)
                .addMixIn(Taint.class, OfTaint.class);
    }

    @JsonIncludeProperties({"name", "namespace", "resourceVersion", "deletionTimestamp", "labels", "annotations"})
    private interface OfObjectMeta {}

    @JsonIncludeProperties({"apiVersion", "kind", "metadata", "spec", "status"})
    private interface OfSpecified {}

    @JsonIncludeProperties({
        "type",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ports",
        "externalIPs",
        "internalTrafficPolicy",
        "externalTrafficPolicy",
        "loadBalancerSourceRanges",
        "healthCheckNodePort",
        "sessionAffinity",
        "sessionAffinityConfig"
    })
    private interface OfServiceSpec {}

    @JsonIncludeProperties({"name", "protocol", "port", "nodePort"})
    private interface OfPort {}

    @JsonIncludeProperties({"apiVersion", "kind", "metadata", "addressType", "endpoints", "ports"})
    private interface OfEndpointSlice {}

    @JsonIncludeProperties({"addresses", "conditions", "nodeName", "hints", "targetRef"})
    private interface OfEndpoint {}

    @JsonIncludeProperties({"kind", "name"})
    private interface OfReference {}

    @JsonIncludeProperties({"ready", "serving", "terminating"})
    private interface OfEndpointConditions {}

    @JsonIncludeProperties("loadBalancer")
    private interface OfServiceStatus {}

    @JsonIncludeProperties({"ip", "ipMode"})
    private interface OfIngress {}

    @JsonIncludeProperties("taints")
    private interface OfNodeSpec {}

    @JsonIncludeProperties("addresses")
    private interface OfNodeStatus {}

    @JsonIncludeProperties({"type", "address"})
    private interface OfNodeAddress {}

    @JsonIncludeProperties("key")
    private interface OfTaint {}
}
