package io.shunt.bench;

import io.shunt.testbed.Namespace;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Rules of the shape that kube-proxy 1.36 writes for cluster IPs, and for the node ports of a {@link Door}, cluster CIDR
 * known (pkg/proxy/iptables/proxier.go, pkg/proxy/nftables/proxier.go); without comments.
 */
enum RuleSet {
    /** A list of rules, one for each service, that every new connection goes through until one matches. */
    IPTABLES {
        @Override
        void write(Cluster cluster, List<Door> doors, BufferedWriter out) throws IOException {
            out.write("""
                    *filter
                    :KUBE-FORWARD - [0:0]
                    :KUBE-FIREWALL - [0:0]
                    :KUBE-SERVICES - [0:0]
                    -A INPUT -j KUBE-FIREWALL
                    -A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES
                    -A OUTPUT -j KUBE-FIREWALL
                    -A FORWARD -j KUBE-FORWARD
                    -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
                    -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
                    COMMIT
                    *nat
                    :KUBE-SERVICES - [0:0]
                    :KUBE-NODEPORTS - [0:0]
                    :KUBE-POSTROUTING - [0:0]
                    :KUBE-MARK-MASQ - [0:0]
                    """);
            for (int service = 0; service < cluster.services(); service++) {
                out.write(":KUBE-SVC-" + service + " - [0:0]\n");
                for (int i = 0; i < cluster.endpointsOf(service); i++) {
                    out.write(":KUBE-SEP-" + service + "-" + i + " - [0:0]\n");
                }
            }
            for (Door door : doors) {
                out.write(":KUBE-EXT-" + door.name() + " - [0:0]\n:KUBE-SVL-" + door.name() + " - [0:0]\n");
                for (int i = 0; i < door.backends().size(); i++) {
                    out.write(":KUBE-SEP-" + door.name() + "-" + i + " - [0:0]\n");
                }
            }
            out.write("""
                    -A PREROUTING -j KUBE-SERVICES
                    -A OUTPUT -j KUBE-SERVICES
                    -A POSTROUTING -j KUBE-POSTROUTING
                    -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
                    -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
                    -A KUBE-POSTROUTING -j MASQUERADE --random-fully
                    -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
                    """);
            for (int service = 0; service < cluster.services(); service++) {
                writeService(cluster, service, out);
            }
            for (Door door : doors) {
                writeDoor(door, out);
            }
            out.write("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\nCOMMIT\n");
        }

        private static void writeDoor(Door door, BufferedWriter out) throws IOException {
            String protocol = " -p " + door.protocol() + " -m " + door.protocol();
            out.write(
                    "-A KUBE-NODEPORTS" + protocol + " --dport " + door.port() + " -j KUBE-EXT-" + door.name() + "\n");
            if (!door.isLocal()) {
                out.write("-A KUBE-EXT-" + door.name() + " -j KUBE-MARK-MASQ\n");
            } else {
                out.write("-A KUBE-EXT-" + door.name() + " -s " + CLUSTER_CIDR + " -j KUBE-SVL-" + door.name() + "\n");
                out.write("-A KUBE-EXT-" + door.name() + " -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n");
            }
            out.write("-A KUBE-EXT-" + door.name() + " -j KUBE-SVL-" + door.name() + "\n");
            int backends = door.backends().size();
            for (int i = 0; i < backends; i++) {
                String chain = "KUBE-SEP-" + door.name() + "-" + i;
                String backend = door.backends().get(i);
                out.write("-A KUBE-SVL-" + door.name() + chance(i, backends) + " -j " + chain + "\n");
                out.write("-A " + chain + " -s " + backend + "/32 -j KUBE-MARK-MASQ\n");
                out.write("-A " + chain + protocol + " -j DNAT --to-destination " + backend + ":" + Cluster.BACKEND_PORT
                        + "\n");
            }
        }

        private static void writeService(Cluster cluster, int service, BufferedWriter out) throws IOException {
            String match = " -d " + Cluster.vip(service) + "/32 -p tcp -m tcp --dport " + Cluster.SERVICE_PORT;
            out.write("-A KUBE-SERVICES" + match + " -j KUBE-SVC-" + service + "\n");
            out.write("-A KUBE-SVC-" + service + " ! -s " + CLUSTER_CIDR + match + " -j KUBE-MARK-MASQ\n");
            int endpoints = cluster.endpointsOf(service);
            for (int i = 0; i < endpoints; i++) {
                String chain = "KUBE-SEP-" + service + "-" + i;
                String endpoint = cluster.endpoint(service, i, 0);
                out.write("-A KUBE-SVC-" + service + chance(i, endpoints) + " -j " + chain + "\n");
                out.write("-A " + chain + " -s " + endpoint + "/32 -j KUBE-MARK-MASQ\n");
                out.write("-A " + chain + " -p tcp -m tcp -j DNAT --to-destination " + endpoint + ":"
                        + Cluster.BACKEND_PORT + "\n");
            }
        }

        /** What lets through its share of what those before have left. */
        private static String chance(int endpoint, int endpoints) {
            return endpoint == endpoints - 1
                    ? ""
                    : " -m statistic --mode random --probability " + 1.0 / (endpoints - endpoint);
        }

        @Override
        String loader() {
            return "iptables-restore";
        }
    },

