package io.shunt.table;

/**
 * What becomes of a connection that reaches a frontend.
 *
 * @param inside how far it may go if it comes from this node, its pods included
 * @param outside how far it may go if it comes from elsewhere
 * @param restricted whether only the virtual service's source ranges may come in
 * @param external whether it is there for those from elsewhere, who are not one with the backends' network: where they
 *     may go anywhere, the node speaks to the backend in their name
 * @param direct whether instead a backend on another node hears those from elsewhere itself, and answers them straight
 */
public record Access(Reach inside, Reach outside, boolean restricted, boolean external, boolean direct) {
    /** Everyone to all backends, by an address of the backends' own network. */
    public static final Access OPEN = new Access(Reach.CLUSTER, Reach.CLUSTER, false, false);

    /** One where no backend on another node answers by itself. */
    public Access(Reach inside, Reach outside, boolean restricted, boolean external) {
        this(inside, outside, restricted, external, false);
    }
}
