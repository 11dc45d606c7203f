package io.shunt.flow;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.flow.Flows.Page;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class DropLogTest {
    private static final Duration AT_ONCE = Duration.ZERO;
    private static final Duration LONG = Duration.ofSeconds(60);

    private final DropLog log = new DropLog(10);

    private void append(int from, int to) {
        List<Drop> drops = new ArrayList<>();
        for (int i = from; i <= to; i++) {
            drops.add(new Drop(
                    0, Instant.EPOCH, "TCP", "10.0.0.1:" + i, "", "10.0.0.2:80", "", "", "", "ttl", "", "", false));
        }
        log.append(drops);
    }

    private static List<Integer> ports(Page page) {
        return page.drops().stream()
                .map(drop -> Integer.valueOf(drop.source().substring("10.0.0.1:".length())))
                .toList();
    }

    @Test
    void reader_getsEachDropOnce_inOrder() throws InterruptedException {
        Page none = log.after(0, AT_ONCE);
        assertThat(none.drops()).isEmpty();
        append(1, 3);
        Page first = log.after(none.last(), AT_ONCE);
        assertThat(ports(first)).containsExactly(1, 2, 3);
        assertThat(first.drops()).extracting(Drop::id).isSorted().doesNotHaveDuplicates();
        append(4, 5);
        Page second = log.after(first.last(), AT_ONCE);
        assertThat(ports(second)).containsExactly(4, 5);
        assertThat(second.lost()).isZero();
        assertThat(log.after(second.last(), AT_ONCE).drops()).isEmpty();
        assertThat(ports(log.after(0, AT_ONCE))).containsExactly(1, 2, 3, 4, 5);
    }

    @Test
    void readerThatIsLate_getsTheLastOnes_andHearsHowManyAreGone() throws InterruptedException {
        append(1, 2);
        Page first = log.after(0, AT_ONCE);
        append(3, 25);
        Page late = log.after(first.last(), AT_ONCE);
        assertThat(ports(late)).containsExactly(16, 17, 18, 19, 20, 21, 22, 23, 24, 25);
        assertThat(late.lost()).isEqualTo(13);
        assertThat(log.after(0, AT_ONCE).lost()).as("of a new reader").isZero();
    }

    @Test
    void readerOfAnEarlierProcess_missesNothingOfThisOnes() throws InterruptedException {
        append(1, 3);
        Page page = log.after(1_000, AT_ONCE);
        assertThat(ports(page)).containsExactly(1, 2, 3);
        assertThat(page.lost()).isZero();
    }

    @Test
    void readerWhoseIdsAreOfTheFuture_getsWhatComes() throws InterruptedException {
        append(1, 3);
        Page page = log.after(Long.MAX_VALUE, AT_ONCE);
        assertThat(page.drops()).isEmpty();
        append(4, 4);
        assertThat(ports(log.after(page.last(), AT_ONCE))).containsExactly(4);
    }

    @Test
    void readerThatWaits_isWokenByTheFirst() throws Exception {
        append(1, 1);
        long last = log.after(0, AT_ONCE).last();
        CompletableFuture<Page> waiting = new CompletableFuture<>();
        Thread reader = Thread.ofVirtual().start(() -> {
            try {
                waiting.complete(log.after(last, LONG));
            } catch (InterruptedException e) {
                waiting.completeExceptionally(e);
            }
        });
        append(2, 2);
        assertThat(ports(waiting.get(30, TimeUnit.SECONDS))).containsExactly(2);
        reader.join();
    }
}
