package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Tag("kernel")
class BpfMapTest {
    private static final int ENTRIES = 10;
    private static final Path MAPS = Path.of("/proc/self/maps");
    private static final String MAPPED = "anon_inode:bpf-map";

    private final Arena arena = Arena.ofConfined();
    private final BpfMap hash = BpfMap.create("hash", MapType.HASH, 4, 8, ENTRIES, BpfMap.NO_PREALLOC);

    @AfterEach
    void close() {
        hash.close();
        arena.close();
    }

    private MemorySegment key(int key) {
        return arena.allocateFrom(JAVA_INT, key);
    }

    private MemorySegment value(long value) {
        return arena.allocateFrom(JAVA_LONG, value);
    }

    @Test
    void create_refused_namesTheMap() {
        BpfException e =
                catchThrowableOfType(BpfException.class, () -> BpfMap.create("odd", MapType.ARRAY, 8, 8, 1, 0));
        assertThat(e).hasMessage("bpf_map_create, map odd: EINVAL (Invalid argument)");
        assertThat(e.call()).isEqualTo("bpf_map_create");
    }

    @Test
    void info_tellsWhatWasAskedFor() {
        MapInfo info = hash.info();
        assertThat(info)
                .extracting(MapInfo::type, MapInfo::keySize, MapInfo::valueSize, MapInfo::maxEntries, MapInfo::flags)
                .containsExactly(MapType.HASH, 4, 8, ENTRIES, BpfMap.NO_PREALLOC);
        assertThat(info.name()).isEqualTo("hash");
        assertThat(info.id()).isPositive();
        assertThat(info.btfId()).isZero();
    }

    @Test
    void memoryBytes_growsWithTheMap() {
        try (BpfMap large = BpfMap.create("large", MapType.ARRAY, 4, 8, 100_000, 0)) {
            assertThat(large.memoryBytes()).isBetween(800_000L, 1_600_000L);
        }
    }

    @Test
    void lookup_findsWhatUpdateWrote() {
        hash.update(key(1), value(11), BpfMap.ANY);
        MemorySegment found = arena.allocate(JAVA_LONG);
        assertThat(hash.lookup(key(1), found)).isTrue();
        assertThat(found.get(JAVA_LONG, 0)).isEqualTo(11);
        assertThat(hash.lookup(key(2), found)).isFalse();
        assertThat(found.get(JAVA_LONG, 0)).isEqualTo(11);
    }

    @Test
    void update_noExistOfAKeyThatIsThere_isEexist() {
        hash.update(key(1), value(11), BpfMap.NOEXIST);
        BpfException e = catchThrowableOfType(BpfException.class, () -> hash.update(key(1), value(12), BpfMap.NOEXIST));
        assertThat(e).hasMessage("bpf_map_update_elem, map hash: EEXIST (File exists)");
        assertThat(e.errno()).isEqualTo(Errno.EEXIST);
    }

    @Test
    void update_existOfAKeyThatIsNotThere_isEnoent() {
        BpfException e = catchThrowableOfType(BpfException.class, () -> hash.update(key(1), value(12), BpfMap.EXIST));
        assertThat(e.errno()).isEqualTo(Errno.ENOENT);
    }

    @Test
    void update_ofAFullMap_isE2big() {
        for (int i = 0; i < ENTRIES; i++) {
            hash.update(key(i), value(i), BpfMap.ANY);
        }
        BpfException e =
                catchThrowableOfType(BpfException.class, () -> hash.update(key(ENTRIES), value(0), BpfMap.ANY));
        assertThat(e.errno()).isEqualTo(Errno.E2BIG);
        assertThat(e.object()).isEqualTo("map hash");
        hash.update(key(0), value(100), BpfMap.ANY);
    }

    @Test
    void delete_saysWhetherTheKeyWasThere() {
        hash.update(key(1), value(11), BpfMap.ANY);
        assertThat(hash.delete(key(1))).isTrue();
        assertThat(hash.delete(key(1))).isFalse();
        assertThat(hash.lookup(key(1), arena.allocate(JAVA_LONG))).isFalse();
    }

    @Test
    void nextKey_walksAllKeys() {
        Map<Integer, Boolean> seen = new HashMap<>();
        for (int i = 0; i < 5; i++) {
            hash.update(key(i), value(i), BpfMap.ANY);
        }
        MemorySegment next = arena.allocate(JAVA_INT);
        boolean more = hash.nextKey(null, next);
        while (more) {
            assertThat(seen.put(next.get(JAVA_INT, 0), true)).isNull();
            more = hash.nextKey(key(next.get(JAVA_INT, 0)), next);
        }
        assertThat(seen).containsOnlyKeys(0, 1, 2, 3, 4);
    }

