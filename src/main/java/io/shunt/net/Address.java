package io.shunt.net;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * An IP address as the kernel maps hold it: 16 bytes in network byte order, IPv4 as v4-mapped IPv6 (::ffff:a.b.c.d),
 * so that there is one path for both families.
 *
 * @param high the first eight bytes, read as a big-endian number
 * @param low the last eight bytes, read as a big-endian number
 */
public record Address(long high, long low) implements Comparable<Address> {
    private static final long V4_MAPPED = 0xffff_0000_0000L;
    private static final long V4_MASK = 0xffff_ffffL;

    /** The address of {@code bytes}, 4 (IPv4) or 16 (IPv6) of them in network byte order. */
    public static Address of(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.BIG_ENDIAN);
        return switch (bytes.length) {
            case 4 -> new Address(0, V4_MAPPED | (buffer.getInt() & V4_MASK));
            case 16 -> new Address(buffer.getLong(), buffer.getLong());
            default -> throw new IllegalArgumentException("an address has 4 or 16 bytes, not " + bytes.length);
        };
    }

    /**
     * Reads an address in the form that Kubernetes accepts: dotted quad without leading zeros, or RFC 4291 text without
     * a zone. An IPv4 address in IPv6 clothing (::ffff:1.2.3.4) is refused, because it would name the same bytes as
     * the IPv4 one. Never looks up a name.
     */
    public static Optional<Address> parse(String text) {
        return Optional.ofNullable(text.indexOf(':') < 0 ? AddressText.parseV4(text) : AddressText.parseV6(text));
    }

    /**
     * Reads an address as kube-proxy reads what an old API server let into a Service (ParseIPSloppy, k8s.io/utils/net):
     * 010.0.0.1 is 10.0.0.1, and so is ::ffff:10.0.0.1.
     */
    public static Optional<Address> parseSloppily(String text) {
        return Optional.ofNullable(AddressText.parseSloppily(text));
    }

    /**
     * {@link #parse} for text known to be good.
     *
     * @throws IllegalArgumentException if it is not an address
     */
    public static Address of(String text) {
        return parse(text).orElseThrow(() -> new IllegalArgumentException("not an IP address: " + text));
    }

    /** In 127.0.0.0/8, or ::1. */
    public boolean isLoopback() {
        return isV4() ? (low & V4_MASK) >>> 24 == 127 : high == 0 && low == 1;
    }

    /** 0.0.0.0 or ::. */
    public static Address unspecified(IpFamily family) {
        return family == IpFamily.IPV4 ? v4(0) : new Address(0, 0);
    }

    static Address v4(int bits) {
        return new Address(0, V4_MAPPED | (bits & V4_MASK));
    }

    public boolean isV4() {
        return high == 0 && (low & ~V4_MASK) == V4_MAPPED;
    }

    public IpFamily family() {
        return isV4() ? IpFamily.IPV4 : IpFamily.IPV6;
    }

    /** 0.0.0.0 or ::, which no host can have. */
    public boolean isUnspecified() {
        return high == 0 && (low == 0 || low == V4_MAPPED);
    }

    /** Byte order is unsigned and big-endian, so IPv4 comes before all global IPv6. */
    @Override
    public int compareTo(Address other) {
        int byHigh = Long.compareUnsigned(high, other.high);
        return byHigh != 0 ? byHigh : Long.compareUnsigned(low, other.low);
    }

    /** Dotted quad, or RFC 5952 text without brackets. */
    @Override
    public String toString() {
        return isV4() ? AddressText.formatV4((int) low) : AddressText.formatV6(high, low);
    }
}
