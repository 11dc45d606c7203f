package io.shunt.bench;

import java.time.Duration;
import java.util.Locale;

/** Says on standard output what is being measured, with the time since the start. */
final class Progress {
    private final long start = System.nanoTime();

    /** Also the place where a benchmark that is to stop does so. */
    void say(String format, Object... arguments) {
        long seconds = Duration.ofNanos(System.nanoTime() - start).toSeconds();
        System.out.printf(
                Locale.ROOT,
                "[%2d:%02d] %s%n",
                seconds / 60,
                seconds % 60,
                arguments.length == 0 ? format : String.format(Locale.ROOT, format, arguments));
        stopIfInterrupted();
    }

    void stopIfInterrupted() {
        if (Thread.currentThread().isInterrupted()) {
            throw new StoppedException();
        }
    }

    /** Somebody does not want to wait any longer. */
    static final class StoppedException extends RuntimeException {
        private static final long serialVersionUID = 1;

        StoppedException() {
            super("stopped");
        }
    }
}
