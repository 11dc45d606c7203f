package io.shunt.cli;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * kube-proxy's chains in one table of iptables, and how to take them out without touching anybody else's. Its names are
 * those of pkg/proxy/iptables and pkg/proxy/ipvs; the kubelet's own (KUBE-FIREWALL in filter, KUBE-KUBELET-CANARY,
 * KUBE-IPTABLES-HINT) and those of others that begin by KUBE- (kube-router) are not among them.
 */
final class KubeProxyChains {
    private static final Set<String> OF_SERVICES =
            Set.of("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-", "KUBE-FW-", "KUBE-XLB-");
    private static final String MARK = "KUBE-MARK-MASQ";
    private static final String MASQUERADE = "KUBE-POSTROUTING";
    private static final Map<String, Set<String>> NAMES = Map.of(
            "nat",
            Set.of(
                    "KUBE-SERVICES",
                    "KUBE-NODEPORTS",
                    MASQUERADE,
                    MARK,
                    "KUBE-PROXY-CANARY",
                    "KUBE-FIREWALL",
                    "KUBE-NODE-PORT",
                    "KUBE-LOAD-BALANCER"),
            "filter",
            Set.of(
                    "KUBE-SERVICES",
                    "KUBE-EXTERNAL-SERVICES",
                    "KUBE-NODEPORTS",
                    "KUBE-FORWARD",
                    "KUBE-PROXY-FIREWALL",
                    "KUBE-PROXY-CANARY",
                    "KUBE-NODE-PORT",
                    "KUBE-SOURCE-RANGES-FIREWALL",
                    "KUBE-IPVS-FILTER",
                    "KUBE-IPVS-OUT-FILTER"),
            "mangle",
            Set.of("KUBE-PROXY-CANARY"));

    private static final Pattern QUOTED = Pattern.compile("\"(?:\\\\.|[^\"\\\\])*\"");
    private static final Pattern TARGET = Pattern.compile(" -[jg] (\\S+)");

    private final String table;
    /** The kernel's own chains. */
    private final Set<String> hooks = new HashSet<>();
    /** kube-proxy's chains, and where each leads among themselves. */
    private final Map<String, List<String>> leadsTo = new LinkedHashMap<>();
    /** Rules of the kernel's own chains that lead to kube-proxy's, as they were added. */
    private final List<Rule> jumps = new ArrayList<>();
    /** kube-proxy's chains that chains of others lead to, and which does. */
    private final Map<String, String> lentTo = new LinkedHashMap<>();

    private record Rule(String text, String target) {}

    private KubeProxyChains(String table) {
        this.table = table;
    }

    /** Reads what iptables-save prints. Tables without a chain of kube-proxy's are left out. */
    static List<KubeProxyChains> read(Iterable<String> saved) {
        List<KubeProxyChains> tables = new ArrayList<>();
        for (String line : saved) {
            if (line.startsWith("*")) {
                tables.add(new KubeProxyChains(line.substring(1).strip()));
            } else if (line.startsWith(":")) {
                tables.getLast().chain(line.substring(1).split(" ", -1));
            } else if (line.startsWith("-A ")) {
                tables.getLast().rule(line.substring("-A ".length()));
            }
        }
        return tables.stream().filter(table -> !table.leadsTo.isEmpty()).toList();
    }

    private void chain(String[] declaration) {
        String name = declaration[0];
        if (!declaration[1].equals("-")) {
            hooks.add(name);
        } else if (isKubeProxys(name)) {
            leadsTo.put(name, new ArrayList<>());
        }
    }

    private boolean isKubeProxys(String chain) {
        return NAMES.getOrDefault(table, Set.of()).contains(chain)
                || table.equals("nat") && OF_SERVICES.stream().anyMatch(chain::startsWith);
    }

    private void rule(String rule) {
        Matcher target = TARGET.matcher(QUOTED.matcher(rule).replaceAll(""));
        if (!target.find() || !leadsTo.containsKey(target.group(1))) {
            return;
        }
        String chain = rule.substring(0, rule.indexOf(' '));
        if (hooks.contains(chain)) {
            jumps.add(new Rule(rule, target.group(1)));
        } else if (leadsTo.containsKey(chain)) {
            leadsTo.get(chain).add(target.group(1));
        } else {
            lentTo.putIfAbsent(target.group(1), chain);
        }
    }

    String table() {
        return table;
    }

    /** What chains of others lead to, by name, and one that does: it has to stay. */
    Map<String, String> lent() {
        return lentTo;
    }

    /** The chains that can go. */
    Set<String> removable() {
        Set<String> stay = new HashSet<>();
        Deque<String> needed = new ArrayDeque<>(lentTo.keySet());
        while (!needed.isEmpty()) {
            String chain = needed.pop();
            if (stay.add(chain)) {
                needed.addAll(leadsTo.getOrDefault(chain, List.of()));
                if (chain.equals(MARK)) {
                    // Who is marked there is masqueraded here.
                    needed.add(MASQUERADE);
                }
            }
        }
        Set<String> removable = new LinkedHashSet<>(leadsTo.keySet());
        removable.removeAll(stay);
        return removable;
    }

    /** What takes them out, for iptables-restore --noflush: all of this table at once, or nothing. */
    String removal() {
        Set<String> removable = removable();
        StringBuilder script = new StringBuilder("*" + table + "\n");
        removable.forEach(chain -> script.append(':').append(chain).append(" - [0:0]\n"));
        jumps.stream()
                .filter(jump -> removable.contains(jump.target()))
                .forEach(jump -> script.append("-D ").append(jump.text()).append('\n'));
        removable.forEach(chain -> script.append("-X ").append(chain).append('\n'));
        return script.append("COMMIT\n").toString();
    }
}
