package io.shunt;

import static org.assertj.core.api.Assertions.assertThat;

import com.marcnuri.helm.Helm;
import com.marcnuri.helm.LintResult;
import com.marcnuri.helm.TemplateCommand;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The chart, by helm itself. */
class ChartTest {

    private static final Path CHART = Path.of("charts/shunt");

    @Test
    void theChart_passesStrictLint() {
        LintResult result = new Helm(CHART).lint().strict().call();

        assertThat(result.isFailed()).as(result.getMessages().toString()).isFalse();
    }

    @Test
    void everyNode_getsADaemonInItsNetwork() {
        PodSpec pod = daemonSet(template(Map.of())).getSpec().getTemplate().getSpec();

        assertThat(pod.getHostNetwork()).isTrue();
        assertThat(pod.getPriorityClassName()).isEqualTo("system-node-critical");
        assertThat(pod.getTolerations()).singleElement().satisfies(toleration -> {
            assertThat(toleration.getOperator()).isEqualTo("Exists");
            assertThat(toleration.getKey()).isNull();
        });
    }

    @Test
    void theApiServersAddress_isGivenToTheDaemon() {
        Container container = container(template(Map.of("k8sServiceHost", "192.0.2.10", "k8sServicePort", 8443)));

        assertThat(container.getEnv())
                .contains(
                        new EnvVar("KUBERNETES_SERVICE_HOST", "192.0.2.10", null),
                        new EnvVar("KUBERNETES_SERVICE_PORT", "8443", null));
        assertThat(container(template(Map.of())).getEnv())
                .extracting(EnvVar::getName)
                .containsExactly("NODE_NAME");
    }

    @Test
    void theImage_isTheChartsVersionUnlessATagIsGiven() {
        assertThat(container(template(Map.of())).getImage()).isEqualTo("shunt:0.1.0");
        assertThat(container(template(Map.of("image.repository", "registry.example/shunt", "image.tag", "v9")))
                        .getImage())
                .isEqualTo("registry.example/shunt:v9");
    }

    @Test
    void staleSockets_takeMoreRights() {
        PodSpec with = daemonSet(template(Map.of())).getSpec().getTemplate().getSpec();
        assertThat(with.getHostPID()).isTrue();
        assertThat(with.getContainers().getFirst().getSecurityContext()).satisfies(rights -> {
            assertThat(rights.getAllowPrivilegeEscalation()).isTrue();
            assertThat(rights.getCapabilities().getAdd())
                    .containsExactly("BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_PTRACE");
        });

        PodSpec without = daemonSet(template(Map.of("staleSockets", false)))
                .getSpec()
                .getTemplate()
                .getSpec();
        assertThat(without.getHostPID()).isFalse();
        assertThat(without.getContainers().getFirst().getSecurityContext()).satisfies(rights -> {
            assertThat(rights.getAllowPrivilegeEscalation()).isFalse();
            assertThat(rights.getCapabilities().getAdd()).containsExactly("BPF", "NET_ADMIN", "PERFMON");
        });
    }

    @Test
    void theDaemon_mayOnlyRead_andLeaveWordInEvents() {
        ClusterRole role = objects(template(Map.of()))
                .filter(ClusterRole.class::isInstance)
                .map(ClusterRole.class::cast)
                .findFirst()
                .orElseThrow();

        assertThat(role.getRules())
                .filteredOn(rule -> !rule.getResources().contains("events"))
                .allSatisfy(rule -> assertThat(rule.getVerbs()).isSubsetOf("get", "list", "watch"))
                .flatExtracting(rule -> rule.getResources())
                .containsExactlyInAnyOrder("services", "endpointslices", "nodes");
        assertThat(role.getRules())
                .filteredOn(rule -> rule.getResources().equals(List.of("events")))
                .singleElement()
                .satisfies(rule -> {
                    assertThat(rule.getApiGroups()).containsExactly("", "events.k8s.io");
                    assertThat(rule.getVerbs()).containsExactly("create", "patch", "update");
                });
    }

    private static String template(Map<String, Object> values) {
        TemplateCommand template = new Helm(CHART).template().withKubeVersion("1.31.0");
        values.forEach(template::set);
        return template.call();
    }

    private static Container container(String manifests) {
        return daemonSet(manifests)
                .getSpec()
                .getTemplate()
                .getSpec()
                .getContainers()
                .getFirst();
    }

    private static DaemonSet daemonSet(String manifests) {
        return objects(manifests)
                .filter(DaemonSet.class::isInstance)
                .map(DaemonSet.class::cast)
                .findFirst()
                .orElseThrow();
    }

    private static Stream<HasMetadata> objects(String manifests) {
        List<HasMetadata> objects = Serialization.unmarshal(manifests);
        return objects.stream();
    }
}
