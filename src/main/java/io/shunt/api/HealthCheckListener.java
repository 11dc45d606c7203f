package io.shunt.api;

import io.shunt.health.Probes;
import io.shunt.net.Address;
import io.shunt.net.IpFamily;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers every HTTP request at one port of some addresses in the same way, whatever its method and path, and closes the
 * connection. The JDK's HTTP server takes two threads for each address, which is too much for hundreds of ports.
 */
final class HealthCheckListener implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(HealthCheckListener.class);

    private static final Address ANY_V6 = Address.unspecified(IpFamily.IPV6);
    private static final DateTimeFormatter HTTP_DATE =
            DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.US);
    private static final int BACKLOG = 128;
    private static final int MOST_REQUEST_BYTES = 16_384;
    private static final Duration CLOSES_WITHIN = Duration.ofSeconds(1);
    /** For all of a request, so that a client that sends a byte now and then is cut off as well. */
    private static final long PATIENCE_NANOS = 5_000_000_000L;
    /** At one time: anyone who reaches the node may open them, and must not take all that the process may have. */
    private static final int MOST_CONNECTIONS = 128;

    private final Set<Address> addresses;
    private final Connections connections = new Connections(MOST_CONNECTIONS);
    private final Function<IpFamily, Probes.@Nullable ServiceAnswer> answers;
    private final List<ServerSocketChannel> sockets = new ArrayList<>();
    private final List<Thread> acceptors = new ArrayList<>();

    private HealthCheckListener(Set<Address> addresses, Function<IpFamily, Probes.@Nullable ServiceAnswer> answers) {
        this.addresses = addresses;
        this.answers = answers;
    }

    /**
     * Listens at all of the addresses, or at none.
     *
     * @param addresses the unspecified address of a family stands for all of the host's
     * @param answers what to tell clients of a family; null closes the connection
     * @throws IOException if one of the addresses cannot be had
     */
    static HealthCheckListener open(
            Set<Address> addresses, int port, Function<IpFamily, Probes.@Nullable ServiceAnswer> answers)
            throws IOException {
        HealthCheckListener listener = new HealthCheckListener(addresses, answers);
        try {
            for (Address address : bound(addresses)) {
                listener.listen(address, port);
            }
        } catch (IOException | RuntimeException e) {
            listener.close();
            throw e;
        }
        for (ServerSocketChannel socket : listener.sockets) {
            listener.acceptors.add(
                    Thread.ofVirtual().name("health-check-" + port).start(() -> listener.accept(socket, port)));
        }
        return listener;
    }

    /** A socket at :: takes IPv4 too, which Java cannot forbid: it stands for all, and what is not wanted is closed. */
    private static Collection<Address> bound(Set<Address> addresses) {
        return addresses.contains(ANY_V6) ? List.of(ANY_V6) : addresses;
    }

    private void listen(Address address, int port) throws IOException {
        // A plain ServerSocket at 0.0.0.0 takes IPv6 too.
        ServerSocketChannel socket =
                ServerSocketChannel.open(address.isV4() ? StandardProtocolFamily.INET : StandardProtocolFamily.INET6);
        sockets.add(socket);
        socket.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        try {
            socket.bind(new InetSocketAddress(InetAddress.ofLiteral(address.toString()), port), BACKLOG);
        } catch (IOException e) {
            throw new IOException("listen " + address + " port " + port + ": " + e.getMessage(), e);
        }
    }

    private void accept(ServerSocketChannel socket, int port) {
        while (socket.isOpen()) {
            try {
                Socket client = socket.accept().socket();
                if (isWanted(client)) {
                    connections.add(client);
                    Thread.ofVirtual().name("health-check-client").start(() -> serve(client));
                } else {
                    client.close();
                }
            } catch (IOException e) {
                if (socket.isOpen()) {
                    log.warn("a connection to health check port {} was lost: {}", port, e.getMessage());
                    pause();
                }
            }
        }
    }

    /** Out of file descriptors, accept fails again at once. */
    private static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean isWanted(Socket client) {
        Address address = Address.of(client.getLocalAddress().getAddress());
        return addresses.contains(address) || addresses.contains(Address.unspecified(address.family()));
    }

    private void serve(Socket client) {
        try (client) {
            long deadline = System.nanoTime() + PATIENCE_NANOS;
            String request = request(client, deadline);
            Address here = Address.of(client.getLocalAddress().getAddress());
            Probes.ServiceAnswer answer = answers.apply(here.family());
            if (request != null && answer != null) {
                client.getOutputStream().write(response(request, answer));
                client.shutdownOutput();
                drain(client, deadline);
            }
        } catch (IOException e) {
            log.debug("{} went away before it had its answer", client.getRemoteSocketAddress(), e);
        } catch (RuntimeException e) {
            log.warn("cannot answer {} at health check port {}", client.getInetAddress(), client.getLocalPort(), e);
        } finally {
            connections.remove(client);
        }
    }

    /** The first line of the request, once its head has come; null if there is none. */
    private static @Nullable String request(Socket client, long deadline) throws IOException {
        InputStream in = client.getInputStream();
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        byte[] part = new byte[1024];
        while (head.size() < MOST_REQUEST_BYTES) {
            awaitUntil(client, deadline);
            int count = in.read(part);
            if (count < 0) {
                return null;
            }
            head.write(part, 0, count);
            String text = head.toString(StandardCharsets.ISO_8859_1);
            if (text.contains("\r\n\r\n") || text.contains("\n\n")) {
                return text.substring(0, text.indexOf('\n')).strip();
            }
        }
        return null;
    }

    private static void awaitUntil(Socket client, long deadline) throws IOException {
        long millis = (deadline - System.nanoTime()) / 1_000_000;
        if (millis <= 0) {
            throw new SocketTimeoutException("the request takes too long");
        }
        client.setSoTimeout((int) millis);
    }

    /** To close while the client still sends would reset the connection, and it might lose its answer. */
    private static void drain(Socket client, long deadline) throws IOException {
        byte[] part = new byte[1024];
        int left = MOST_REQUEST_BYTES;
        do {
            awaitUntil(client, deadline);
            int count = client.getInputStream().read(part);
            left = count < 0 ? 0 : left - count;
        } while (left > 0);
    }

    private static byte[] response(String request, Probes.ServiceAnswer answer) {
        String version = request.endsWith("HTTP/1.0") ? "HTTP/1.0" : "HTTP/1.1";
        if (!request.matches("\\S+ \\S+ HTTP/1\\.[01]")) {
            return (version + " 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                    .getBytes(StandardCharsets.ISO_8859_1);
        }
        byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
        String status = answer.status() == 200 ? "200 OK" : "503 Service Unavailable";
        String head = version + " " + status + "\r\nContent-Type: application/json\r\n"
                + "X-Content-Type-Options: nosniff\r\n"
                + "X-Load-Balancing-Endpoint-Weight: " + answer.localEndpoints() + "\r\n"
                + "Date: " + HTTP_DATE.format(ZonedDateTime.now(ZoneOffset.UTC)) + "\r\n"
                + "Content-Length: " + body.length + "\r\nConnection: close\r\n\r\n";
        return (request.startsWith("HEAD ") ? head : head + answer.body()).getBytes(StandardCharsets.UTF_8);
    }

    /** Stops listening, so that the ports are free when it returns; who is connected still gets an answer. */
    @Override
    public void close() {
        for (ServerSocketChannel socket : sockets) {
            try {
                socket.close();
            } catch (IOException e) {
                log.warn("a health check port cannot be closed: {}", e.getMessage());
            }
        }
        try {
            for (Thread acceptor : acceptors) {
                acceptor.join(CLOSES_WITHIN);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
