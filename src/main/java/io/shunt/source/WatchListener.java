package io.shunt.source;

import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Hears how watches fare, of which the informer says nothing: it opens them again in silence. Lists it leaves alone,
 * as the informer reports their failures.
 */
final class WatchListener implements Interceptor {
    private static final int GONE = 410;

    private final Watches watches;

    WatchListener(Watches watches) {
        this.watches = watches;
    }

    /** What there is to hear of watches; {@code resource} is the plural name that ends their path. */
    interface Watches {
        /** A watch was opened, or something came. */
        void heard(String resource);

        void opened(String resource);

        void failed(String resource, Failure failure);
    }

    @Override
    public void after(HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
        if (!isWatch(request)) {
            return;
        }
        if (response.isSuccessful()) {
            watches.heard(resource(request));
            watches.opened(resource(request));
        } else if (response.code() != GONE) {
            watches.failed(resource(request), Failure.ofStatus(response.code(), response.message()));
        }
    }

    @Override
    public void afterConnectionFailure(HttpRequest request, Throwable failure) {
        if (isWatch(request)) {
            watches.failed(resource(request), Failure.of(failure));
        }
    }

    @Override
    public AsyncBody.Consumer<List<ByteBuffer>> consumer(
            AsyncBody.Consumer<List<ByteBuffer>> consumer, HttpRequest request) {
        if (!isWatch(request)) {
            return consumer;
        }
        return (buffers, body) -> {
            watches.heard(resource(request));
            consumer.consume(ascii(buffers), body);
        };
    }

    /**
     * The same with ? for every byte beyond ASCII. fabric8 8.0.0 decodes each buffer of a watch on its own and takes the
     * decoder's whole array for text, so a character of several bytes would break the event. Nothing that a proxy reads
     * is beyond ASCII.
     */
    private static List<ByteBuffer> ascii(List<ByteBuffer> buffers) {
        List<ByteBuffer> plain = new ArrayList<>(buffers.size());
        for (ByteBuffer buffer : buffers) {
            ByteBuffer copy = ByteBuffer.allocate(buffer.remaining());
            while (buffer.hasRemaining()) {
                byte b = buffer.get();
                copy.put(b < 0 ? (byte) '?' : b);
            }
            plain.add(copy.flip());
        }
        return plain;
    }

    static boolean isWatch(HttpRequest request) {
        String query = request.uri().getQuery();
        return query != null && query.contains("watch=true");
    }

    private static String resource(HttpRequest request) {
        String path = request.uri().getPath();
        return path.substring(path.lastIndexOf('/') + 1);
    }
}