    @Test
    void segmentsTooShort_areRefusedBeforeTheKernelReadsBeyondThem() {
        MemorySegment shortKey = arena.allocate(2);
        assertThatThrownBy(() -> hash.update(shortKey, value(1), BpfMap.ANY))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("map hash: key has 2 bytes, needs 4");
        assertThatThrownBy(() -> hash.lookup(key(1), shortKey)).hasMessage("map hash: value has 2 bytes, needs 8");
        assertThatThrownBy(() -> hash.updateBatch(key(1), value(1), 2))
                .hasMessage("map hash: keys has 4 bytes, needs 8");
    }

    @Test
    void closed_isEbadf() {
        BpfMap map = BpfMap.create("gone", MapType.HASH, 4, 8, 1, 0);
        map.close();
        map.close();
        BpfException e = catchThrowableOfType(BpfException.class, () -> map.delete(key(1)));
        assertThat(e.errno()).isEqualTo(Errno.EBADF);
    }

    @Test
    void batches_writeReadAndDelete() {
        int count = 5_000;
        try (BpfMap large = BpfMap.create("large", MapType.HASH, 4, 64, count, BpfMap.NO_PREALLOC)) {
            MemorySegment keys = arena.allocate(JAVA_INT, count);
            MemorySegment values = arena.allocate(64L * count, 8);
            for (int i = 0; i < count; i++) {
                keys.setAtIndex(JAVA_INT, i, i);
                values.set(JAVA_LONG, 64L * i, i * 3L);
            }
            large.updateBatch(keys, values, count);

            Map<Integer, Long> read = new HashMap<>();
            large.forEach((key, value) -> {
                assertThat(key.byteSize()).isEqualTo(4);
                assertThat(value.byteSize()).isEqualTo(64);
                assertThat(read.put(key.get(JAVA_INT, 0), value.get(JAVA_LONG, 0)))
                        .isNull();
            });
            assertThat(read)
                    .hasSize(count)
                    .allSatisfy((key, value) -> assertThat(value).isEqualTo(key * 3L));

            for (int i = 0; i < 10; i++) {
                assertThat(large.delete(key(i * 7))).isTrue();
            }
            assertThat(large.deleteBatch(keys, count)).isEqualTo(count - 10);
            large.forEach((key, value) -> assertThat(key).as("left over").isNull());
        }
    }

    @Test
    void forEach_whereOneBucketHoldsMoreThanABatch_readsItAll() {
        // 40 KB values leave room for one element a batch, while buckets of a full map often hold two.
        int count = 64;
        try (BpfMap wide = BpfMap.create("wide", MapType.HASH, 4, 40_000, count, BpfMap.NO_PREALLOC)) {
            MemorySegment value = arena.allocate(40_000);
            for (int i = 0; i < count; i++) {
                wide.update(key(i), value, BpfMap.ANY);
            }
            Map<Integer, Boolean> read = new HashMap<>();
            wide.forEach((key, ignored) ->
                    assertThat(read.put(key.get(JAVA_INT, 0), true)).isNull());
            assertThat(read).hasSize(count);
        }
    }

    @Test
    void forEach_ofAnArrayAndAnEmptyMap() {
        try (BpfMap array = BpfMap.create("array", MapType.ARRAY, 4, 8, 20_000, 0)) {
            array.update(key(19_999), value(5), BpfMap.ANY);
            long[] sum = new long[2];
            array.forEach((key, value) -> {
                sum[0]++;
                sum[1] += value.get(JAVA_LONG, 0);
            });
            assertThat(sum).containsExactly(20_000, 5);
        }
        hash.forEach((key, value) -> assertThat(key).as("empty").isNull());
    }

    @ParameterizedTest
    @CsvSource({
        MapType.LRU_HASH + ",0",
        MapType.PERCPU_HASH + ",0",
        MapType.LRU_PERCPU_HASH + ",0",
        MapType.PERCPU_ARRAY + ",0",
        MapType.LPM_TRIE + "," + BpfMap.NO_PREALLOC
    })
    void forEach_showsTheElementsOfOtherKindsOfMap(int type, int flags) {
        int keySize = type == MapType.PERCPU_ARRAY ? 4 : 8;
        try (BpfMap map = BpfMap.create("kind", type, keySize, 8, 3, flags)) {
            MemorySegment values = arena.allocate(map.valueBytes(), 8);
            for (int i = 0; i < 3; i++) {
                MemorySegment key = arena.allocate(8, 8);
                // For the trie a prefix of 0, 1 or 2 bits, for the others a number.
                key.set(JAVA_INT, 0, i);
                values.set(JAVA_LONG, 0, i + 10);
                map.update(key, values, BpfMap.ANY);
            }
            Map<Integer, Long> read = new HashMap<>();
            map.forEach((key, value) -> read.put(key.get(JAVA_INT, 0), value.get(JAVA_LONG, 0)));
            assertThat(read).containsOnly(Map.entry(0, 10L), Map.entry(1, 11L), Map.entry(2, 12L));
        }
    }

