package io.shunt.host;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.testbed.Namespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Tag("kernel")
class KubeProxyTracesTest {
    private Namespace namespace;

    @BeforeEach
    void open() {
        namespace = Namespace.create("traces");
    }

    @AfterEach
    void close() {
        namespace.close();
    }

    @ParameterizedTest
    @CsvSource({
        "nft add table ip kube-proxy, table ip kube-proxy",
        "nft add table ip6 kube-proxy, table ip6 kube-proxy",
        "iptables-nft -t nat -N KUBE-SERVICES, chain KUBE-SERVICES in table ip nat",
        "ip6tables-nft -t nat -N KUBE-SERVICES, chain KUBE-SERVICES in table ip6 nat",
        "ip link add kube-ipvs0 type bridge && ip address add 10.96.0.1/32 dev kube-ipvs0, device kube-ipvs0"
    })
    void whatKubeProxyMakes_isSeen(String command, String trace) throws Exception {
        namespace.run("sh", "-c", command);

        assertThat(namespace.call(KubeProxyTraces::now)).containsExactly(trace);
    }

    @Test
    void rulesOfOthers_areNone() throws Exception {
        namespace.run("nft", "add table ip kube-proxy-of-mine; add chain ip kube-proxy-of-mine KUBE-SERVICES-TOO");
        namespace.run("iptables-nft", "-t", "nat", "-N", "KUBE-KUBELET-CANARY");
        namespace.run("iptables-nft", "-N", "KUBE-FIREWALL");

        assertThat(namespace.call(KubeProxyTraces::now)).isEmpty();
    }
}
