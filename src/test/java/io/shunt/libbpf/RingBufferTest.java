package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class RingBufferTest {
    private final Arena arena = Arena.ofConfined();
    private final BpfObject object = TestObject.loaded("bindings");
    private final BpfMap events = object.map("events");
    private final MemorySegment words = object.map("words").mmap(arena);
    private final List<Long> seen = new ArrayList<>();

    @AfterEach
    void close() {
        arena.close();
        object.close();
    }

    private void tell(long word) {
        words.set(JAVA_LONG, 0, word);
        assertThat(object.program("tell")
                        .testRun(arena.allocate(64), null, null, 1)
                        .retval())
                .isZero();
    }

    private void take(MemorySegment event) {
        assertThat(event.byteSize()).isEqualTo(8);
        seen.add(event.get(JAVA_LONG, 0));
    }

    @Test
    void poll_handsOverWhatProgramsWrote() {
        try (RingBuffer buffer = new RingBuffer(events, this::take)) {
            assertThat(buffer.poll(0)).isZero();
            tell(7);
            tell(8);
            tell(9);
            assertThat(buffer.poll(10_000)).isEqualTo(3);
            assertThat(seen).containsExactly(7L, 8L, 9L);
            tell(10);
            assertThat(buffer.consume()).isEqualTo(1);
            assertThat(buffer.consume()).isZero();
            assertThat(seen).containsExactly(7L, 8L, 9L, 10L);
        }
    }

    @Test
    void poll_whoseConsumerThrows_throwsThatAndGoesOnAfterTheEvent() {
        try (RingBuffer buffer = new RingBuffer(events, event -> {
            take(event);
            if (seen.size() == 1) {
                throw new IllegalArgumentException("not this one");
            }
        })) {
            tell(7);
            tell(8);
            assertThatThrownBy(() -> buffer.poll(0))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("not this one");
            assertThat(buffer.poll(0)).isEqualTo(1);
            assertThat(seen).containsExactly(7L, 8L);
        }
    }

    @Test
    void poll_whoseConsumerFailsWithAnError_throwsThat() {
        try (RingBuffer buffer = new RingBuffer(events, event -> {
            throw new AssertionError("out of luck");
        })) {
            tell(7);
            assertThatThrownBy(() -> buffer.poll(0))
                    .isInstanceOf(AssertionError.class)
                    .hasMessage("out of luck");
        }
    }

    @Test
    void close_byTheConsumer_isRefused() {
        RingBuffer[] self = new RingBuffer[1];
        try (RingBuffer buffer = new RingBuffer(events, event -> self[0].close())) {
            self[0] = buffer;
            tell(7);
            assertThatThrownBy(() -> buffer.poll(0))
                    .hasMessage("ring buffer events cannot be closed by its own consumer");
        }
    }

    @Test
    void closed_isRefused() {
        RingBuffer buffer = new RingBuffer(events, this::take);
        buffer.close();
        buffer.close();
        assertThatThrownBy(() -> buffer.poll(0))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("ring buffer events is closed");
    }

    @Test
    void ofAMapThatIsNone_isEinval() {
        BpfException e =
                catchThrowableOfType(BpfException.class, () -> new RingBuffer(object.map("words"), this::take).close());
        assertThat(e).hasMessage("ring_buffer__new, map words: EINVAL (Invalid argument)");
    }
}
