package io.shunt.table;

import io.shunt.net.Address;
import io.shunt.net.Protocol;

/**
 * An address that clients connect to.
 *
 * @param port 1 to 65535, in host byte order
 */
public record Frontend(Address address, int port, Protocol protocol) {
    /** {@code 10.96.0.1:443/TCP} or {@code [fd00::1]:443/TCP}. */
    @Override
    public String toString() {
        return (address.isV4() ? address : "[" + address + "]") + ":" + port + "/" + protocol;
    }
}
