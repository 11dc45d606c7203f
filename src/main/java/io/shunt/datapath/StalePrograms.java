package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.net.IpFamily;
import io.shunt.net.Protocol;
import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The programs of stale.bpf.c, which find and end stale sockets. Each runs when one of the methods does, on its thread. */
final class StalePrograms implements AutoCloseable {
    static final String OBJECT = "stale";

    /** struct stale_connection of stale.bpf.c. */
    private static final MemoryLayout CONNECTION = MemoryLayout.structLayout(JAVA_LONG, JAVA_INT, JAVA_INT);

    private final BpfObject object;
    private final List<BpfLink> links = new ArrayList<>();
    private final BpfLink findUdp;
    private final BpfLink endUdp;
    private final @Nullable BpfLink findTcp;
    private final @Nullable BpfLink endTcp;

    /**
     * @param elf the object file
     * @param maps those of the socket programs, which these share
     * @param tcp whether TCP connections are found and ended too
     * @throws io.shunt.libbpf.BpfException if the kernel is too old to end a socket, or refuses to
     */
    StalePrograms(byte[] elf, Collection<BpfMap> maps, boolean tcp) {
        object = BpfObject.open(OBJECT, elf);
        try {
            object.share(maps);
            object.program("find_tcp").setAutoload(tcp);
            object.program("end_tcp").setAutoload(tcp);
            object.load();
            findUdp = iterator("find_udp", "udp_origins");
            endUdp = iterator("end_udp", null);
            findTcp = tcp ? iterator("find_tcp", "tcp_origins") : null;
            endTcp = tcp ? iterator("end_tcp", null) : null;
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private BpfLink iterator(String program, @Nullable String map) {
        BpfLink link = map == null
                ? BpfLink.iterator(object.program(program))
                : BpfLink.iterator(object.program(program), object.map(map));
        links.add(link);
        return link;
    }

    /** The inode numbers of the network namespaces where UDP sockets are stale. */
    Set<Long> findUdp() {
        Set<Long> namespaces = new HashSet<>();
        findUdp.iterate(written -> written.elements(JAVA_INT)
                .forEach(inode -> namespaces.add(Integer.toUnsignedLong(inode.get(JAVA_INT, 0)))));
        return namespaces;
    }

    /** A connection of a TCP socket, which may have another later. */
    record Connection(long cookie, int backendId, int generation) {}

    /** The TCP connections that may be stale, wherever they are; of some nothing may be left but their sockets. */
    Set<Connection> findTcp() {
        Set<Connection> connections = new HashSet<>();
        if (findTcp != null) {
            findTcp.iterate(written -> written.elements(CONNECTION)
                    .forEach(each -> connections.add(new Connection(
                            each.get(JAVA_LONG, 0),
                            each.get(JAVA_INT, Long.BYTES),
                            each.get(JAVA_INT, Long.BYTES + Integer.BYTES)))));
        }
        return connections;
    }

    /** Ends the stale UDP sockets of the calling thread's network namespace. */
    void endUdp() {
        endUdp.iterate(written -> {});
    }

    /** Ends the stale TCP connections of the calling thread's network namespace. */
    void endTcp() {
        if (endTcp != null) {
            endTcp.iterate(written -> {});
        }
    }

    /** How many sockets that spoke that family were ended since this was made. */
    long ended(Protocol protocol, IpFamily family) {
        BpfMap map = object.map("stale_ended");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(JAVA_LONG);
            int index = (protocol == Protocol.UDP ? 0 : 2) + (family == IpFamily.IPV4 ? 0 : 1);
            map.lookup(arena.allocateFrom(JAVA_INT, index), count);
            return count.get(JAVA_LONG, 0);
        }
    }

    @Override
    public void close() {
        links.forEach(BpfLink::close);
        object.close();
    }
}
