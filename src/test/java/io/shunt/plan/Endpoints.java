package io.shunt.plan;

import io.shunt.cluster.EndpointSlice.Endpoint;
import io.shunt.cluster.EndpointSlice.Hints;
import io.shunt.net.Address;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Endpoints in few letters: {@code 1:rs@here z=a,b n=here} is 10.0.0.1, ready and serving (t: terminating), on the node
 * called here, with hints for two zones and a node. {@code ;} stands between two.
 */
final class Endpoints {
    private Endpoints() {}

    static List<Endpoint> of(@Nullable String text) {
        return text == null
                ? List.of()
                : Arrays.stream(text.split(";"))
                        .map(String::strip)
                        .map(Endpoints::one)
                        .toList();
    }

    private static Endpoint one(String text) {
        String[] words = text.split(" +");
        String[] hostAndRest = words[0].split(":", 2);
        String[] conditionsAndNode = hostAndRest[1].split("@", 2);
        String conditions = conditionsAndNode[0];
        return new Endpoint(
                Address.of("10.0.0." + hostAndRest[0]),
                conditions.contains("r"),
                conditions.contains("s"),
                conditions.contains("t"),
                conditionsAndNode.length == 2 ? conditionsAndNode[1] : null,
                new Hints(hint(words, "z="), hint(words, "n=")));
    }

    private static Set<String> hint(String[] words, String kind) {
        return Arrays.stream(words)
                .filter(word -> word.startsWith(kind))
                .findFirst()
                .map(word -> Set.of(word.substring(kind.length()).split(",")))
                .orElse(Set.of());
    }
}
