package io.shunt.net;

/** The two families, named as Kubernetes names them in ipFamilies, addressType and metric labels. */
public enum IpFamily {
    IPV4("IPv4"),
    IPV6("IPv6");

    private final String label;

    IpFamily(String label) {
        this.label = label;
    }

    /** {@code IPv4} or {@code IPv6}. */
    public String label() {
        return label;
    }
}
