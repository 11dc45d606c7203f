package io.shunt.host;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.NetworkInterface;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * By what it is seen that kube-proxy serves, or has served, in this network namespace: nftables' tables and the names of
 * their chains, which iptables' are too unless it is of the legacy kind, and the device of ipvs mode. Legacy tables are not
 * looked at: that takes CAP_NET_RAW, and all their rules are copied.
 */
public final class KubeProxyTraces {
    private static final Logger log = LoggerFactory.getLogger(KubeProxyTraces.class);

    private static final Pattern TABLE = Pattern.compile("table (ip6?) (\\S+) \\{");
    private static final String IPVS_DEVICE = "kube-ipvs0";

    private KubeProxyTraces() {}

    /** What there is of it, in words; none if there is nothing, or nobody tells. It starts a process and waits for it. */
    public static List<String> now() {
        List<String> traces = new ArrayList<>();
        try {
            // Without an address, and it has all cluster IPs, it would not be found so.
            if (NetworkInterface.getByName(IPVS_DEVICE) != null) {
                traces.add("device " + IPVS_DEVICE);
            }
            // Chains without their rules, of which there may be many thousands.
            Process nft = new ProcessBuilder("nft", "list", "chains")
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            nft.getOutputStream().close();
            try (BufferedReader lines = nft.inputReader()) {
                traces.addAll(of(lines));
            }
        } catch (IOException e) {
            log.debug("whether kube-proxy has left rules here cannot be seen: {}", e.getMessage());
        }
        return traces;
    }

    private static Set<String> of(BufferedReader lines) throws IOException {
        Set<String> traces = new TreeSet<>();
        String table = "";
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Matcher declared = TABLE.matcher(line);
            if (declared.lookingAt()) {
                table = "table " + declared.group(1) + " " + declared.group(2);
                if (declared.group(2).equals("kube-proxy")) {
                    traces.add(table);
                }
            } else if (line.strip().equals("chain KUBE-SERVICES {")) {
                traces.add("chain KUBE-SERVICES in " + table);
            }
        }
        return traces;
    }
}
