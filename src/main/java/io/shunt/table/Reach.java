package io.shunt.table;

/** How far a connection may go: each virtual service has one set of backends for each. */
public enum Reach {
    /** To any backend that is meant for clients here. */
    CLUSTER,
    /** To backends on this node only. */
    LOCAL
}
