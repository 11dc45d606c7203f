package io.shunt.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.Node;
import io.shunt.net.Address;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code --nodeport-addresses} on a host with 10.0.0.1, 192.0.2.1, fd00::1 and both loopbacks. */
class NodePortAddressesTest {
    private static final List<Address> HOST = addresses("127.0.0.1 ::1 10.0.0.1 192.0.2.1 fd00::1");

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        # util/nodeport_addresses.go, I:1292    | ranges                    | selected
        by default all, and localhost           |                           | 10.0.0.1 127.0.0.1 192.0.2.1 fd00::1
        of IPv4 those in a range, of IPv6 all   | 10.0.0.0/8                | 10.0.0.1 fd00::1
        a family without a match has none       | 198.51.100.0/24 fd00::/64 | fd00::1
        a whole family                          | 0.0.0.0/0                 | 10.0.0.1 127.0.0.1 192.0.2.1 fd00::1
        localhost if its range is listed        | 127.0.0.0/8               | 127.0.0.1 fd00::1
        the loopback of IPv6 never              | ::1/128                   | 10.0.0.1 127.0.0.1 192.0.2.1
        """)
    void ranges(String rule, @Nullable String ranges, String selected) {
        assertSelected(NodePortAddresses.of(words(ranges), List.of(), true), null, selected);
    }

    @Test
    void withoutLocalhost_noLoopbackTakesThem() {
        assertSelected(NodePortAddresses.of(List.of(), List.of(), false), null, "10.0.0.1 192.0.2.1 fd00::1");
        assertSelected(NodePortAddresses.of(List.of("127.0.0.0/8"), List.of(), false), null, "fd00::1");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        # S:233-242                             | the Node's       | selected
        the Node's own addresses                | 10.0.0.1 fd00::1 | 10.0.0.1 fd00::1
        of a family the Node has none of, all   | 10.0.0.1         | 10.0.0.1 fd00::1
        the Node's loopback counts for nothing  | 127.0.0.1 ::1    | 10.0.0.1 127.0.0.1 192.0.2.1 fd00::1
        an address that is not on the host      | 10.0.0.2 fd00::1 | fd00::1
        """)
    void primary(String rule, String node, String selected) {
        assertSelected(
                NodePortAddresses.of(List.of("primary"), List.of(), true),
                new Node("here", addresses(node), Map.of(), false),
                selected);
    }

    @Test
    void nodeIp_standsInPlaceOfTheNodesOwn_ofItsFamily() {
        assertSelected(
                NodePortAddresses.of(List.of("primary"), addresses("192.0.2.1"), true),
                new Node("here", addresses("10.0.0.1 fd00::1"), Map.of(), false),
                "192.0.2.1 fd00::1");
    }

    @Test
    void primary_isTheFirstOfEachFamily() {
        assertSelected(
                NodePortAddresses.of(List.of("primary"), List.of(), true),
                new Node("here", addresses("192.0.2.1 10.0.0.1 fd00::1"), Map.of(), false),
                "192.0.2.1 fd00::1");
    }

    @Test
    void primary_whileTheNodeIsUnknown_cannotBeChosen() {
        NodePortAddresses primary = NodePortAddresses.of(List.of("primary"), List.of(), true);

        assertThat(primary.areKnown(null)).isFalse();
        assertThat(primary.areKnown(new Node("here", List.of(), Map.of(), false)))
                .isTrue();
        assertThat(NodePortAddresses.of(List.of("primary"), addresses("10.0.0.1"), true)
                        .areKnown(null))
                .isTrue();
        assertThat(NodePortAddresses.of(List.of(), List.of(), true).areKnown(null))
                .isTrue();
    }

    @ParameterizedTest
    @CsvSource(textBlock = """
        '',                     0.0.0.0 ::
        0.0.0.0/0,              0.0.0.0 ::
        10.0.0.0/8,             10.0.0.1 ::
        10.0.0.0/8 ::/0,        10.0.0.1 ::
        10.0.0.0/8 0.0.0.0/0,   0.0.0.0 ::
        198.51.100.0/24 fd00::/8, fd00::1
        """)
    void listened_isTheUnspecifiedAddress_whereAllTakeThem(String option, String listened) {
        assertThat(NodePortAddresses.of(option.isEmpty() ? List.of() : words(option), List.of(), true)
                        .listened(HOST, null))
                .containsExactlyInAnyOrderElementsOf(addresses(listened));
    }

    private static void assertSelected(NodePortAddresses option, @Nullable Node node, String selected) {
        assertThat(option.select(HOST, node).stream().map(Address::toString).sorted())
                .containsExactly(selected.split(" "));
    }

    private static List<Address> addresses(String texts) {
        return Arrays.stream(texts.split(" ")).map(Address::of).toList();
    }

    private static List<String> words(@Nullable String texts) {
        return texts == null ? List.of() : List.of(texts.split(" "));
    }
}
