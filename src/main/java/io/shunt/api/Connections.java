package io.shunt.api;

import java.io.IOException;
import java.net.Socket;
import java.util.LinkedHashSet;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connections that are open at one port, of which there may be so many: one more ends the oldest. So clients who
 * say nothing, or dawdle, keep nobody out, however many they are. Safe from any thread.
 */
final class Connections {
    private static final Logger log = LoggerFactory.getLogger(Connections.class);

    private final int most;
    private final LinkedHashSet<Socket> open = new LinkedHashSet<>();

    Connections(int most) {
        this.most = most;
    }

    /** Whoever serves the oldest hears by an {@link IOException} that it is closed. */
    void add(Socket client) {
        Socket oldest = exchange(client);
        if (oldest != null) {
            try {
                oldest.close();
            } catch (IOException e) {
                log.debug("{} was gone already", oldest.getRemoteSocketAddress(), e);
            }
        }
    }

    private synchronized @Nullable Socket exchange(Socket client) {
        Socket oldest = open.size() < most ? null : open.removeFirst();
        open.add(client);
        return oldest;
    }

    /** It is closed; one that had to make room is not there any more, which is no error. */
    synchronized void remove(Socket client) {
        open.remove(client);
    }
}
