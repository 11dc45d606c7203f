package io.shunt.config;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Durations as Go's time.ParseDuration reads them: {@code 30s}, {@code 1h15m}, {@code 1.5s}, {@code -1ms}, {@code 0}. */
public final class GoDuration {
    private static final String NUMBER_AND_UNIT = "(\\d+(?:\\.\\d*)?|\\.\\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)";
    private static final Pattern PART = Pattern.compile(NUMBER_AND_UNIT);
    private static final Pattern WHOLE = Pattern.compile("([-+]?)(0|(?:" + NUMBER_AND_UNIT + ")+)");
    private static final BigDecimal MOST = BigDecimal.valueOf(Long.MAX_VALUE);

    private GoDuration() {}

    /** Empty if it is no duration, or of more than 2^63 - 1 nanoseconds (292 years). */
    public static Optional<Duration> parse(String text) {
        Matcher whole = WHOLE.matcher(text);
        if (!whole.matches()) {
            return Optional.empty();
        }
        BigDecimal nanos = BigDecimal.ZERO;
        for (Matcher part = PART.matcher(whole.group(2)); part.find(); ) {
            BigDecimal unit = BigDecimal.valueOf(nanos(part.group(2)));
            nanos = nanos.add(new BigDecimal(part.group(1)).multiply(unit));
        }
        if (nanos.compareTo(MOST) > 0) {
            return Optional.empty();
        }
        Duration length = Duration.ofNanos(nanos.longValue());
        return Optional.of(whole.group(1).equals("-") ? length.negated() : length);
    }

    private static long nanos(String unit) {
        return switch (unit) {
            case "ns" -> 1;
            case "ms" -> 1_000_000;
            case "s" -> 1_000_000_000;
            case "m" -> 60 * 1_000_000_000L;
            case "h" -> 3600 * 1_000_000_000L;
            default -> 1_000; // A micro sign or a mu, or the u that stands for them.
        };
    }

    /** The text that {@link #parse} reads, as Go writes it: {@code 1m30s}, {@code 100ms}, {@code 0s}. */
    public static String format(Duration duration) {
        if (duration.isNegative()) {
            return "-" + format(duration.negated());
        }
        if (duration.isZero() || duration.toNanosPart() == duration.toNanos()) {
            return belowASecond(duration.toNanosPart());
        }
        String seconds =
                plain(BigDecimal.valueOf(duration.toSecondsPart() * 1_000_000_000L + duration.toNanosPart(), 9));
        String minutes = duration.toMinutes() == 0 ? "" : duration.toMinutesPart() + "m";
        String hours = duration.toHours() == 0 ? "" : duration.toHours() + "h";
        return hours + minutes + seconds + "s";
    }

    private static String belowASecond(int nanos) {
        if (nanos == 0) {
            return "0s";
        }
        if (nanos < 1_000) {
            return nanos + "ns";
        }
        return nanos < 1_000_000
                ? plain(BigDecimal.valueOf(nanos, 3)) + "\u00b5s"
                : plain(BigDecimal.valueOf(nanos, 6)) + "ms";
    }

    private static String plain(BigDecimal number) {
        return number.stripTrailingZeros().toPlainString();
    }
}
