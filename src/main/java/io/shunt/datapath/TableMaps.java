package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.table.Backend;
import io.shunt.table.Frontend;
import java.util.function.IntConsumer;

/**
 * The kernel maps of the table, one method for each write that programs can see. The order of writes, and what may
 * stand between two of them, is {@link Datapath}'s business. Frontends and counters are written by system calls, which
 * may fail; sets, slots and backends are plain stores into mapped memory, which cannot, but for the first touch of an
 * entry's window.
 */
interface TableMaps {
    /** Entries of {@code sets}; a service id is below it. */
    int maxServices();

    /** Entries of {@code slots}. */
    int maxSlots();

    /** Entries of {@code backends}. */
    int maxBackends();

    /** @throws TableFullException if {@code frontends} is full and does not have {@code frontend} yet */
    void putFrontend(Frontend frontend, int serviceId);

    void removeFrontend(Frontend frontend);

    void forEachFrontend(FrontendVisitor visitor);

    /** Makes the service's counters, zero. */
    void putStats(int serviceId);

    void removeStats(int serviceId);

    void forEachStats(IntConsumer serviceId);

    /** One atomic store, after everything that was written before it. */
    void putSet(int serviceId, int base, int count);

    int setBase(int serviceId);

    int setCount(int serviceId);

    /** Visits the service ids whose set is not empty. */
    void forEachSetInUse(IntConsumer serviceId);

    void putSlot(int index, int backendId);

    int slot(int index);

    void putBackend(int id, Address address, int port, Backend.State state, int generation, int serviceId);

    void putBackendState(int id, Backend.State state);

    /** From now on nobody who remembers this backend may use it; its address stays for those who choose it right now. */
    void markBackendGone(int id);

    /** Visits the ids of all entries that hold a backend; of the others only the generation means anything. */
    void forEachBackend(IntConsumer id);

    Backend backend(int id);

    int backendGeneration(int id);

    int backendServiceId(int id);

    @FunctionalInterface
    interface FrontendVisitor {
        void visit(Frontend frontend, int serviceId);
    }
}
