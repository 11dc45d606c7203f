package io.shunt.config;

import io.shunt.net.Address;
import io.shunt.net.HostPort;
import io.shunt.net.IpFamily;
import io.shunt.net.Prefix;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * What a setting's value may be, in a file and on the command line alike.
 *
 * @param notation how a file writes it
 * @param label what stands for it in a flag's help
 * @param wanted what it has to be, in words that follow "must be"
 * @param reader makes the value of its texts: one, or as many as a list has
 */
public record Shape<T>(Notation notation, String label, String wanted, Reader<T> reader) {
    static final String DURATION = "DURATION";

    private static final Pattern QUANTITY = Pattern.compile("[0-9]+(\\.[0-9]+)?([KMGTPE]i|[numkMGTPE])?");
    private static final List<String> TRUE = List.of("true", "True", "TRUE", "t", "T", "1");
    private static final List<String> FALSE = List.of("false", "False", "FALSE", "f", "F", "0");

    /** How YAML and JSON write a value. */
    enum Notation {
        TEXT,
        NUMBER,
        NUMBER_OR_TEXT,
        TRUTH,
        TEXTS,
        /** Names, each with a truth; as text {@code name=true}. */
        TRUTHS,
        /** Nobody looks. */
        ANYTHING
    }

    @FunctionalInterface
    interface Reader<T> {
        /** @throws WrongValueException if it is of another shape */
        T read(List<String> texts);
    }

    /**
     * Makes the value of its texts.
     *
     * @throws WrongValueException if it is of another shape
     */
    T read(List<String> texts) {
        return reader.read(texts);
    }

    /** Whether a flag of this shape may be given alone, which means true. */
    public boolean isTruth() {
        return notation == Notation.TRUTH;
    }

    /** Whether a flag that is given again adds to what it said before. */
    public boolean isList() {
        return notation == Notation.TEXTS || notation == Notation.TRUTHS;
    }

    /** A flag's text as the texts of its value: a list's elements stand between commas. */
    public List<String> split(String text) {
        return isList()
                ? Arrays.stream(text.split(","))
                        .map(String::strip)
                        .filter(each -> !each.isEmpty())
                        .toList()
                : List.of(text);
    }

    private static <T> Shape<T> of(
            Notation notation, String label, String wanted, Function<String, Optional<T>> parse) {
        return new Shape<>(notation, label, wanted, texts -> element(-1, texts.getLast(), wanted, parse));
    }

    private static <T> T element(int index, String text, String wanted, Function<String, Optional<T>> parse) {
        return parse.apply(text).orElseThrow(() -> wrong(index, wanted, '"' + text + '"'));
    }

    /** @param found what is there instead, as it should be shown */
    static WrongValueException wrong(int index, String wanted, String found) {
        return new WrongValueException(index, "must be " + wanted + ", not " + found);
    }

    static Shape<String> text(String label) {
        return of(Notation.TEXT, label, "text", Optional::of);
    }

    static Shape<String> oneOf(String label, String... choices) {
        List<String> all = List.of(choices);
        String last = choices[choices.length - 1];
        String wanted = String.join(", ", all.subList(0, all.size() - 1)) + " or " + last;
        return of(Notation.TEXT, label, wanted, text -> Optional.of(text).filter(all::contains));
    }

    static Shape<Boolean> truth() {
        return of(Notation.TRUTH, "BOOL", "true or false", Shape::truth);
    }

    private static Optional<Boolean> truth(String text) {
        return TRUE.contains(text) ? Optional.of(true) : FALSE.contains(text) ? Optional.of(false) : Optional.empty();
    }

    static Shape<Integer> integer(int least, int most) {
        String wanted = most == Integer.MAX_VALUE
                ? "a whole number of " + least + " or more"
                : "a whole number from " + least + " to " + most;
        return of(Notation.NUMBER, "COUNT", wanted, text -> integer(text).filter(it -> it >= least && it <= most));
    }

    private static Optional<Integer> integer(String text) {
        try {
            return Optional.of(Integer.decode(text));
        } catch (NumberFormatException e) {
            return Optional.empty();
        }
    }

    static Shape<Double> number() {
        return of(Notation.NUMBER, "NUMBER", "a number", text -> {
            try {
                return Optional.of(Double.valueOf(text));
            } catch (NumberFormatException e) {
                return Optional.empty();
            }
        });
    }

