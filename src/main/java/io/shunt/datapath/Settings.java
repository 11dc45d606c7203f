package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfObject;
import java.lang.foreign.MemorySegment;

/**
 * What the programs are told as they are loaded.
 *
 * @param hostNamespace the cookie of the network namespace that is the node's own
 * @param hostNamespaceOnly whether sockets of other network namespaces are left alone
 */
record Settings(long hostNamespace, boolean hostNamespaceOnly) {
    /** Writes them into an object that is not loaded yet. */
    void writeTo(BpfObject object) {
        MemorySegment settings = object.map(".rodata.settings").initialValue();
        settings.set(JAVA_LONG, Layouts.offset(Layouts.SETTINGS, "host_namespace"), hostNamespace);
        settings.set(JAVA_INT, Layouts.offset(Layouts.SETTINGS, "host_namespace_only"), hostNamespaceOnly ? 1 : 0);
    }
}
