package io.shunt.cluster;

import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** How a backend is chosen for a new connection. */
public enum Algorithm {
    /** At random. */
    RANDOM,
    /** By the client's address and port, on every node the same: Maglev's consistent hashing. */
    MAGLEV;

    /** How people write them. */
    public static final String CHOICE = "random or maglev";

    /** Empty if the text is none of {@link #CHOICE}. */
    public static Optional<Algorithm> parse(String text) {
        return Stream.of(values()).filter(each -> each.toString().equals(text)).findFirst();
    }

    /** As people write it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
