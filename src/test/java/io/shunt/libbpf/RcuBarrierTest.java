package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kernel")
class RcuBarrierTest {
    @Test
    void await_returnsAgainAndAgain() {
        try (RcuBarrier barrier = new RcuBarrier()) {
            assertThatCode(barrier::await).doesNotThrowAnyException();
            assertThatCode(barrier::await).doesNotThrowAnyException();
        }
    }

    @Test
    void await_closed_isEbadf() {
        RcuBarrier barrier = new RcuBarrier();
        barrier.close();

        assertThatExceptionOfType(BpfException.class).isThrownBy(barrier::await).withMessageContaining("EBADF");
    }
}