    @Test
    void forEach_whoseVisitorThrows_throwsThat() {
        hash.update(key(1), value(1), BpfMap.ANY);
        assertThatThrownBy(() -> hash.forEach((key, value) -> {
                    throw new IllegalStateException("enough");
                }))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("enough");
    }

    @Test
    void forEach_ofAMapWithoutBatches_isRefused() {
        try (BpfMap ring = BpfMap.create("ring", MapType.RINGBUF, 0, 0, 4096, 0)) {
            BpfException e = catchThrowableOfType(BpfException.class, () -> ring.forEach((key, value) -> {}));
            assertThat(e.errno()).isEqualTo(Errno.ENOTSUPP);
        }
    }

    @Test
    void updateBatch_intoAMapThatFills_tellsHowFarItCame() {
        MemorySegment keys = arena.allocate(JAVA_INT, ENTRIES + 3);
        MemorySegment values = arena.allocate(JAVA_LONG, ENTRIES + 3);
        for (int i = 0; i < ENTRIES + 3; i++) {
            keys.setAtIndex(JAVA_INT, i, i);
        }
        BatchException e =
                catchThrowableOfType(BatchException.class, () -> hash.updateBatch(keys, values, ENTRIES + 3));
        assertThat(e.errno()).isEqualTo(Errno.E2BIG);
        assertThat(e.done()).isEqualTo(ENTRIES);
        assertThat(e).hasMessageContaining("map hash").hasMessageContaining("after 10 of 13");
    }

    @Test
    void perCpuValues_haveOneSlotOfEightBytesForEachPossibleCpu() {
        try (BpfMap counts = BpfMap.create("counts", MapType.PERCPU_HASH, 4, 12, 4, BpfMap.NO_PREALLOC)) {
            assertThat(Cpus.possible())
                    .isGreaterThanOrEqualTo(Runtime.getRuntime().availableProcessors());
            assertThat(counts.valueSize()).isEqualTo(12);
            assertThat(counts.valueBytes()).isEqualTo(16 * Cpus.possible());
            MemorySegment value = arena.allocate(counts.valueBytes(), 8);
            for (int cpu = 0; cpu < Cpus.possible(); cpu++) {
                value.set(JAVA_LONG, 16L * cpu, cpu + 100);
            }
            counts.update(key(1), value, BpfMap.ANY);
            MemorySegment found = arena.allocate(counts.valueBytes(), 8);
            assertThat(counts.lookup(key(1), found)).isTrue();
            counts.forEach((key, each) -> assertThat(each.mismatch(found)).isEqualTo(-1));
            for (int cpu = 0; cpu < Cpus.possible(); cpu++) {
                assertThat(found.get(JAVA_LONG, 16L * cpu)).isEqualTo(cpu + 100);
            }
        }
    }

    @Test
    void mmap_isSeenBothWays() {
        try (BpfMap words = BpfMap.create("words", MapType.ARRAY, 4, 8, 1_000, BpfMap.MMAPABLE)) {
            MemorySegment mapped = words.mmap(arena);
            assertThat(mapped.byteSize()).isEqualTo(8_000);

            mapped.setAtIndex(JAVA_LONG, 999, 7);
            MemorySegment found = arena.allocate(JAVA_LONG);
            assertThat(words.lookup(key(999), found)).isTrue();
            assertThat(found.get(JAVA_LONG, 0)).isEqualTo(7);

            words.update(key(500), value(8), BpfMap.ANY);
            assertThat(mapped.getAtIndex(JAVA_LONG, 500)).isEqualTo(8);
        }
    }

    @Test
    void mmap_endsWithItsArena() throws IOException {
        try (BpfMap words = BpfMap.create("words", MapType.ARRAY, 4, 4, 3, BpfMap.MMAPABLE)) {
            MemorySegment mapped;
            try (Arena mapping = Arena.ofConfined()) {
                mapped = words.mmap(mapping);
                assertThat(mapped.byteSize()).isEqualTo(24);
                assertThat(Files.readString(MAPS)).contains(MAPPED);
            }
            assertThat(Files.readString(MAPS)).doesNotContain(MAPPED);
            assertThatThrownBy(() -> mapped.get(JAVA_INT, 0)).hasMessageContaining("closed");
        }
    }