    /** A map from address, protocol and port to a chain for each service. */
    NFTABLES {
        @Override
        void write(Cluster cluster, List<Door> doors, BufferedWriter out) throws IOException {
            out.write("table ip kube-proxy {\n");
            for (int service = 0; service < cluster.services(); service++) {
                writeService(cluster, service, out);
            }
            for (Door door : doors) {
                writeDoor(door, out);
            }
            out.write("""
                    chain mark-for-masquerade { mark set mark or 0x4000; }
                    map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
                    map firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
                    map service-nodeports { type inet_proto . inet_service : verdict;%s }
                    set nodeport-ips { type ipv4_addr;%s }
                    map service-ips {
                    type ipv4_addr . inet_proto . inet_service : verdict
                    elements = {
                    """.formatted(
                    elements(doors, door -> door.protocol() + " . " + door.port() + " : goto external-" + door.name()),
                    elements(doors, Door::node)));
            for (int service = 0; service < cluster.services(); service++) {
                out.write(Cluster.vip(service) + " . tcp . " + Cluster.SERVICE_PORT + " : goto service-" + service
                        + (service == cluster.services() - 1 ? "" : ",") + "\n");
            }
            out.write("""
                    } }
                    chain services {
                    ip daddr . meta l4proto . th dport vmap @service-ips
                    ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
                    }
                    chain masquerading {
                    mark and 0x4000 == 0 return
                    mark set mark xor 0x4000
                    masquerade fully-random
                    }
                    chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
                    chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
                    chain filter-output-pre-dnat { type filter hook output priority -110; ct state new jump firewall-check; }
                    chain filter-output { type filter hook output priority 0; ct state new jump service-endpoints-check; }
                    chain filter-input { type filter hook input priority -110; ct state new jump service-endpoints-check; }
                    chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
                    chain nat-output { type nat hook output priority -100; jump services; }
                    chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
                    }
                    """);
        }

        private static String elements(List<Door> doors, Function<Door, String> element) {
            return doors.isEmpty()
                    ? ""
                    : " elements = { "
                            + doors.stream().map(element).distinct().collect(Collectors.joining(", "))
                            + " };";
        }

        private static void writeDoor(Door door, BufferedWriter out) throws IOException {
            StringBuilder choices = new StringBuilder();
            for (int i = 0; i < door.backends().size(); i++) {
                String chain = "endpoint-" + door.name() + "-" + i;
                String backend = door.backends().get(i);
                out.write("chain " + chain + " {\nip saddr " + backend + " jump mark-for-masquerade\nmeta l4proto "
                        + door.protocol() + " dnat to " + backend + ":" + Cluster.BACKEND_PORT + "\n}\n");
                choices.append(i == 0 ? "" : ", ").append(i).append(" : goto ").append(chain);
            }
            out.write("chain local-" + door.name() + " {\nnumgen random mod "
                    + door.backends().size() + " vmap { " + choices + " }\n}\n");
            out.write("chain external-" + door.name() + " {\n"
                    + (door.isLocal()
                            ? "ip saddr " + CLUSTER_CIDR + " goto local-" + door.name()
                                    + "\nfib saddr type local jump mark-for-masquerade\n"
                            : "jump mark-for-masquerade\n")
                    + "goto local-" + door.name() + "\n}\n");
        }

        private static void writeService(Cluster cluster, int service, BufferedWriter out) throws IOException {
            int endpoints = cluster.endpointsOf(service);
            StringBuilder choices = new StringBuilder();
            for (int i = 0; i < endpoints; i++) {
                String chain = "endpoint-" + service + "-" + i;
                String endpoint = cluster.endpoint(service, i, 0);
                out.write("chain " + chain + " {\nip saddr " + endpoint
                        + " jump mark-for-masquerade\nmeta l4proto tcp dnat to " + endpoint + ":"
                        + Cluster.BACKEND_PORT + "\n}\n");
                choices.append(i == 0 ? "" : ", ").append(i).append(" : goto ").append(chain);
            }
            out.write("chain service-" + service + " {\nip daddr " + Cluster.vip(service) + " tcp dport "
                    + Cluster.SERVICE_PORT + " ip saddr != " + CLUSTER_CIDR
                    + " jump mark-for-masquerade\nnumgen random mod "
                    + endpoints + " vmap { " + choices + " }\n}\n");
        }

        @Override
        String loader() {
            return "nft -f -";
        }
    };

    private static final String CLUSTER_CIDR = "10.128.0.0/9";

    abstract void write(Cluster cluster, List<Door> doors, BufferedWriter out) throws IOException;

    /**
     * A node port.
     *
     * @param name for chains
     * @param protocol tcp or udp
     * @param node the node's address that takes it
     * @param backends their addresses
     * @param isLocal whether its traffic policy is Local
     */
    record Door(String name, String protocol, String node, int port, List<String> backends, boolean isLocal) {}

    /** The command that takes the rules from standard input. */
    abstract String loader();

    String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * Loads the rules for all services into a namespace.
     *
     * @param seconds when to give up
     * @return how long it took, in seconds
     * @throws java.io.UncheckedIOException if it failed or took too long
     */
    double load(Cluster cluster, List<Door> doors, Namespace namespace, Path file, int seconds) throws IOException {
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            write(cluster, doors, out);
        }
        long start = System.nanoTime();
        // A lock of its own, or it would wait for whoever uses iptables on the machine.
        namespace.run(
                "timeout",
                "" + seconds,
                "env",
                "XTABLES_LOCKFILE=" + file + ".lock",
                "sh",
                "-c",
                "exec " + loader() + " < \"$0\"",
                file.toString());
        return (System.nanoTime() - start) / 1e9;
    }
}
