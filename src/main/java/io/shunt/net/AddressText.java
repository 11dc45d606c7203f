package io.shunt.net;

import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Addresses as text: dotted quads and RFC 4291 in, dotted quads and RFC 5952 out. */
final class AddressText {
    private static final int GROUPS = 8;
    private static final Pattern LEADING_ZEROS = Pattern.compile("\\b0+(?=[0-9])");

    private AddressText() {}

    static @Nullable Address parseV4(String text) {
        int bits = parseQuad(text, 0);
        return bits == -1 && !text.equals("255.255.255.255") ? null : Address.v4(bits);
    }

    /** The quad's 32 bits, or -1 if it is none (which 255.255.255.255 is too). */
    private static int parseQuad(String text, int from) {
        int bits = 0;
        int at = from;
        for (int octet = 0; octet < 4; octet++) {
            int start = at;
            int value = 0;
            while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9' && at - start < 3) {
                value = value * 10 + text.charAt(at++) - '0';
            }
            boolean leadingZero = at - start > 1 && text.charAt(start) == '0';
            boolean wrongEnd = octet < 3 ? at >= text.length() || text.charAt(at) != '.' : at != text.length();
            if (at == start || value > 255 || leadingZero || wrongEnd) {
                return -1;
            }
            at++;
            bits = bits << 8 | value;
        }
        return bits;
    }

    /** Leading zeros say nothing, and IPv4 may be in IPv6 clothing. */
    static @Nullable Address parseSloppily(String text) {
        int quad = text.lastIndexOf(':') + 1;
        String strict = text.indexOf('.', quad) < 0
                ? text
                : text.substring(0, quad)
                        + LEADING_ZEROS.matcher(text.substring(quad)).replaceAll("");
        return quad == 0 ? parseV4(strict) : parseGroups(strict);
    }

    static @Nullable Address parseV6(String text) {
        Address address = parseGroups(text);
        return address == null || address.isV4() ? null : address;
    }

    private static @Nullable Address parseGroups(String text) {
        int[] groups = new int[GROUPS];
        int count = 0;
        int gap = -1;
        int at = 0;
        if (text.startsWith("::")) {
            gap = 0;
            at = 2;
        }
        while (at < text.length()) {
            int end = text.indexOf(':', at);
            if (end < 0) {
                end = text.length();
            }
            if (text.indexOf('.', at) >= 0 && end == text.length()) {
                int bits = parseQuad(text, at);
                if (bits == -1 || count > GROUPS - 2) {
                    return null;
                }
                groups[count++] = bits >>> 16;
                groups[count++] = bits & 0xffff;
                break;
            }
            if (end == at || end - at > 4 || count == GROUPS) {
                return null;
            }
            int value = 0;
            for (; at < end; at++) {
                int digit = text.charAt(at) < 128 ? Character.digit(text.charAt(at), 16) : -1;
                if (digit < 0) {
                    return null;
                }
                value = value << 4 | digit;
            }
            groups[count++] = value;
            if (end == text.length()) {
                break;
            }
            at = end + 1;
            if (at == text.length()) {
                return null;
            }
            if (text.charAt(at) == ':') {
                if (gap >= 0) {
                    return null;
                }
                gap = count;
                at++;
            }
        }
        if (gap < 0 ? count != GROUPS : count == GROUPS) {
            return null;
        }
        return spread(groups, count, gap);
    }

    private static Address spread(int[] groups, int count, int gap) {
        long[] halves = new long[2];
        for (int i = 0; i < count; i++) {
            int place = gap < 0 || i < gap ? i : GROUPS - count + i;
            halves[place / 4] |= (long) groups[i] << 16 * (3 - place % 4);
        }
        return new Address(halves[0], halves[1]);
    }

    static String formatV4(int bits) {
        return (bits >>> 24) + "." + (bits >>> 16 & 0xff) + "." + (bits >>> 8 & 0xff) + "." + (bits & 0xff);
    }

    static String formatV6(long high, long low) {
        int[] groups = new int[GROUPS];
        for (int i = 0; i < GROUPS; i++) {
            groups[i] = (int) ((i < 4 ? high : low) >>> 16 * (3 - i % 4)) & 0xffff;
        }
        int gap = -1;
        int gapLength = 1;
        for (int i = 0; i < GROUPS; i++) {
            int end = i;
            while (end < GROUPS && groups[end] == 0) {
                end++;
            }
            if (end - i > gapLength) {
                gap = i;
                gapLength = end - i;
            }
            i = Math.max(i, end);
        }
        StringBuilder text = new StringBuilder(39);
        for (int i = 0; i < GROUPS; i++) {
            if (i == gap) {
                text.append("::");
                i += gapLength - 1;
            } else {
                if (!text.isEmpty() && text.charAt(text.length() - 1) != ':') {
                    text.append(':');
                }
                text.append(Integer.toHexString(groups[i]));
            }
        }
        return text.toString();
    }
}
