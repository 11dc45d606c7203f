package io.shunt.table;

/**
 * What becomes of a connection that reaches a frontend.
 *
 * @param inside how far it may go if it comes from this node, its pods included
 * @param outside how far it may go if it comes from elsewhere
 * @param restricted whether only the virtual service's source ranges may come in
 */
public record Access(Reach inside, Reach outside, boolean restricted) {
    /** Everyone to all backends. */
    public static final Access OPEN = new Access(Reach.CLUSTER, Reach.CLUSTER, false);
}
