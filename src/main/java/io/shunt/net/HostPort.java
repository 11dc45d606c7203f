package io.shunt.net;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Optional;

/** Socket addresses as text: {@code 127.0.0.1:10249} and {@code [::1]:10249}, never a name to look up. */
public final class HostPort {
    private HostPort() {}

    /**
     * Reads {@code address:port} with IPv6 in brackets; an address without a port gets {@code defaultPort}. Port 0
     * means any free one. Empty if it is nothing of the kind.
     */
    public static Optional<InetSocketAddress> parse(String text, int defaultPort) {
        Optional<Address> bare = Address.parse(text);
        if (bare.isPresent()) {
            return Optional.of(new InetSocketAddress(inet(bare.get()), defaultPort));
        }
        int colon = text.lastIndexOf(':');
        if (colon < 0 || !text.substring(colon + 1).matches("[0-9]{1,5}")) {
            return Optional.empty();
        }
        int port = Integer.parseInt(text.substring(colon + 1));
        String host = text.substring(0, colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        Optional<Address> address = Address.parse(bracketed ? host.substring(1, host.length() - 1) : host);
        return address.filter(it -> it.isV4() != bracketed && port <= 65535)
                .map(it -> new InetSocketAddress(inet(it), port));
    }

    /** The text that {@link #parse} reads. */
    public static String format(InetSocketAddress address) {
        Address host = Address.of(address.getAddress().getAddress());
        return (host.isV4() ? host : "[" + host + "]") + ":" + address.getPort();
    }

    /**
     * Whether nobody can listen at both: they have one port, and one address, or one of them stands for all addresses.
     * 0.0.0.0 and :: stand for those of both families, as Java listens.
     */
    public static boolean clash(InetSocketAddress one, InetSocketAddress other) {
        return one.getPort() != 0
                && one.getPort() == other.getPort()
                && (one.equals(other)
                        || one.getAddress().isAnyLocalAddress()
                        || other.getAddress().isAnyLocalAddress());
    }

    private static InetAddress inet(Address address) {
        return InetAddress.ofLiteral(address.toString());
    }
}
