package io.shunt.config;

import java.time.Duration;
import java.util.Arrays;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks again and again whether a configuration file says something else than it did. It compares what the path leads
 * to, so that a mounted ConfigMap's links are seen to change too, and believes what two looks in a row have found. What
 * is wrong is logged, and what the file said before stays in force.
 */
public final class ConfigFileWatch implements Runnable {
    private static final Logger log = LoggerFactory.getLogger(ConfigFileWatch.class);
    private static final byte[] GONE = {};

    private final ConfigFile file;
    private final Duration period;
    private final Runnable changed;

    /**
     * A watch that {@link #run} begins.
     *
     * @param period between two looks
     * @param changed run once; then the watch ends
     */
    public ConfigFileWatch(ConfigFile file, Duration period, Runnable changed) {
        this.file = file;
        this.period = period;
        this.changed = changed;
    }

    /** Watches until the file says something else, or the thread is interrupted. */
    @Override
    public void run() {
        byte[] known = content();
        byte[] last = known;
        // It may have changed since it was read.
        boolean other = saysOther(known);
        try {
            while (!other) {
                Thread.sleep(period);
                byte[] now = content();
                if (!Arrays.equals(now, known) && Arrays.equals(now, last)) {
                    known = now;
                    other = saysOther(now);
                }
                last = now;
            }
            changed.run();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private byte[] content() {
        try {
            return ConfigFile.content(file.path());
        } catch (ConfigurationException e) {
            return GONE;
        }
    }

    private boolean saysOther(byte[] content) {
        if (content.length == 0) {
            log.error("--config {} is gone or empty: put it back; what it said stays in force", file.path());
            return false;
        }
        try {
            boolean other = !ConfigFile.of(file.path(), content).says().equals(file.says());
            log.debug("--config {} {}", file.path(), other ? "says something else" : "says the same");
            return other;
        } catch (ConfigurationException e) {
            log.error("{}; what it said before stays in force", e.getMessage());
            return false;
        }
    }
}
