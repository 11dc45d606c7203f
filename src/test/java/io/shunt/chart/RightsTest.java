package io.shunt.chart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.api.model.rbac.PolicyRule;
import io.shunt.cluster.Occurrence;
import io.shunt.source.FakeApiServer;
import io.shunt.source.Source;
import io.shunt.source.SourceOptions;
import io.shunt.source.Sources;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The chart gives the daemon the rights that it uses, and no others. */
class RightsTest {
    /** A call of a whole collection: group, namespace if any, resource. */
    private static final Pattern CALL = Pattern.compile(
            "(GET|POST) /(?:api|apis/(?<group>[^/]+))/v[^/]+/(?:namespaces/[^/]+/)?(?<resource>[a-z]+)(?:\\?(?<query>.*))?");

    private static String right(String call) {
        Matcher matcher = CALL.matcher(call);
        assertThat(matcher.matches()).as("what right does %s take?", call).isTrue();
        String query = matcher.group("query");
        String verb = matcher.group(1).equals("POST")
                ? "create"
                : query != null && query.contains("watch=true") ? "watch" : "list";
        String group = matcher.group("group");
        return verb + " " + matcher.group("resource") + (group == null ? "" : "." + group);
    }

    private static List<String> rights(PolicyRule rule) {
        assertThat(rule.getResourceNames()).isEmpty();
        assertThat(rule.getNonResourceURLs()).isEmpty();
        return rule.getVerbs().stream()
                .flatMap(verb -> rule.getResources().stream()
                        .flatMap(resource -> rule.getApiGroups().stream()
                                .map(group -> verb + " " + resource + (group.isEmpty() ? "" : "." + group))))
                .toList();
    }

    /** With a lost watch and a lost version too, after which it lists again. */
    private static Set<String> used() {
        try (FakeApiServer server = new FakeApiServer().start();
                Source source = Sources.of("kubernetes", new SourceOptions("node-1", null, server.url()))) {
            server.put("{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
            source.start(change -> {});
            source.report(Occurrence.started("node-1"));
            awaitWatches(server);
            long before = server.calls().size();
            server.compact();
            server.dropWatches();
            await().until(() ->
                    server.calls().size() >= before + 3 && !server.posted().isEmpty());
            awaitWatches(server);
            Set<String> used = new TreeSet<>();
            server.calls().forEach(call -> used.add(right(call)));
            return used;
        }
    }

    private static void awaitWatches(FakeApiServer server) {
        await().untilAsserted(() -> assertThat(List.of("services", "endpointslices", "nodes"))
                .allSatisfy(resource -> assertThat(server.openWatches(resource)).isOne()));
    }

    @Test
    void theRole_isWhatTheDaemonAsksFor() {
        Set<String> given = new TreeSet<>();
        Chart.of("k8sServiceHost: 192.0.2.10")
                .one(ClusterRole.class)
                .getRules()
                .forEach(rule -> given.addAll(rights(rule)));

        assertThat(given).isEqualTo(used());
    }
}
