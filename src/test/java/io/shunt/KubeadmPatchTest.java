package io.shunt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What examples/kubeadm does to kubeadm's DaemonSet, whose container is called kube-proxy. */
class KubeadmPatchTest {
    @Test
    void pinsAndCgroups_areTheNodes() throws IOException {
        String patch = Files.readString(Path.of("examples/kubeadm/kube-proxy-patch.yaml"));
        PodSpec pod = Serialization.unmarshal("apiVersion: apps/v1\nkind: DaemonSet\n" + patch, DaemonSet.class)
                .getSpec()
                .getTemplate()
                .getSpec();
        Container container = pod.getContainers().getFirst();

        assertThat(container.getName()).isEqualTo("kube-proxy");
        assertThat(container.getVolumeMounts())
                .extracting(VolumeMount::getName, VolumeMount::getMountPath, VolumeMount::getMountPropagation)
                .containsExactly(tuple("bpf", "/sys/fs/bpf", "Bidirectional"), tuple("cgroup", "/host/cgroup", null));
        assertThat(container.getEnv()).containsExactly(new EnvVar("SHUNT_CGROUP_ROOT", "/host/cgroup", null));
        assertThat(pod.getVolumes())
                .extracting(Volume::getName, volume -> volume.getHostPath().getPath())
                .containsExactly(tuple("bpf", "/sys/fs/bpf"), tuple("cgroup", "/sys/fs/cgroup"));
        assertThat(pod.getHostPID()).isTrue();
    }
}
