package io.shunt.testbed;

import java.time.Duration;
import java.util.Map;

/**
 * What came of many conversations.
 *
 * @param outcomes how many went well ("ok") or failed, by the errno's name
 * @param servers how many each server answered, by its name; empty if nobody was asked
 */
public record Load(Duration took, Map<String, Long> outcomes, Map<String, Long> servers) {
    /** What to do again and again; src/test/c/traffic.c says what each does. */
    public enum Kind {
        CONNECT("connect"),
        REQUEST("request"),
        UDP("udp"),
        UDP_CONNECTED("udp-connected"),
        UDP_STREAM("udp-stream"),
        UDP_FLOOD("udp-flood");

        private final String word;

        Kind(String word) {
            this.word = word;
        }

        String word() {
            return word;
        }
    }

    public long ok() {
        return outcomes.getOrDefault("ok", 0L);
    }

    public long total() {
        return outcomes.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Those that went well, a second. */
    public double rate() {
        return ok() * 1e9 / took.toNanos();
    }
}
