package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import ch.qos.logback.core.read.ListAppender;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

@Tag("kernel")
class LibbpfLogTest {
    private final Logger logger = (Logger) LoggerFactory.getLogger("libbpf");
    private final ListAppender<ILoggingEvent> logged = new ListAppender<>();

    @BeforeEach
    void attach() {
        LibbpfLog.install();
        logger.setAdditive(false);
        logged.start();
        logger.addAppender(logged);
    }

    @AfterEach
    void detach() {
        logger.detachAndStopAllAppenders();
        logger.setAdditive(true);
        logger.setLevel(null);
    }

    /** Which libbpf refuses with a warning of its own, on this thread. */
    private static void provoke() {
        try (BpfMap map = BpfMap.create("no_ring", MapType.ARRAY, 4, 4, 1, 0)) {
            assertThatThrownBy(() -> new RingBuffer(map, event -> {}).close()).isInstanceOf(BpfException.class);
        }
    }

    @Test
    void warnings_areFormattedAndLoggedAsWarnings() {
        provoke();
        assertThat(logged.list).singleElement().satisfies(event -> {
            assertThat(event.getLevel()).isEqualTo(Level.WARN);
            assertThat(event.getFormattedMessage()).matches("libbpf: ringbuf: map fd=\\d+ is not BPF_MAP_TYPE_RINGBUF");
        });
    }

    @Test
    void debug_isLoggedAsTraceOnly() {
        logger.setLevel(Level.DEBUG);
        TestObject.open("bindings").close();
        assertThat(logged.list).isEmpty();

        logger.setLevel(Level.TRACE);
        TestObject.open("bindings").close();
        assertThat(logged.list)
                .isNotEmpty()
                .allSatisfy(event -> assertThat(event.getLevel()).isEqualTo(Level.TRACE))
                .extracting(ILoggingEvent::getFormattedMessage)
                .anySatisfy(message ->
                        assertThat(message).contains("a_table_with_a_long_name").contains("type = 1"));
    }

    @Test
    void warningsOfACallThatFails_areInItsExceptionAndNotLogged() {
        try (BpfObject object = TestObject.open("refused")) {
            assertThatThrownBy(object::load).isInstanceOf(VerifierException.class);
        }
        assertThat(logged.list).isEmpty();
    }

    @Test
    void warningsOfACallThatSucceeds_areLoggedAfterAll() {
        try (LibbpfLog.Said said = LibbpfLog.listen()) {
            provoke();
            assertThat(logged.list).isEmpty();
            assertThat(said).isNotNull();
        }
        assertThat(logged.list).hasSize(1);
    }

    @Test
    void anAppenderThatThrows_doesNotEndTheProcess() {
        logger.addAppender(new AppenderBase<>() {
            @Override
            public synchronized void doAppend(ILoggingEvent event) {
                throw new IllegalStateException("no space left on the log device");
            }

            @Override
            protected void append(ILoggingEvent event) {}
        });
        provoke();
        assertThat(logged.list).hasSize(1);
    }
}
