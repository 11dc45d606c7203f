package io.shunt.net;

import java.util.Optional;
import java.util.function.Function;

/**
 * A range of addresses of one family (CIDR).
 *
 * @param address its first address; no bit beyond the prefix is set
 * @param bits how many bits of the 16 bytes of an {@link Address} are fixed, 0 to 128; of an IPv4 range at least 96
 */
public record Prefix(Address address, int bits) {
    private static final int V4_BEFORE = 96;
    private static final int ADDRESS_BITS = 128;

    /** Clears the bits of {@code address} beyond the prefix, as Kubernetes reads {@code 10.1.2.3/8} as 10.0.0.0/8. */
    public Prefix {
        if (bits < 0 || bits > ADDRESS_BITS) {
            throw new IllegalArgumentException("a prefix has 0 to 128 bits, not " + bits);
        }
        address = new Address(address.high() & mask(bits), address.low() & mask(bits - Long.SIZE));
    }

    /** The first {@code bits} of eight bytes set. */
    private static long mask(int bits) {
        if (bits <= 0) {
            return 0;
        }
        return bits >= Long.SIZE ? -1 : -1L << (Long.SIZE - bits);
    }

    /** The range of one address. */
    public static Prefix of(Address address) {
        return new Prefix(address, ADDRESS_BITS);
    }

    /** Reads {@code 10.0.0.0/8} or {@code fd00::/8}; an address alone is none. */
    public static Optional<Prefix> parse(String text) {
        return parse(text, Address::parse, "0|[1-9][0-9]{0,2}");
    }

    /** Reads a range as kube-proxy does (ParseCIDRSloppy): its address {@linkplain Address#parseSloppily sloppily}. */
    public static Optional<Prefix> parseSloppily(String text) {
        return parse(text, Address::parseSloppily, "0*[0-9]{1,3}");
    }

    private static Optional<Prefix> parse(
            String text, Function<String, Optional<Address>> addressParser, String lengthForm) {
        int slash = text.indexOf('/');
        if (slash < 0) {
            return Optional.empty();
        }
        String length = text.substring(slash + 1);
        if (!length.matches(lengthForm)) {
            return Optional.empty();
        }
        // In IPv6 clothing, IPv4 has the length of IPv6.
        int bits = (text.indexOf(':') < 0 ? V4_BEFORE : 0) + Integer.parseInt(length);
        return addressParser
                .apply(text.substring(0, slash))
                .filter(address -> bits <= ADDRESS_BITS)
                .map(address -> new Prefix(address, bits));
    }

    public IpFamily family() {
        return bits >= V4_BEFORE ? address.family() : IpFamily.IPV6;
    }

    /** The length as people write it: 0 to 32 for IPv4, 0 to 128 for IPv6. */
    public int length() {
        return family() == IpFamily.IPV4 ? bits - V4_BEFORE : bits;
    }

    public boolean contains(Address other) {
        return other.family() == family() && new Prefix(other, bits).address.equals(address);
    }

    /** {@code 10.0.0.0/8} or {@code fd00::/8}. */
    @Override
    public String toString() {
        return address + "/" + length();
    }
}
