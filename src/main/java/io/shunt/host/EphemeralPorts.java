package io.shunt.host;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The ports that the kernel gives to sockets that ask for any, as clients do: {@code net.ipv4.ip_local_port_range}
 * without {@code net.ipv4.ip_local_reserved_ports}, which hold for IPv6 too.
 */
public final class EphemeralPorts {
    private static final Logger log = LoggerFactory.getLogger(EphemeralPorts.class);
    private static final Path SYSCTLS = Path.of("/proc/sys/net/ipv4");

    private final BitSet ports = new BitSet();

    private EphemeralPorts() {}

    /** As they are now in the network namespace of the caller; none if the kernel does not tell. */
    public static EphemeralPorts now() {
        try {
            return of(read("ip_local_port_range"), read("ip_local_reserved_ports"));
        } catch (IOException | IllegalArgumentException | IndexOutOfBoundsException e) {
            log.debug("which ports the kernel gives to clients cannot be read: {}", e.toString());
            return new EphemeralPorts();
        }
    }

    /** By lines, through a buffer: the kernel answers one read, and {@link Files#readString} asks for a byte first. */
    private static String read(String name) throws IOException {
        return String.join("", Files.readAllLines(SYSCTLS.resolve(name)));
    }

    /**
     * Reads both as the kernel writes them.
     *
     * @param range {@code 32768	60999}
     * @param reserved {@code 30000-32767,40000}, or nothing
     * @throws IllegalArgumentException if they are not so
     * @throws IndexOutOfBoundsException if a range ends before it begins
     */
    public static EphemeralPorts of(String range, String reserved) {
        EphemeralPorts ephemeral = new EphemeralPorts();
        List<String> ends = List.of(range.strip().split("\\s+", -1));
        ephemeral.ports.set(port(ends.getFirst()), port(ends.getLast()) + 1);
        if (!reserved.isBlank()) {
            for (String part : reserved.strip().split(",", -1)) {
                List<String> partEnds = List.of(part.split("-", -1));
                ephemeral.ports.clear(port(partEnds.getFirst()), port(partEnds.getLast()) + 1);
            }
        }
        return ephemeral;
    }

    private static int port(String text) {
        int port = Integer.parseInt(text);
        if (port < 0 || port > 65535) {
            throw new IllegalArgumentException(port + " is no port");
        }
        return port;
    }

    /** Whether this port may be given to a client. */
    public boolean contain(int port) {
        return ports.get(port);
    }
}
