package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.net.Prefix;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import io.shunt.table.Reach;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.IntConsumer;

/**
 * The kernel maps of the table, one method for each write that programs can see. The order of writes, and what may
 * stand between two of them, is {@link Datapath}'s business. Sets, slots and backends are plain stores into mapped
 * memory, which cannot fail, but for the first touch of an entry's window; everything else is written by system calls,
 * which may.
 */
interface TableMaps {
    /** How many service ids {@code sets} has room for, 0 included. */
    int maxServices();

    /** Entries of {@code slots}. */
    int maxSlots();

    /** Entries of {@code backends}. */
    int maxBackends();

    /**
     * Writes where a frontend leads, in place of what it was before.
     *
     * @throws TableFullException if {@code frontends} is full and does not have {@code frontend} yet
     */
    void putFrontend(Frontend frontend, Route route);

    void removeFrontend(Frontend frontend);

    /** Whether {@link #putFrontend} would change nothing; so do all of this kind say of theirs. */
    boolean hasFrontend(Frontend frontend, Route route);

    void forEachFrontend(FrontendVisitor visitor);

    /**
     * Makes an address known as a service's, whichever of its ports is asked for.
     *
     * @param external whether it is not the cluster's own, so that ports which no service has may be somebody else's
     * @throws TableFullException if {@code frontends} is full and does not have {@code address} yet
     */
    void putServiceAddress(Address address, boolean external);

    void removeServiceAddress(Address address);

    boolean hasServiceAddress(Address address, boolean external);

    void forEachServiceAddress(ServiceAddressVisitor visitor);

    /** Visits the keys of frontends and service addresses, some more each time it is asked, until it says that these were all. */
    BooleanSupplier walk(Consumer<Frontend> frontends, Consumer<Address> serviceAddresses);

    /** @throws TableFullException if {@code source_ranges} is full */
    void putSourceRange(int serviceId, Prefix range);

    void removeSourceRange(int serviceId, Prefix range);

    void forEachSourceRange(SourceRangeVisitor visitor);

    /**
     * Makes an address take node ports; 127.0.0.1 stands for all of 127.0.0.0/8.
     *
     * @throws TableFullException if {@code node_addresses} is full
     */
    void putNodeAddress(Address address);

    void removeNodeAddress(Address address);

    boolean hasNodeAddress(Address address);

    void forEachNodeAddress(Consumer<Address> visitor);

    /** Makes the service's counters, zero. */
    void putStats(int serviceId);

    void removeStats(int serviceId);

    void forEachStats(IntConsumer serviceId);

    /** One atomic store, after everything that was written before it. */
    void putSet(int serviceId, Reach reach, Run run);

    Run set(int serviceId, Reach reach);

    /** Visits the sets that are not empty. */
    void forEachSetInUse(SetVisitor visitor);

    void putSlot(int index, int backendId);

    int slot(int index);

    void putBackend(int id, Address address, int port, Backend.State state, int generation, int serviceId);

    void putBackendState(int id, Backend.State state);

    /** From now on nobody who remembers this backend may use it; its address stays for those who choose it right now. */
    void markBackendGone(int id);

    boolean isBackendGone(int id);

    /** Whether the entry is whole, and this backend's of that service; of which generation it may be, it does not ask. */
    boolean hasBackend(int id, Backend backend, int serviceId);

    /**
     * Makes a backend on this node known by its address alone.
     *
     * @throws TableFullException if {@code local_backends} is full and does not have the address yet
     */
    void putLocalBackend(int serviceId, Address address, int backendId);

    void removeLocalBackend(int serviceId, Address address);

    boolean hasLocalBackend(int serviceId, Address address, int backendId);

    void forEachLocalBackend(LocalBackendVisitor visitor);

    /** Visits the ids of all entries that hold a backend; of the others only the generation means anything. */
    void forEachBackend(IntConsumer id);

    Backend backend(int id);

    int backendGeneration(int id);

    int backendServiceId(int id);

    @FunctionalInterface
    interface FrontendVisitor {
        void visit(Frontend frontend, Route route);
    }

    @FunctionalInterface
    interface ServiceAddressVisitor {
        void visit(Address address, boolean external);
    }

    @FunctionalInterface
    interface SourceRangeVisitor {
        void visit(int serviceId, Prefix range);
    }

    @FunctionalInterface
    interface LocalBackendVisitor {
        void visit(int serviceId, Address address, int backendId);
    }

    @FunctionalInterface
    interface SetVisitor {
        void visit(int serviceId, Reach reach, Run run);
    }
}