    static Shape<Duration> duration() {
        return duration("a duration, as 30s or 1m", it -> true);
    }

    static Shape<Duration> durationOfZeroOrMore() {
        return duration("a duration of 0 or more, as 30s or 1m", it -> !it.isNegative());
    }

    static Shape<Duration> durationAboveZero() {
        return duration("a duration above 0, as 30s or 1m", Duration::isPositive);
    }

    private static Shape<Duration> duration(String wanted, Predicate<Duration> right) {
        return of(
                Notation.TEXT, DURATION, wanted, text -> GoDuration.parse(text).filter(right));
    }

    /** Text, or a number of nanoseconds. */
    static Shape<Duration> durationOrNanos() {
        return of(
                Notation.NUMBER_OR_TEXT,
                DURATION,
                "a duration, as 5s, or nanoseconds",
                text -> text.matches("-?[0-9]{1,18}")
                        ? Optional.of(Duration.ofNanos(Long.parseLong(text)))
                        : GoDuration.parse(text));
    }

    static Shape<String> quantity() {
        return of(
                Notation.NUMBER_OR_TEXT,
                "QUANTITY",
                "a quantity, as 0 or 64Ki",
                text -> Optional.of(text).filter(QUANTITY.asMatchPredicate()));
    }

    static Shape<Address> ip() {
        return of(Notation.TEXT, "IP", "an IP address", Address::parse);
    }

    /** An address with or without a port. As a flag it may be empty, for none at all. */
    static Shape<String> ipPort(int usualPort) {
        return of(
                Notation.TEXT,
                "IP:PORT",
                "an address and port, as 127.0.0.1:" + usualPort + " or [::1]:" + usualPort,
                text -> Optional.of(text)
                        .filter(it ->
                                it.isEmpty() || HostPort.parse(it, usualPort).isPresent()));
    }

    static Shape<List<String>> texts(String label) {
        return new Shape<>(Notation.TEXTS, label, "a list of texts", List::copyOf);
    }

    static Shape<List<String>> cidrs() {
        return list("a CIDR, as 10.0.0.0/8 or fd00::/8", text -> family(text).isPresent());
    }

    private static Shape<List<String>> list(String wanted, Predicate<String> right) {
        return new Shape<>(Notation.TEXTS, "CIDR,CIDR", wanted, texts -> {
            for (int i = 0; i < texts.size(); i++) {
                element(i, texts.get(i), wanted, text -> Optional.of(text).filter(right));
            }
            return List.copyOf(texts);
        });
    }

    /** CIDRs, or {@code primary} alone. */
    static Shape<List<String>> nodeAddresses() {
        Shape<List<String>> cidrs = cidrs();
        return new Shape<>(
                cidrs.notation,
                cidrs.label,
                cidrs.wanted,
                texts -> texts.equals(List.of("primary")) ? texts : cidrs.read(texts));
    }

    /** One CIDR, or one of each family with a comma between. */
    static Shape<String> cidrPair() {
        String wanted = "a CIDR, or one of each family as 10.244.0.0/16,fd00:10:244::/56";
        return of(Notation.TEXT, "CIDR,CIDR", wanted, text -> Optional.of(text).filter(Shape::isCidrPair));
    }

    private static boolean isCidrPair(String text) {
        List<Optional<Boolean>> families =
                Arrays.stream(text.split(",", -1)).map(Shape::family).toList();
        return families.size() <= 2
                && families.stream().allMatch(Optional::isPresent)
                && families.stream().distinct().count() == families.size();
    }

    /** Whether a CIDR is of IPv4; empty if it is none. Bits beyond the prefix may be set, as kube-proxy takes them too. */
    private static Optional<Boolean> family(String cidr) {
        return Prefix.parse(cidr).map(prefix -> prefix.family() == IpFamily.IPV4);
    }

    /** Names with truths. */
    static Shape<List<String>> truths() {
        String wanted = "NAME=true or NAME=false";
        return new Shape<>(Notation.TRUTHS, "NAME=BOOL,...", wanted, texts -> {
            for (String text : texts) {
                int equals = text.indexOf('=');
                if (equals <= 0 || truth(text.substring(equals + 1)).isEmpty()) {
                    throw wrong(-1, wanted, '"' + text + '"');
                }
            }
            return List.copyOf(texts);
        });
    }

    static Shape<List<String>> anything(String label) {
        return new Shape<>(Notation.ANYTHING, label, "anything", List::copyOf);
    }
}
