package io.shunt.source;

import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.shunt.cluster.Occurrence;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes Events (events.k8s.io/v1) as client-go's recorder does, down to the unlikely uid of its objects. One that the
 * API server does not take is lost, and the log says so once.
 */
final class EventWriter {
    private static final Logger LOG = LoggerFactory.getLogger(EventWriter.class);
    private static final String REPORTER = "shunt";
    /** Where Events of objects without a namespace are kept. */
    private static final String DEFAULT_NAMESPACE = "default";

    /** The API server reads a time with exactly six digits only (metav1.MicroTime). */
    private static final DateTimeFormatter MICRO_TIME =
            DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

    private static final int LONGEST_NOTE = 1024;

    private final KubernetesClient client;
    private final Executor executor;
    private final String nodeName;
    private final AtomicBoolean failed = new AtomicBoolean();

    /** @param executor may wait for the API server */
    EventWriter(KubernetesClient client, Executor executor, String nodeName) {
        this.client = client;
        this.executor = executor;
        this.nodeName = nodeName;
    }

    /** Writes it in its own time. */
    void write(Occurrence occurrence) {
        Instant now = Instant.now();
        try {
            executor.execute(() -> post(occurrence, now));
        } catch (RejectedExecutionException e) {
            LOG.debug("no time left to write event {}", occurrence);
        }
    }

    private void post(Occurrence occurrence, Instant at) {
        Map<String, Object> event = event(occurrence, at);
        String namespace = namespace(occurrence);
        try {
            client.raw("/apis/events.k8s.io/v1/namespaces/" + namespace + "/events", "POST", event);
        } catch (KubernetesClientException e) {
            if (failed.compareAndSet(false, true)) {
                LOG.info(
                        "events cannot be written, and nothing else is the worse for it: {}",
                        Failure.of(e).message());
            }
        }
    }

    private static String namespace(Occurrence occurrence) {
        return occurrence.namespace().isEmpty() ? DEFAULT_NAMESPACE : occurrence.namespace();
    }

    private Map<String, Object> event(Occurrence occurrence, Instant at) {
        String note = occurrence.note();
        long nanos = ChronoUnit.NANOS.between(Instant.EPOCH, at);
        return Map.ofEntries(
                Map.entry("apiVersion", "events.k8s.io/v1"),
                Map.entry("kind", "Event"),
                Map.entry(
                        "metadata",
                        Map.of(
                                "name",
                                occurrence.name() + "." + Long.toHexString(nanos),
                                "namespace",
                                namespace(occurrence))),
                Map.entry("eventTime", MICRO_TIME.format(at)),
                Map.entry("reportingController", REPORTER),
                Map.entry("reportingInstance", REPORTER + "-" + nodeName),
                Map.entry("type", occurrence.warning() ? "Warning" : "Normal"),
                Map.entry("reason", occurrence.reason()),
                Map.entry("action", occurrence.action()),
                Map.entry("note", note.length() > LONGEST_NOTE ? note.substring(0, LONGEST_NOTE) : note),
                Map.entry("regarding", regarding(occurrence)));
    }

    private static Map<String, String> regarding(Occurrence occurrence) {
        Map<String, String> regarding = new HashMap<>();
        regarding.put("kind", occurrence.kind());
        regarding.put("name", occurrence.name());
        if (occurrence.namespace().isEmpty()) {
            regarding.put("uid", occurrence.name());
        } else {
            regarding.put("namespace", occurrence.namespace());
            regarding.put("uid", occurrence.namespace() + "/" + occurrence.name());
        }
        return regarding;
    }
}
