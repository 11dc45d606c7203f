package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.testbed.Namespace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** `shunt cleanup --kube-proxy-rules` in a namespace with rules of kube-proxy's shape, and those of others. */
@Tag("kernel")
class KubeProxyRulesTest {
    /** The kubelet's, a CNI's, kube-router's and an administrator's. */
    private static final String OTHERS = """
            *mangle
            :KUBE-IPTABLES-HINT - [0:0]
            :KUBE-KUBELET-CANARY - [0:0]
            -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
            COMMIT
            *filter
            :FLANNEL-FWD - [0:0]
            :KUBE-FIREWALL - [0:0]
            :KUBE-ROUTER-FORWARD - [0:0]
            -A INPUT -j KUBE-FIREWALL
            -A INPUT -p tcp -m tcp --dport 22 -m comment --comment "not -j KUBE-SERVICES" -j ACCEPT
            -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
            -A FORWARD -j KUBE-ROUTER-FORWARD
            -A OUTPUT -j KUBE-FIREWALL
            -A FLANNEL-FWD -m comment --comment "flanneld forward" -j ACCEPT
            -A KUBE-FIREWALL -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -m mark --mark 0x8000 -j DROP
            COMMIT
            *nat
            :CNI-HOSTPORT-DNAT - [0:0]
            :KUBE-KUBELET-CANARY - [0:0]
            -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
            -A POSTROUTING -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
            -A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -j DNAT --to-destination %1$s
            COMMIT
            """;

    /** Of kube-proxy 1.36 in iptables mode, one Service. */
    private static final String KUBE_PROXYS = """
            *mangle
            :KUBE-PROXY-CANARY - [0:0]
            COMMIT
            *filter
            :KUBE-EXTERNAL-SERVICES - [0:0]
            :KUBE-FORWARD - [0:0]
            :KUBE-NODEPORTS - [0:0]
            :KUBE-PROXY-CANARY - [0:0]
            :KUBE-PROXY-FIREWALL - [0:0]
            :KUBE-SERVICES - [0:0]
            -I INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
            -I INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
            -I INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
            -I FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -I FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
            -I OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
            -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
            -A KUBE-SERVICES -d %2$s -p tcp -m comment --comment "shop/db has no endpoints" -m tcp --dport 5432 -j REJECT
            COMMIT
            *nat
            :KUBE-EXT-CGBWPXAYJ4MZ6UXJ - [0:0]
            :KUBE-MARK-MASQ - [0:0]
            :KUBE-NODEPORTS - [0:0]
            :KUBE-POSTROUTING - [0:0]
            :KUBE-PROXY-CANARY - [0:0]
            :KUBE-SEP-7EX3YM24AF6XHVC6 - [0:0]
            :KUBE-SERVICES - [0:0]
            :KUBE-SVC-CGBWPXAYJ4MZ6UXJ - [0:0]
            -I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
            -I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
            -A KUBE-EXT-CGBWPXAYJ4MZ6UXJ -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
            -A KUBE-EXT-CGBWPXAYJ4MZ6UXJ -j KUBE-SVC-CGBWPXAYJ4MZ6UXJ
            -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
            -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-CGBWPXAYJ4MZ6UXJ
            -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
            -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
            -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
            -A KUBE-SEP-7EX3YM24AF6XHVC6 -p tcp -m comment --comment "shop/web" -m tcp -j DNAT --to-destination %1$s
            -A KUBE-SERVICES -d %2$s -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-CGBWPXAYJ4MZ6UXJ
            -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
            -A KUBE-SVC-CGBWPXAYJ4MZ6UXJ -m comment --comment "shop/web -> 10.1.0.2:8080" -j KUBE-SEP-7EX3YM24AF6XHVC6
            COMMIT
            """;

    @TempDir
    private Path directory;

    private final Shell shell = new Shell();
    private Namespace namespace;

    @BeforeEach
    void open() {
        namespace = Namespace.create("rules");
    }

    @AfterEach
    void close() {
        namespace.close();
    }

    private void load(String tool, String rules) throws IOException {
        boolean v6 = tool.startsWith("ip6");
        Path file = Files.writeString(
                directory.resolve("rules"),
                rules.formatted(v6 ? "[fd00:1::2]:8080" : "10.1.0.2:8080", v6 ? "fd00::10/128" : "10.96.0.10/32"));
        namespace.run(tool + "-restore", "--noflush", "-w", "10", file.toString());
    }

    private List<String> saved(String tool) {
        return namespace.run(tool + "-save").stream()
                .filter(line -> !line.startsWith("#"))
                .map(line -> line.replaceFirst("^(:\\S+ \\S+) .*", "$1"))
                .toList();
    }

    private int cleanup(String... arguments) {
        String[] command = new String[arguments.length + 2];
        command[0] = "cleanup";
        command[1] = "--kube-proxy-rules";
        System.arraycopy(arguments, 0, command, 2, arguments.length);
        return namespace.call(() -> shell.run(command));
    }

