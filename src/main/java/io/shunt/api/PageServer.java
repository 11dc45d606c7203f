package io.shunt.api;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.shunt.net.HostPort;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.exc.JacksonIOException;

/**
 * Serves read-only pages at fixed paths. Each request has a virtual thread of its own, so that a client who dawdles
 * keeps nobody else waiting; one who dawdles for long is cut off.
 */
final class PageServer implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PageServer.class);

    private static final int BUFFER = 8192;
    private static final int BACKLOG = 128;
    private static final int STOP_SECONDS = 1;

    static {
        // The JDK's server reads these once. Without them a client that never finishes is kept for ever, one that never
        // begins is looked for every 10 s only, any number of connections is taken, each may bring 380 KiB of headers,
        // and Nagle's algorithm delays answers by 40 ms. Who finds all connections taken is turned away, the kubelet
        // too: so there are many, and a request has to come soon.
        setDefault("sun.net.httpserver.maxReqTime", "5");
        setDefault("sun.net.httpserver.maxRspTime", "60");
        setDefault("sun.net.httpserver.clockTick", "1000");
        setDefault("jdk.httpserver.maxConnections", "1024");
        setDefault("sun.net.httpserver.maxReqHeaderSize", "16384");
        setDefault("sun.net.httpserver.nodelay", "true");
    }

    /** What is at a path. */
    @FunctionalInterface
    interface Page {
        /** @param query as it was sent */
        Reply reply(Query query);
    }

    /** What may be asked for; anything else changes something, and nothing here does. */
    enum Methods {
        READING,
        /** As Go's handlers have it that do not look. */
        ANY
    }

    private final HttpServer server;
    private final ExecutorService threads = Executors.newThreadPerTaskExecutor(
            Thread.ofVirtual().name("http-", 0).factory());
    private volatile boolean serves;

    private PageServer(HttpServer server) {
        this.server = server;
    }

    /**
     * Takes an address. Who connects there waits until something is served.
     *
     * @param flag the flag that gave the address, to be named in errors
     * @throws IOException if the address cannot be had; the message is one line that says why and what to do
     */
    static PageServer bind(InetSocketAddress address, String flag) throws IOException {
        try {
            return new PageServer(HttpServer.create(address, BACKLOG));
        } catch (BindException e) {
            throw new IOException(explain(e, address, flag), e);
        }
    }

    /**
     * Serves until closed. To be called once.
     *
     * @param methods which are answered
     * @param pages what to answer, by exact path
     */
    void serve(Methods methods, Map<String, Page> pages) {
        server.setExecutor(threads);
        server.createContext("/", exchange -> handle(exchange, methods, pages));
        server.start();
        serves = true;
    }

    /** Where it listens, with the port that the kernel chose if 0 was asked for. */
    InetSocketAddress address() {
        return server.getAddress();
    }

    /** Stops listening, gives requests under way a second, and ends the rest. Closing it again does nothing. */
    @Override
    public void close() {
        if (!serves) {
            // Nobody but the server's own thread lets go of the address.
            server.start();
            serves = true;
        }
        server.stop(STOP_SECONDS);
        threads.shutdownNow();
    }

    private static void handle(HttpExchange exchange, Methods methods, Map<String, Page> pages) {
        try (exchange) {
            String method = exchange.getRequestMethod();
            boolean head = method.equals("HEAD");
            Reply reply;
            if (head || method.equals("GET") || methods == Methods.ANY) {
                reply = reply(exchange.getRequestURI(), pages);
            } else {
                exchange.getResponseHeaders().set("Allow", "GET, HEAD");
                reply = Reply.error(405, method + " is not allowed: everything here is read-only");
            }
            exchange.getResponseHeaders().set("Content-Type", reply.contentType());
            exchange.getResponseHeaders().set("X-Content-Type-Options", "nosniff");
            exchange.sendResponseHeaders(reply.status(), head ? -1 : 0);
            if (!head) {
                try (OutputStream out = new BufferedOutputStream(exchange.getResponseBody(), BUFFER)) {
                    reply.body().writeTo(out);
                }
            }
        } catch (IOException | JacksonIOException e) {
            log.debug("{} went away before it had its answer", exchange.getRemoteAddress(), e);
        } catch (RuntimeException e) {
            log.warn("cannot answer {} in full", exchange.getRequestURI(), e);
        }
    }

    private static Reply reply(URI asked, Map<String, Page> pages) {
        String path = asked.getPath();
        Page page = pages.get(path);
        if (page == null) {
            return Reply.error(404, "nothing is at " + path);
        }
        try {
            return page.reply(Query.of(asked.getRawQuery()));
        } catch (WrongQueryException e) {
            return Reply.error(400, String.valueOf(e.getMessage()));
        } catch (RuntimeException e) {
            log.warn("cannot answer {}", path, e);
            return Reply.error(500, String.valueOf(e.getMessage()));
        }
    }

    private static String explain(BindException e, InetSocketAddress address, String flag) {
        String given = "(" + flag + " " + HostPort.format(address) + ")";
        String reason = String.valueOf(e.getMessage());
        if (reason.contains("in use")) {
            return "port " + address.getPort() + " is taken " + given
                    + ": stop what listens there (kube-proxy, if it still runs on this node), or give another"
                    + " address:port";
        }
        if (reason.contains("assign")) {
            return "no interface of this machine has the address " + given + ": give one that it has, or 0.0.0.0";
        }
        return "cannot listen " + given + ": " + reason + "; give another address:port";
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }
}
