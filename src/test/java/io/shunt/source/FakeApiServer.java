package io.shunt.source;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.shunt.testbed.FreePorts;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * As much of an API server as a proxy's watches need, over plain HTTP: lists in pages, HTTP watches that replay from a
 * resource version, selectors, 410 after compaction. fabric8's mock server has neither pages nor HTTP watches. It can
 * be told to misbehave.
 */
public final class FakeApiServer implements AutoCloseable {
    private static final Map<String, String> PLURALS =
            Map.of("Service", "services", "EndpointSlice", "endpointslices", "Node", "nodes");
    private static final Optional<Event> DROP = Optional.empty();

    private final ObjectMapper json = JsonMapper.builder().build();
    private final ObjectMapper yaml = YAMLMapper.builder().build();
    private final Map<String, TreeMap<String, ObjectNode>> objects = new HashMap<>();
    /** The objects as JSON, so that a long list costs little the second time. */
    private final Map<ObjectNode, byte[]> serialized = new IdentityHashMap<>();

    private final List<Event> events = new ArrayList<>();
    private final List<Watch> watches = new CopyOnWriteArrayList<>();
    private final List<String> requests = new CopyOnWriteArrayList<>();
    private final List<String> calls = new CopyOnWriteArrayList<>();
    private final List<JsonNode> posted = new CopyOnWriteArrayList<>();
    private final Map<String, Answer> answers = new ConcurrentHashMap<>();
    /**
     * No virtual threads: in the network namespace where this was started they would start carriers, which stay there, and
     * what others later do on virtual threads would be done there too.
     */
    private final ExecutorService executor =
            Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory());

    private @Nullable HttpServer server;
    private final int port = FreePorts.next();
    private long version = 100;
    private long oldestKnown;

    private record Event(
            String resource,
            long version,
            @Nullable ObjectNode before,
            @Nullable ObjectNode now,
            @Nullable String raw) {}

    private record Watch(String resource, Map<String, String> query, BlockingQueue<Optional<Event>> queue) {}

    /** What to answer instead, for requests whose URI contains the key. */
    private record Answer(int status, String body) {}

    public FakeApiServer() {
        PLURALS.values().forEach(resource -> objects.put(resource, new TreeMap<>()));
    }

    /** Starts to listen, the second time on the same port. */
    public synchronized FakeApiServer start() {
        try {
            server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        server.setExecutor(executor);
        server.createContext("/", this::handle);
        server.start();
        return this;
    }

    /** Stops to listen and drops every connection. */
    public synchronized void stop() {
        dropWatches();
        if (server != null) {
            server.stop(0);
            server = null;
        }
    }

    @Override
    public void close() {
        stop();
        executor.shutdownNow();
    }

    public synchronized String url() {
        return "http://localhost:" + port;
    }

    /** Creates or replaces the objects of {@code manifests}, in YAML. */
    public void put(String manifests) {
        for (String document : manifests.split("(?m)^---$")) {
            put((ObjectNode) yaml.readTree(document));
        }
    }

    public synchronized void put(ObjectNode object) {
        ObjectNode metadata = (ObjectNode) object.get("metadata");
        String kind = object.get("kind").asString();
        if (!metadata.has("namespace") && !kind.equals("Node")) {
            metadata.put("namespace", "default");
        }
        metadata.put("resourceVersion", String.valueOf(++version));
        String resource = plural(kind);
        ObjectNode before = of(resource).put(key(object), object);
        serialized.remove(before);
        tell(new Event(resource, version, before, object, null));
    }

    /** Deletes it; {@code key} is {@code namespace/name}, or a Node's name. */
    public synchronized void delete(String kind, String key) {
        ObjectNode before = of(plural(kind)).remove(key);
        if (before == null) {
            throw new IllegalArgumentException("no " + kind + " " + key);
        }
        tell(new Event(plural(kind), ++version, before, null, null));
    }

    /** Sends {@code line} to every watch of {@code resource}, as it is. */
    public synchronized void sendRaw(String resource, String line) {
        watches.stream()
                .filter(watch -> watch.resource.equals(resource))
                .forEach(watch -> watch.queue.add(Optional.of(new Event(resource, version, null, null, line))));
    }

    private void tell(Event event) {
        events.add(event);
        watches.stream()
                .filter(watch -> watch.resource.equals(event.resource))
                .forEach(watch -> watch.queue.add(Optional.of(event)));
    }

    public void dropWatches() {
        watches.forEach(watch -> watch.queue.add(DROP));
    }

    /** Forgets history: a watch that wants what was before gets 410. */
    public synchronized void compact() {
        events.clear();
        oldestKnown = version;
    }

    /** From now on requests whose URI contains {@code part} get this answer; status 0: none at all. */
    public void answer(String part, int status, String body) {
        answers.put(part, new Answer(status, body));
    }

    public void answerWell() {
        answers.clear();
    }

    /** The requests so far: path and decoded query. */
    public List<String> requests() {
        return List.copyOf(requests);
    }

    /** The same with their methods, as in {@code GET /api/v1/services?limit=100}, not decoded. */
    public List<String> calls() {
        return List.copyOf(calls);
    }

    /** What was posted so far. */
    public List<JsonNode> posted() {
        return List.copyOf(posted);
    }

    public long openWatches(String resource) {
        return watches.stream().filter(watch -> watch.resource.equals(resource)).count();
    }

    private void handle(HttpExchange exchange) {
        try (exchange) {
            String uri = exchange.getRequestURI().toString();
            requests.add(URLDecoder.decode(uri, StandardCharsets.UTF_8));
            calls.add(exchange.getRequestMethod() + " " + uri);
            Optional<Answer> other = answers.entrySet().stream()
                    .filter(entry -> uri.contains(entry.getKey()))
                    .map(Map.Entry::getValue)
                    .findFirst();
            if (other.isPresent() && other.get().status == 0) {
                new LinkedBlockingQueue<>().take();
            } else if (other.isPresent()) {
                send(exchange, other.get().status, other.get().body);
            } else if (exchange.getRequestMethod().equals("POST")) {
                byte[] body = exchange.getRequestBody().readAllBytes();
                posted.add(json.readTree(body));
                exchange.sendResponseHeaders(201, body.length);
                exchange.getResponseBody().write(body);
            } else if (uri.contains("watch=true")) {
                watch(exchange);
            } else {
                list(exchange);
            }
        } catch (IOException e) {
            // The client went away.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void send(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = bytes(body);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    private void list(HttpExchange exchange) throws IOException {
        Map<String, String> query = query(exchange);
        int limit = Integer.parseInt(query.getOrDefault("limit", "1000000"));
        String after = query.getOrDefault("continue", "");
        List<byte[]> items = new ArrayList<>();
        ObjectNode metadata = json.createObjectNode();
        synchronized (this) {
            metadata.put("resourceVersion", String.valueOf(version));
            String last = "";
            for (Map.Entry<String, ObjectNode> entry :
                    of(resource(exchange)).tailMap(after, false).entrySet()) {
                if (items.size() == limit) {
                    metadata.put("continue", last);
                    break;
                }
                if (matches(query, entry.getValue())) {
                    items.add(serialized.computeIfAbsent(entry.getValue(), json::writeValueAsBytes));
                    last = entry.getKey();
                }
            }
        }
        exchange.sendResponseHeaders(200, 0);
        try (OutputStream out = new BufferedOutputStream(exchange.getResponseBody(), 1 << 16)) {
            out.write(bytes("{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":" + metadata + ",\"items\":["));
            for (int i = 0; i < items.size(); i++) {
                out.write(bytes(i == 0 ? "" : ","));
                out.write(items.get(i));
            }
            out.write(bytes("]}"));
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private void watch(HttpExchange exchange) throws IOException, InterruptedException {
        Watch watch = new Watch(resource(exchange), query(exchange), new LinkedBlockingQueue<>());
        long since = Long.parseLong(watch.query.get("resourceVersion"));
        synchronized (this) {
            if (since < oldestKnown) {
                send(exchange, 410, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":410,\"reason\":\"Expired\"}");
                return;
            }
            events.stream()
                    .filter(event -> event.resource.equals(watch.resource) && event.version > since)
                    .forEach(event -> watch.queue.add(Optional.of(event)));
            watches.add(watch);
        }
        try {
            exchange.sendResponseHeaders(200, 0);
            exchange.getResponseBody().flush();
            for (Optional<Event> event = watch.queue.take(); event.isPresent(); event = watch.queue.take()) {
                String line = line(watch.query, event.get());
                if (!line.isEmpty()) {
                    exchange.getResponseBody().write(bytes(line + "\n"));
                    exchange.getResponseBody().flush();
                }
            }
        } finally {
            watches.remove(watch);
        }
    }

    private String line(Map<String, String> query, Event event) {
        if (event.raw != null) {
            return event.raw;
        }
        ObjectNode before = event.before != null && matches(query, event.before) ? event.before : null;
        ObjectNode now = event.now != null && matches(query, event.now) ? event.now : null;
        ObjectNode told = now != null ? now : before;
        if (told == null) {
            return "";
        }
        ObjectNode object = told.deepCopy();
        ((ObjectNode) object.get("metadata")).put("resourceVersion", String.valueOf(event.version));
        return json.writeValueAsString(json.createObjectNode()
                .put("type", before == null ? "ADDED" : now == null ? "DELETED" : "MODIFIED")
                .set("object", object));
    }

    private static boolean matches(Map<String, String> query, ObjectNode object) {
        String label = query.getOrDefault("labelSelector", "");
        if (label.startsWith("!") && object.at("/metadata/labels").has(label.substring(1))) {
            return false;
        }
        String field = query.getOrDefault("fieldSelector", "");
        int equals = field.indexOf('=');
        if (equals < 0) {
            return true;
        }
        boolean not = field.charAt(equals - 1) == '!';
        String path = "/" + field.substring(0, not ? equals - 1 : equals).replace('.', '/');
        return object.at(path).asString("").equals(field.substring(equals + 1)) != not;
    }

    private static Map<String, String> query(HttpExchange exchange) {
        Map<String, String> query = new HashMap<>();
        for (String pair : exchange.getRequestURI().getRawQuery().split("&")) {
            String[] halves = pair.split("=", 2);
            query.put(halves[0], URLDecoder.decode(halves[1], StandardCharsets.UTF_8));
        }
        return query;
    }

    private static String resource(HttpExchange exchange) {
        String path = exchange.getRequestURI().getPath();
        return path.substring(path.lastIndexOf('/') + 1);
    }

    private static String plural(String kind) {
        String plural = PLURALS.get(kind);
        if (plural == null) {
            throw new IllegalArgumentException(kind);
        }
        return plural;
    }

    private TreeMap<String, ObjectNode> of(String resource) {
        TreeMap<String, ObjectNode> found = objects.get(resource);
        if (found == null) {
            throw new IllegalArgumentException(resource);
        }
        return found;
    }

    private static String key(ObjectNode object) {
        JsonNode metadata = object.get("metadata");
        String name = metadata.get("name").asString();
        return metadata.has("namespace") ? metadata.get("namespace").asString() + "/" + name : name;
    }
}
