package io.shunt.cluster;

/** The name of a namespaced object; two objects of one kind never share it. */
public record ObjectName(String namespace, String name) implements Comparable<ObjectName> {
    @Override
    public int compareTo(ObjectName other) {
        int byNamespace = namespace.compareTo(other.namespace);
        return byNamespace != 0 ? byNamespace : name.compareTo(other.name);
    }

    /** {@code namespace/name}, as kubectl and kube-proxy's logs write it. */
    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
