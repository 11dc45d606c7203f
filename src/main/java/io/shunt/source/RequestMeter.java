package io.shunt.source;

import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** Counts requests and times them, watches left out: those last as long as they like. */
final class RequestMeter implements Interceptor {
    private static final String NO_ANSWER = "<error>";
    private static final int MOST_UNDER_WAY = 64;

    private final RequestCounters counters;

    /** When requests went out. Those that get no answer push each other out. */
    private final Map<UUID, Long> sent = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<UUID, Long> eldest) {
            return size() > MOST_UNDER_WAY;
        }
    };

    RequestMeter(RequestCounters counters) {
        this.counters = counters;
    }

    /** Called last before the request goes out, with the request as it goes out. */
    @Override
    public AsyncBody.Consumer<List<ByteBuffer>> consumer(
            AsyncBody.Consumer<List<ByteBuffer>> consumer, HttpRequest request) {
        if (!WatchListener.isWatch(request)) {
            synchronized (sent) {
                sent.put(request.id(), System.nanoTime());
            }
        }
        return consumer;
    }

    @Override
    public void after(HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
        counters.had(new RequestCounters.Result(Integer.toString(response.code()), request.method(), host(request)));
        Long start = takeStart(request);
        if (start != null) {
            counters.took(new RequestCounters.Verb(request.method(), host(request)), System.nanoTime() - start);
        }
    }

    private @Nullable Long takeStart(HttpRequest request) {
        synchronized (sent) {
            return sent.remove(request.id());
        }
    }

    @Override
    public void afterConnectionFailure(HttpRequest request, Throwable failure) {
        counters.had(new RequestCounters.Result(NO_ANSWER, request.method(), host(request)));
    }

    private static String host(HttpRequest request) {
        URI uri = request.uri();
        return uri.getRawAuthority() == null ? "" : uri.getRawAuthority();
    }
}