    @Test
    void mmap_ofAMapNotMadeForIt_isRefused() {
        BpfException e = catchThrowableOfType(BpfException.class, () -> hash.mmap(arena));
        assertThat(e.call()).isEqualTo("mmap");
        assertThat(e.object()).isEqualTo("map hash");
    }

    @Test
    void pin_keepsTheMapForAnotherToOpen() {
        try (TestPlace bpffs = TestPlace.bpffs()) {
            hash.update(key(1), value(11), BpfMap.ANY);
            hash.pin(bpffs.resolve("hash"));
            BpfException twice = catchThrowableOfType(BpfException.class, () -> hash.pin(bpffs.resolve("hash")));
            assertThat(twice.errno()).isEqualTo(Errno.EEXIST);
            assertThat(twice.object())
                    .contains("map hash at ")
                    .contains(bpffs.path().toString());
            int id = hash.info().id();
            hash.close();

            try (BpfMap opened = BpfMap.openPinned(bpffs.resolve("hash"))) {
                assertThat(opened.info().id()).isEqualTo(id);
                assertThat(opened.name()).isEqualTo("hash");
                assertThat(opened.keySize()).isEqualTo(4);
                assertThat(opened.lookup(key(1), arena.allocate(JAVA_LONG))).isTrue();
                opened.unpin(bpffs.resolve("hash"));
                opened.unpin(bpffs.resolve("hash"));
                assertThat(bpffs.resolve("hash")).doesNotExist();
            }
        }
    }

    @Test
    void openPinned_missing_isEnoent() {
        try (TestPlace bpffs = TestPlace.bpffs()) {
            BpfException e =
                    catchThrowableOfType(BpfException.class, () -> BpfMap.openPinned(bpffs.resolve("nothing")));
            assertThat(e.errno()).isEqualTo(Errno.ENOENT);
            assertThat(e).hasMessageContaining("map at ").hasMessageContaining("nothing");
        }
    }

    @Test
    void openPinned_ofAProgram_saysWhatItIs() {
        try (TestPlace bpffs = TestPlace.bpffs();
                BpfObject object = TestObject.loaded("bindings")) {
            object.program("allow").pin(bpffs.resolve("allow"));
            assertThatThrownBy(() -> BpfMap.openPinned(bpffs.resolve("allow")))
                    .isInstanceOf(BpfException.class)
                    .hasMessageContaining("it is not a map but anon_inode:bpf-prog");
            assertThatThrownBy(() -> BpfLink.openPinned(bpffs.resolve("allow")))
                    .hasMessageContaining("it is not a link");
        }
    }

    @Test
    void pin_outsideBpffs_isRefused() {
        BpfException e = catchThrowableOfType(
                BpfException.class, () -> hash.pin(TestPlace.cgroupRoot().resolve("no-place-for-maps")));
        assertThat(e.call()).isEqualTo("bpf_obj_pin");
        assertThat(e.errno()).isEqualTo(Errno.EPERM);
    }

    @Test
    void reuse_takesOverContentsAndSize() {
        try (BpfObject second = TestObject.open("bindings")) {
            int id;
            try (BpfObject first = TestObject.open("bindings")) {
                first.map("words").setMaxEntries(50);
                first.load();
                first.map("words").update(key(3), value(33), BpfMap.ANY);

                second.map("words").reuse(first.map("words"));
                second.load();

                id = first.map("words").info().id();
            }
            assertThat(second.map("words").maxEntries()).isEqualTo(50);
            assertThat(second.map("words").info().id()).isEqualTo(id);
            MemorySegment found = arena.allocate(JAVA_LONG);
            assertThat(second.map("words").lookup(key(3), found)).isTrue();
            assertThat(found.get(JAVA_LONG, 0)).isEqualTo(33);
        }
    }

    @Test
    void reuse_ofAMapOfAnotherShape_listsTheDifferences() {
        try (BpfObject object = TestObject.open("bindings")) {
            LayoutMismatchException e = catchThrowableOfType(
                    LayoutMismatchException.class, () -> object.map("words").reuse(hash));
            assertThat(e)
                    .hasMessage("map words cannot take over the existing map hash: it has type 1, the program needs 2; "
                            + "it has flags 1, the program needs 1024");
            assertThat(e.differences()).hasSize(2);
        }
    }
}
