package io.shunt.table;

import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;

/**
 * An address that clients connect to.
 *
 * @param address the unspecified address of a family stands for each of the node's addresses that take node ports
 * @param port 1 to 65535, in host byte order
 */
public record Frontend(Address address, int port, Protocol protocol) {
    /** A port of all of the node's addresses of a family. */
    public static Frontend ofNode(IpFamily family, int port, Protocol protocol) {
        return new Frontend(Address.unspecified(family), port, protocol);
    }

    /** Whether it stands for all of the node's addresses of its family. */
    public boolean isOfNode() {
        return address.isUnspecified();
    }

    /** {@code 10.96.0.1:443/TCP} or {@code [fd00::1]:443/TCP}. */
    @Override
    public String toString() {
        return (address.isV4() ? address : "[" + address + "]") + ":" + port + "/" + protocol;
    }
}
