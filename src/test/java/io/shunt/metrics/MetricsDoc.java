package io.shunt.metrics;

import io.shunt.metrics.Scrape.Sample;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** docs/metrics.md, made from what /metrics says of itself. */
final class MetricsDoc {
    private static final String START = """
            # Metrics

            This page is made from what /metrics says of itself; `make docs` writes it anew, and a test fails while it
            differs. The daemon serves them at `--metrics-bind-address`, 127.0.0.1:10249 by default, in Prometheus text
            format, as kube-proxy does. Counters begin at 0 with the daemon, unless it says otherwise: `shunt_drops_total`,
            `shunt_service_*` and `shunt_socket_errors_total` are counted in the kernel, and go on.

            | question | metric |
            |---|---|
            | Is a node's Shunt well? | `shunt_healthy`, and `shunt status` on that node says what it complains of |
            | Does it still hear of the cluster? | `shunt_source_last_event_age_seconds`, `shunt_source_problems` |
            | How long until an endpoint change is in force? | `kubeproxy_network_programming_duration_seconds` from the cluster's point of view, `shunt_change_delay_seconds` from this node's |
            | Is a map full? | `shunt_map_entries / shunt_map_max_entries`, and `shunt_failed_services` |
            | Does anybody meddle with what it has in the kernel? | `shunt_audit_repairs_total` |
            | Who has no backend? | `shunt_service_refused_total` |
            | Does a new conversation find room? | `shunt_flows / shunt_flows_max`; until it is confirmed it has `shunt_map_max_entries{map="flows_new"} / 2 / ignoring (map) rate(shunt_flows_evicted_total[5m])` seconds |
            | Why do packets get lost? | `shunt_drops_total`, `shunt_service_drops_total`; each one by `shunt flows --dropped -f` |

            """;

    private static final String KUBE_PROXYS = """
            ## kube-proxy's

            By the names, types, labels and buckets of kube-proxy 1.36, so that dashboards and alerts made for it work on. What
            they mean where Shunt works otherwise is in [architecture.md](architecture.md#what-others-ask-of-it).

            """;

    private static final String OWN = """
            ## Shunt's own

            """;

    private static final String JAVA = """
            ## Java's

            """;

    private final Scrape scrape;

    private MetricsDoc(Scrape scrape) {
        this.scrape = scrape;
    }

    static String of(Scrape scrape) {
        MetricsDoc doc = new MetricsDoc(scrape);
        Predicate<String> own = name -> name.startsWith("shunt_");
        Predicate<String> java = name -> name.startsWith("jvm_");
        return START + OWN + doc.table(own) + KUBE_PROXYS
                + doc.table(own.or(java).negate())
                + JAVA
                + doc.table(java).stripTrailing() + "\n";
    }

    private String table(Predicate<String> which) {
        return scrape.types.keySet().stream()
                .filter(which)
                .sorted(Comparator.naturalOrder())
                .map(name -> "| `" + name + "` | " + scrape.types.get(name) + " | " + labels(name) + " | "
                        + scrape.helps.get(name).replace("|", "\\|") + " |\n")
                .collect(Collectors.joining("", "| metric | type | labels | meaning |\n|---|---|---|---|\n", "\n"));
    }

    private String labels(String name) {
        List<Sample> samples = scrape.samples.stream()
                .filter(sample ->
                        sample.name().replaceFirst("_(bucket|sum|count)$", "").equals(name)
                                || sample.name().equals(name))
                .toList();
        Set<String> labels = new TreeSet<>();
        samples.forEach(sample -> labels.addAll(sample.labels().keySet()));
        labels.remove("le");
        return labels.stream().map(label -> "`" + label + "`").collect(Collectors.joining(", "));
    }
}
