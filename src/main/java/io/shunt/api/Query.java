package io.shunt.api;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What stands behind the question mark of what was asked for. */
record Query(Map<String, String> values) {
    Query {
        values = Map.copyOf(values);
    }

    /** @param raw as it was sent; null if there is none */
    static Query of(@Nullable String raw) {
        Map<String, String> values = new HashMap<>();
        for (String part : raw == null ? new String[0] : raw.split("&", -1)) {
            int equals = part.indexOf('=');
            String name = equals < 0 ? part : part.substring(0, equals);
            values.put(decode(name), equals < 0 ? "" : decode(part.substring(equals + 1)));
        }
        return new Query(values);
    }

    private static String decode(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new WrongQueryException("\"" + text + "\" is not encoded as a URL has to be");
        }
    }

    /** Whether it is asked for; its name alone does so too. */
    boolean flag(String name) {
        String value = values.getOrDefault(name, "false");
        return switch (value) {
            case "true", "" -> true;
            case "false" -> false;
            default -> throw new WrongQueryException(name + " must be true or false, not \"" + value + '"');
        };
    }

    /** A number from {@code least} to {@code most}, which are not negative. */
    long number(String name, long preset, long least, long most) {
        String value = values.get(name);
        if (value == null) {
            return preset;
        }
        long number = value.matches("[0-9]{1,18}") ? Long.parseLong(value) : -1;
        if (number < least || number > most) {
            throw new WrongQueryException(
                    name + " must be a number from " + least + " to " + most + ", not \"" + value + '"');
        }
        return number;
    }

    /** What has to match the pattern if it is there; "" if it is not. */
    String text(String name, Pattern pattern, String example) {
        String value = values.get(name);
        if (value == null) {
            return "";
        }
        if (!pattern.matcher(value).matches()) {
            throw new WrongQueryException(name + " must be as " + example + ", not \"" + value + '"');
        }
        return value;
    }
}