    /** One that does nothing, and ends with a status. */
    private void tool(String name, int status) throws IOException {
        Files.writeString(directory.resolve(name), "#!/bin/sh\nexit " + status + "\n");
        Files.setPosixFilePermissions(directory.resolve(name), PosixFilePermissions.fromString("rwx------"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"})
    void chainsOfKubeProxyGo_andThoseOfOthersStay(String tool) throws IOException {
        load(tool, OTHERS);
        List<String> others = saved(tool);
        load(tool, KUBE_PROXYS);

        assertThat(cleanup()).as(shell.err()).isZero();
        assertThat(shell.out())
                .hasLineCount(3)
                .contains("removed 8 chains of kube-proxy's from table nat (" + tool + ")\n");
        assertThat(saved(tool)).containsExactlyInAnyOrderElementsOf(others);

        assertThat(cleanup()).isZero();
        assertThat(shell.out()).isEqualTo("nothing of kube-proxy is here\n");
    }

    @Test
    void nftablesOfKubeProxyGo_andThoseOfOthersStay() {
        namespace.run("nft", "add table inet firewall; add table ip kube-router; add chain inet firewall kube-proxy");
        List<String> others = namespace.run("nft", "list", "ruleset");
        namespace.run("nft", """
                table ip kube-proxy {
                    chain service-1 { meta l4proto tcp dnat to 10.1.0.2:8080; }
                    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.10 . tcp . 80 : goto service-1 }; }
                    chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
                    chain nat-output { type nat hook output priority -100; jump services; }
                }
                table ip6 kube-proxy { }
                """);
        assertThat(cleanup()).as(shell.err()).isZero();
        assertThat(shell.out()).isEqualTo("removed table ip kube-proxy (nft)\nremoved table ip6 kube-proxy (nft)\n");
        assertThat(namespace.run("nft", "list", "ruleset")).isEqualTo(others);
    }

    @Test
    void whatAChainOfOthersLeadsTo_stays() throws IOException {
        load("iptables-nft", KUBE_PROXYS + """
                *nat
                :CNI-HOSTPORT-SETMARK - [0:0]
                -A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ
                COMMIT
                """);
        assertThat(cleanup()).as(shell.err()).isZero();
        assertThat(shell.out())
                .contains("removed 6 chains of kube-proxy's from table nat (iptables-nft)\n")
                .contains("left KUBE-MARK-MASQ in table nat (iptables-nft), since CNI-HOSTPORT-SETMARK leads there\n");
        assertThat(saved("iptables-nft"))
                .contains(
                        "-A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ",
                        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
                        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING")
                .noneMatch(line -> line.contains("KUBE-SERVICES"));
    }

    @Test
    void aDryRun_printsTheScripts_andChangesNothing() throws IOException {
        load("iptables-nft", OTHERS);
        load("iptables-nft", KUBE_PROXYS);
        namespace.run("nft", "add table ip kube-proxy");
        List<String> before = saved("iptables-nft");

        assertThat(cleanup("--dry-run")).as(shell.err()).isZero();
        assertThat(shell.out())
                .contains("iptables-nft-restore --noflush -w 10\n*")
                .contains(
                        "-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n",
                        "-X KUBE-SVC-CGBWPXAYJ4MZ6UXJ\n")
                .endsWith("nft -f -\ndelete table ip kube-proxy\n");
        assertThat(saved("iptables-nft")).isEqualTo(before);
        assertThat(namespace.run("nft", "list", "tables")).contains("table ip kube-proxy");
    }

    @Test
    void withoutTheTools_itSaysWhatToInstall() throws IOException {
        shell.environment.put("PATH", directory.toString());
        assertThat(cleanup()).isEqualTo(1);
        assertThat(shell.err())
                .isEqualTo("shunt cleanup: nft is not on PATH: kube-proxy's tables are seen by it; install it (Debian:"
                        + " apt install nftables)\n");
        tool("nft", 0);
        assertThat(cleanup()).isEqualTo(1);
        assertThat(shell.err())
                .startsWith("shunt cleanup: iptables-save is not on PATH: ")
                .hasLineCount(1);
    }

    @Test
    void aToolThatFails_isSaidInOneLine() throws IOException {
        shell.environment.put("PATH", directory.toString());
        tool("nft", 0);
        tool("iptables-save", 1);
        tool("ip6tables-save", 1);
        assertThat(cleanup()).isEqualTo(1);
        assertThat(shell.err())
                .startsWith("shunt cleanup: ")
                .contains("/iptables-save failed with status 1")
                .hasLineCount(1);
    }

    @Test
    void aDryRunOfShuntsOwnCleanup_isNotToBeHad() {
        assertThat(shell.run("cleanup", "--dry-run")).isEqualTo(2);
        assertThat(shell.err()).isEqualTo("shunt cleanup: --dry-run goes with --kube-proxy-rules only\n");
    }
}
