package io.shunt.testbed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.net.Protocol;
import io.shunt.testbed.Node.NodePod;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class NodeTest {
    @Test
    void podsOfANodeReachEachOtherAndTheNode() {
        try (Node node = new Node(1)) {
            NodePod server = node.pod("server");
            NodePod client = node.pod("client");
            for (String address : new String[] {server.v4(), server.v6()}) {
                server.traffic().serve(Protocol.TCP, address, 80, "web");
                assertThat(client.traffic().request(address, 80)).isEqualTo("web");
                assertThat(node.traffic().request(address, 80)).isEqualTo("web");
            }
            assertThatExceptionOfType(CallFailedException.class)
                    .isThrownBy(() -> client.traffic().request(server.v4(), 81))
                    .extracting(CallFailedException::errno)
                    .isEqualTo("ECONNREFUSED");
        }
    }

    @Test
    void trafficRunsInThePodsCgroup() throws IOException {
        try (Node node = new Node(1)) {
            NodePod pod = node.pod("pod");
            pod.traffic().socket(Traffic.Kind.UDP4);
            assertThat(Files.readAllLines(pod.pod().cgroup().path().resolve("cgroup.procs")))
                    .containsExactly(Long.toString(pod.traffic().pid()));
        }
    }

    @Test
    void closeLeavesNothingBehind() {
        Path cgroup;
        Path namespace;
        try (Node node = new Node(1)) {
            NodePod pod = node.pod("pod");
            cgroup = node.cgroup().path();
            namespace = pod.namespace().path();
            assertThat(cgroup).exists();
            assertThat(namespace).exists();
        }
        assertThat(cgroup).doesNotExist();
        assertThat(namespace).doesNotExist();
    }
}
