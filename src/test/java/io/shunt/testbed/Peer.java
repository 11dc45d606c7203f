package io.shunt.testbed;

/**
 * An address and port as a socket sees them.
 *
 * @param address text as inet_ntop writes it, so that ::ffff:10.0.0.1 is not 10.0.0.1
 */
public record Peer(String address, int port) {
    /** The same as an IPv6 socket names it; an IPv6 address stays what it is. */
    public Peer mapped() {
        return address.indexOf(':') >= 0 ? this : new Peer("::ffff:" + address, port);
    }

    @Override
    public String toString() {
        return address + " " + port;
    }
}
