package io.shunt.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.cluster.ObjectName;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class FailuresTest {
    private static final ObjectName WEB = new ObjectName("shop", "web");
    private static final ObjectName DNS = new ObjectName("shop", "dns");
    private static final Instant FIRST = Instant.ofEpochSecond(1);
    private static final Instant LATER = Instant.ofEpochSecond(2);
    private static final Instant LAST = Instant.ofEpochSecond(3);

    private final Failures failures = new Failures();

    @Test
    void wantOfRoom_isNoIllness_andWhatFollowsItIsNoOlderThanItself() {
        failures.add(WEB, "no room", FIRST, false);
        assertThat(failures.oldestLasting()).isNull();
        assertThat(failures.retry()).containsExactly(WEB);

        failures.add(WEB, "EIO", LATER, true);
        failures.add(WEB, "EIO", LAST, true);

        assertThat(failures.oldestLasting()).isEqualTo(LATER);
        failures.retry();
        assertThat(failures.oldestLasting()).isEqualTo(LATER);

        failures.add(WEB, "no room", LAST, false);
        failures.retry();
        assertThat(failures.oldestLasting()).isNull();
    }

    @Test
    void oldest_isThatOfThoseThatStillFail() {
        failures.add(WEB, "EIO", FIRST, true);
        failures.add(DNS, "EIO", LATER, true);
        assertThat(failures.oldestLasting()).isEqualTo(FIRST);

        failures.remove(WEB);
        assertThat(failures.retry()).containsExactly(DNS);
        assertThat(failures.oldestLasting()).isEqualTo(LATER);

        failures.remove(DNS);
        assertThat(failures.oldestLasting()).isNull();
    }

    @Test
    void sameMessage_isNewsOnce() {
        assertThat(failures.add(WEB, "no room", FIRST, false)).isTrue();
        assertThat(failures.add(WEB, "no room", LATER, false)).isFalse();
        assertThat(failures.add(DNS, "no room", LATER, false)).isTrue();
        assertThat(failures.add(WEB, "EIO", LATER, true)).isTrue();

        failures.remove(WEB);
        assertThat(failures.add(WEB, "EIO", LAST, true)).isTrue();
    }
}
