package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.table.Access;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import io.shunt.table.VirtualService;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class MaglevTest {
    private static final int SIZE = 16_381;

    private static List<Backend> backends(IpFamily family, int count, IntUnaryOperator weight) {
        return IntStream.range(0, count)
                .mapToObj(i -> new Backend(
                        Address.of(
                                family == IpFamily.IPV4
                                        ? "10." + i / 250 + ".0." + (i % 250 + 1)
                                        : "fd00:" + i / 250 + "::" + (i % 250 + 1)),
                        8080,
                        Backend.State.CLUSTER,
                        weight.applyAsInt(i)))
                .toList();
    }

    private static List<Integer> shares(int[] table, int backends) {
        int[] shares = new int[backends];
        Arrays.stream(table).forEach(each -> shares[each]++);
        return Arrays.stream(shares).boxed().toList();
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 7, 100, 160, 1000})
    void table_equalBackends_haveEqualShares(int count) {
        List<Integer> shares = shares(Maglev.table(backends(IpFamily.IPV4, count, i -> 1), SIZE), count);

        assertThat(shares).allSatisfy(share -> assertThat(share).isBetween(SIZE / count, (SIZE + count - 1) / count));
    }

    @ParameterizedTest
    @EnumSource
    void table_weights_areShares(IpFamily family) {
        int count = 50;
        List<Integer> shares = shares(Maglev.table(backends(family, count, i -> 1 + i % 5), SIZE), count);

        for (int i = 0; i < count; i++) {
            double share = (1.0 + i % 5) / (3 * count) * SIZE;
            assertThat((double) shares.get(i)).isCloseTo(share, within(Math.max(1.0, 0.01 * share)));
        }
    }

    @Test
    void table_lightestAmongHeavy_hasASlot() {
        List<Integer> shares = shares(Maglev.table(backends(IpFamily.IPV4, 100, i -> i == 0 ? 1 : 1000), SIZE), 100);

        assertThat(shares.getFirst()).isOne();
        assertThat(shares).allSatisfy(share -> assertThat(share).isPositive());
    }

    @Test
    void table_asManySlotsAsBackends_hasEach() {
        int[] table = Maglev.table(backends(IpFamily.IPV6, 251, i -> 1 + i), 251);

        assertThat(Arrays.stream(table).boxed().collect(Collectors.toSet())).hasSize(251);
    }

    /** What a backend that leaves had goes to all others; of what these had, next to nothing moves among them. */
    @Test
    void table_oneOfHundredLeaves_hardlyMovesAnother() {
        List<Backend> before = backends(IpFamily.IPV4, 100, i -> 1);
        int[] tableBefore = Maglev.table(before, SIZE);
        List<Integer> movedBeside = new ArrayList<>();
        for (int leaving = 0; leaving < 100; leaving++) {
            List<Backend> after = new ArrayList<>(before);
            after.remove(leaving);
            int[] tableAfter = Maglev.table(after, SIZE);
            int moved = 0;
            for (int slot = 0; slot < SIZE; slot++) {
                if (tableBefore[slot] != leaving
                        && !before.get(tableBefore[slot]).equals(after.get(tableAfter[slot]))) {
                    moved++;
                }
            }
            movedBeside.add(moved);
        }

        assertThat(Collections.max(movedBeside)).isLessThan(SIZE * 3 / 100);
        assertThat(movedBeside.stream().mapToInt(i -> i).average().orElseThrow())
                .isLessThan(SIZE * 2.0 / 100);
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void members_inAnyOrder_makeTheSameTable(long seed) {
        List<Backend> backends = new ArrayList<>(backends(IpFamily.IPV4, 40, i -> 1 + i % 3));
        // One address, two ports.
        backends.add(new Backend(backends.getFirst().address(), 9090, Backend.State.BOTH, 2));
        List<String> first = table(backends);
        Collections.shuffle(backends, new Random(seed));

        assertThat(table(backends)).as("seed %d", seed).isEqualTo(first);
    }

    private static List<String> table(List<Backend> backends) {
        VirtualService service =
                new VirtualService("web", Map.of(frontend(), Access.OPEN), backends, List.of(), 0, 1021);
        int[] ids = IntStream.range(0, backends.size()).toArray();
        Members members = Members.of(backends, true, ids, Reach.CLUSTER);
        return Arrays.stream(members.table(members.tableSize(service, Reach.CLUSTER)))
                .mapToObj(id -> backends.get(id).toString())
                .toList();
    }

    private static Frontend frontend() {
        return new Frontend(Address.of("10.96.0.1"), 80, io.shunt.net.Protocol.TCP);
    }

    /** Other nodes may run another version of this, which has to choose the same: these numbers stay for ever. */
    @Test
    void tableAndHash_areThoseOfEveryVersion() {
        assertThat(PeerHash.hash(PeerHash.CLIENT_SEED, Address.of("192.0.2.1"), 40_000))
                .isEqualTo(1_045_265_194);
        assertThat(PeerHash.hash(PeerHash.CLIENT_SEED, Address.of("2001:db8::1"), 53))
                .isEqualTo(1_140_433_834);
        assertThat(Arrays.hashCode(Maglev.table(backends(IpFamily.IPV4, 10, i -> 1 + i), 4093)))
                .isEqualTo(-390_849_721);
        assertThat(Arrays.hashCode(Maglev.table(backends(IpFamily.IPV6, 10, i -> 1 + i), 4093)))
                .isEqualTo(-2_143_712_809);
    }

    @Test
    void place_spreadsClientsEvenly() {
        int[] clients = new int[10];
        Set<Integer> hashes = new java.util.HashSet<>();
        for (int port = 1024; port < 61_024; port++) {
            int hash = PeerHash.hash(PeerHash.CLIENT_SEED, Address.of("192.0.2.1"), port);
            hashes.add(hash);
            clients[PeerHash.place(hash, 10)]++;
        }

        assertThat(hashes).hasSize(60_000);
        assertThat(Arrays.stream(clients).boxed())
                .allSatisfy(share -> assertThat(share).isBetween(5_700, 6_300));
    }
}
