package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OldGarbageTest {
    private static final long MEBI = 1 << 20;

    private final Heap heap = new Heap();
    private long nanos = Long.MAX_VALUE - 1_500_000_000L;
    private final OldGarbage garbage = new OldGarbage(Optional.of(heap), () -> nanos);

    private static final class Heap implements OldGarbage.OldGeneration {
        long live;
        long used;
        int looks;
        int collections;

        @Override
        public long usedBytes() {
            looks++;
            return used;
        }

        @Override
        public long liveBytes() {
            return live;
        }

        @Override
        public void collect() {
            collections++;
            used = live;
        }
    }

    private void clear(boolean quiet, long millisLater) {
        nanos += millisLater * 1_000_000;
        garbage.clear(quiet);
    }

    @ParameterizedTest(name = "{0}: {1} MiB live, {2} MiB of garbage")
    @CsvSource({
        "quiet, 0, 4, 0", "quiet, 0, 5, 1", "quiet, 80, 14, 0", "quiet, 80, 15, 1",
        "busy, 0, 16, 0", "busy, 0, 17, 1", "busy, 80, 56, 0", "busy, 80, 57, 1",
        "quiet, 80, -10, 0", "busy, 80, -10, 0"
    })
    void collection_comesWhenThereIsEnoughToGain(String state, long live, long dead, int collections) {
        heap.live = live * MEBI;
        heap.used = (live + dead) * MEBI;

        clear(state.equals("quiet"), 1_000);

        assertThat(heap.collections).isEqualTo(collections);
    }

    @Test
    void heap_isLookedAtOnceASecond_andNotAtTheStart() {
        heap.used = 100 * MEBI;
        clear(true, 0);
        clear(true, 999);
        assertThat(heap.looks).isZero();

        clear(true, 1);
        assertThat(heap.collections).isOne();

        // The clock wraps here.
        heap.used = 100 * MEBI;
        clear(true, 999);
        assertThat(heap.looks).isOne();
        clear(true, 1);
        assertThat(heap.collections).isEqualTo(2);
    }

    @Test
    void whereNoGarbageIsLeft_noneIsCollectedAgain() {
        heap.live = 80 * MEBI;
        heap.used = 200 * MEBI;
        clear(false, 1_000);
        clear(false, 1_000);
        clear(true, 1_000);

        assertThat(heap.looks).isEqualTo(3);
        assertThat(heap.collections).isOne();
    }

    @Test
    void collectorWithoutAnOldGeneration_isLeftAlone() {
        OldGarbage none = new OldGarbage(Optional.empty(), () -> nanos);
        nanos += 1_000_000_000L;
        none.clear(true);

        assertThat(heap.looks).isZero();
    }
}
