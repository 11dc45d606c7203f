package io.shunt.testbed;

/** A network namespace, a cgroup, and one process of traffic in both. */
public final class Pod implements AutoCloseable {
    private final Closing closing = new Closing();
    private final Namespace namespace;
    private final Cgroup cgroup;
    private final Traffic traffic;

    /** One that nothing is linked to: it can only talk to itself. */
    public Pod(Cgroup parent, String hint) {
        try {
            namespace = closing.add(Namespace.create(hint));
            cgroup = closing.add(parent.child(hint));
            traffic = closing.add(Traffic.start(cgroup, namespace));
        } catch (RuntimeException e) {
            throw closing.closeAfter(e);
        }
    }

    public Namespace namespace() {
        return namespace;
    }

    public Cgroup cgroup() {
        return cgroup;
    }

    public Traffic traffic() {
        return traffic;
    }

    @Override
    public void close() {
        closing.close();
    }
}
