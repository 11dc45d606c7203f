package io.shunt.plan;

import io.shunt.cluster.ObjectName;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;

/**
 * What one virtual service is made for: one port of one Service in one family. Families are apart because each has its
 * own endpoints, as kube-proxy runs one proxier a family.
 *
 * @param port the port's name, "" if it has none
 */
public record ServicePortName(ObjectName service, String port, Protocol protocol, IpFamily family) {
    /** {@code namespace/name:port/TCP/IPv4}; the colon is left out with a nameless port, as in kube-proxy's logs. */
    @Override
    public String toString() {
        return service + (port.isEmpty() ? "" : ":" + port) + "/" + protocol + "/" + family.label();
    }
}
