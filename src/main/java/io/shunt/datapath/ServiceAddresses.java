package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.table.Access;
import io.shunt.table.Frontend;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The addresses that the kernel knows as services', whatever the port: each as long as it has a frontend. An address is
 * written before its first frontend and removed after its last. Used by the control thread alone.
 */
final class ServiceAddresses {
    private final TableMaps maps;
    private final Map<Address, Integer> frontends = new HashMap<>();

    /** Whether the kernel knows each as external. */
    private final Map<Address, Boolean> known = new HashMap<>();

    /** Takes over what an earlier process left. */
    ServiceAddresses(TableMaps maps) {
        this.maps = maps;
        maps.forEachServiceAddress(known::put);
    }

    /**
     * Makes a frontend's address known. One that the cluster has for its own stays so, whoever else names it.
     *
     * @throws TableFullException if there is no room for it
     */
    void put(Frontend frontend, Access access) {
        Address address = frontend.address();
        Boolean before = known.get(address);
        boolean external = access.external() && (before == null || before);
        if (frontend.isOfNode() || (before != null && before == external)) {
            return;
        }
        maps.putServiceAddress(address, external);
        known.put(address, external);
    }

    /** There is one more frontend. */
    void count(Frontend frontend) {
        frontends.merge(frontend.address(), 1, Integer::sum);
    }

    /** There is one less: with the last of them the address goes. */
    void uncount(Frontend frontend) {
        Address address = frontend.address();
        if (frontends.merge(address, -1, (had, less) -> had + less == 0 ? null : had + less) == null) {
            remove(address);
        }
    }

    /** Removes those that an earlier process left and no frontend has. */
    void removeUnused() {
        List<Address> unused = known.keySet().stream()
                .filter(address -> !frontends.containsKey(address))
                .toList();
        unused.forEach(this::remove);
    }

    private void remove(Address address) {
        if (known.containsKey(address)) {
            maps.removeServiceAddress(address);
            known.remove(address);
        }
    }

    /** Whether the kernel knows an address. */
    boolean contains(Address address) {
        return known.containsKey(address);
    }

    /** Whether the kernel knows an address of these as external. */
    boolean isExternal(Address address) {
        return known.getOrDefault(address, false);
    }

    /** How many the kernel knows. */
    int size() {
        return known.size();
    }
}
