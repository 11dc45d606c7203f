package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** With the kernel's barrier; this thread is the control thread, which takes its tasks by hand. */
@Tag("kernel")
class RcuGracePeriodTest {
    private final BlockingQueue<Runnable> inbox = new LinkedBlockingQueue<>();
    private final RcuGracePeriod grace = new RcuGracePeriod(inbox::add);
    private final List<String> freed = new ArrayList<>();

    @AfterEach
    void close() {
        grace.close();
    }

    private Runnable awaitTask() throws InterruptedException {
        Runnable task = inbox.poll(30, TimeUnit.SECONDS);
        assertThat(task).as("a task for the control thread").isNotNull();
        return task;
    }

    @Test
    void free_runsOnTheControlThread_andNowhereElse() throws InterruptedException {
        grace.after(() -> freed.add(Thread.currentThread().getName()));
        Runnable task = awaitTask();
        assertThat(freed).isEmpty();

        task.run();
        assertThat(freed).containsExactly(Thread.currentThread().getName());
    }

    @Test
    void whatComesDuringOneWait_sharesTheNext() throws InterruptedException {
        IntStream.range(0, 1_000).forEach(n -> grace.after(() -> freed.add("" + n)));

        awaitTask().run();
        assertThat(freed).as("what was there when the wait began").containsExactly("0");
        awaitTask().run();
        assertThat(freed)
                .containsExactlyElementsOf(
                        IntStream.range(0, 1_000).mapToObj(n -> "" + n).toList());
        assertThat(inbox).isEmpty();
    }

    @Test
    void whatAFreeFrees_waitsForATurnOfItsOwn() throws InterruptedException {
        grace.after(() -> grace.after(() -> freed.add("inner")));
        awaitTask().run();
        assertThat(freed).isEmpty();

        awaitTask().run();
        assertThat(freed).containsExactly("inner");
    }

    @Test
    void aFreeThatFails_keepsNoneOfTheOthersBack() throws InterruptedException {
        grace.after(() -> {
            throw new IllegalStateException("a fault");
        });
        grace.after(() -> freed.add("second"));
        awaitTask().run();
        awaitTask().run();
        assertThat(freed).containsExactly("second");
    }

    @Test
    void afterTheEnd_nothingIsFreed_andNobodyFails() {
        grace.close();
        grace.after(() -> freed.add("late"));
        grace.after(() -> freed.add("later"));
        assertThat(inbox).isEmpty();
        assertThat(freed).isEmpty();
    }
}
