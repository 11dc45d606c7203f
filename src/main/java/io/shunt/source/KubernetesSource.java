package io.shunt.source;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.Informable;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import io.fabric8.kubernetes.client.informers.cache.Cache;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Occurrence;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The Kubernetes API: watches Services, EndpointSlices and this Node with kube-proxy 1.36's selectors
 * (cmd/kube-proxy/app/server.go). It retries for ever. An object that is not as the API server would let it be keeps
 * what it last was.
 */
final class KubernetesSource implements Source {
    private static final Logger LOG = LoggerFactory.getLogger(KubernetesSource.class);
    /**
     * Objects a page. What a page leaves behind should die young: with 500, the list of a large cluster grows the heap by
     * 90 MB that nothing uses afterwards.
     */
    private static final long PAGE = 100;

    private static final String SERVICES = "services";
    private static final String SLICES = "endpointslices";
    private static final String NODES = "nodes";
    /** A node need not be listed: not every identity may read it. */
    private static final Set<String> NEEDED = Set.of(SERVICES, SLICES);

    private final SourceCounters counters = new SourceCounters();
    private final Problems problems = new Problems(counters);
    private final Ledger ledger = new Ledger(counters);
    private static final String CURE_OF_SERVICE =
            "this is the cluster IP of Service kubernetes, which kube-proxy serves as"
                    + " long as it runs, and Shunt only once it has reached the API server: give the API server's own address"
                    + " (k8sServiceHost of the chart, --master, or KUBERNETES_SERVICE_HOST)";

    private final Map<String, Instant> heard = new ConcurrentHashMap<>();
    private final Set<String> listed = ConcurrentHashMap.newKeySet();
    /** The objects that are refused; they hold back {@code Complete}, as an earlier process may have programmed them. */
    private final Set<String> invalid = ConcurrentHashMap.newKeySet();

    private volatile boolean nodeFailed;
    private volatile boolean complete;
    private final List<SharedIndexInformer<?>> informers = new ArrayList<>();
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();
    private final KubernetesClient client;
    private final EventWriter events;
    private final String url;
    private final String nodeName;

    private final boolean byService;

    /** As the other, with an address of the API server's own. */
    KubernetesSource(Config config, String nodeName) {
        this(config, nodeName, false);
    }

    /**
     * @param byService whether the API server is reached by the Service kubernetes, as which somebody has to serve it
     * @throws SourceConfigurationException if no client can be made with {@code config}
     */
    KubernetesSource(Config config, String nodeName, boolean byService) {
        this.nodeName = nodeName;
        this.byService = byService;
        this.url = config.getMasterUrl().replaceAll("/$", "");
        try {
            this.client = new KubernetesClientBuilder()
                    .withConfig(config)
                    .withKubernetesSerialization(serialization())
                    .withTaskExecutor(executor)
                    .withHttpClientBuilderConsumer(
                            builder -> builder.addOrReplaceInterceptor("shunt", new WatchListener(new Watching()))
                                    .addOrReplaceInterceptor("shunt-meter", new RequestMeter(counters.requests())))
                    .build();
            this.events = new EventWriter(client, executor, nodeName);
        } catch (KubernetesClientException e) {
            executor.shutdownNow();
            throw new SourceConfigurationException(
                    "no client for API server " + url + ": " + Failure.of(e).message()
                            + "; check the certificates and keys of its configuration",
                    e);
        }
    }

    private static KubernetesSerialization serialization() {
        KubernetesSerialization serialization =
                new KubernetesSerialization(ApiFields.mapper().build(), false);
        serialization.registerKubernetesResource(Service.class);
        serialization.registerKubernetesResource(EndpointSlice.class);
        serialization.registerKubernetesResource(Node.class);
        serialization.registerKubernetesResource(Status.class);
        return serialization;
    }

    @Override
    public void start(ChangeSink sink) {
        ledger.open(sink);
        inform(
                SERVICES,
                "Service",
                client.services()
                        .inAnyNamespace()
                        .withoutLabel(Conversion.SERVICE_PROXY_NAME)
                        .withoutField("spec.clusterIP", "None"),
                Service::new,
                this::service);
        inform(
                SLICES,
                "EndpointSlice",
                client.discovery().v1().endpointSlices().inAnyNamespace().withoutLabel(Conversion.HEADLESS),
                EndpointSlice::new,
                this::slice);
        inform(NODES, "Node", client.nodes().withField("metadata.name", nodeName), Node::new, (name, node) -> {
            ledger.node(node == null ? null : Conversion.node(node));
            return List.of();
        });
    }

    private List<InvalidObjectException> service(ObjectName name, @Nullable Service service)
            throws InvalidObjectException {
        if (service == null) {
            ledger.service(name, null);
            return List.of();
        }
        Converted<io.shunt.cluster.Service> converted = Conversion.service(service);
        ledger.service(name, converted.object());
        return converted.leftOut();
    }

    private List<InvalidObjectException> slice(ObjectName name, @Nullable EndpointSlice slice)
            throws InvalidObjectException {
        if (slice == null) {
            ledger.slice(name, null);
            return List.of();
        }
        Converted<io.shunt.cluster.EndpointSlice> converted = Conversion.slice(slice);
        ledger.slice(name, converted.object());
        return converted.leftOut();
    }

    /** Takes an object's new state, null if it is gone, and returns what had to be left out of it. */
    private interface Taker<T> {
        List<InvalidObjectException> take(ObjectName name, @Nullable T object) throws InvalidObjectException;
    }

    private <T extends HasMetadata> void inform(
            String resource, String kind, Informable<T> objects, Supplier<T> empty, Taker<T> taker) {
        SharedIndexInformer<T> informer = objects.withLimit(PAGE)
                .runnableInformer(0)
                .removeNamespaceIndex()
                .itemStore(new VersionStore<>(empty, new Taking<>(kind, taker)))
                .exceptionHandler((started, failure) -> {
                    failed(resource, "list", Failure.of(failure));
                    return true;
                })
                .addEventHandler(new Listing<>(resource));
        informers.add(informer);
        informer.start();
    }

    /** Takes the objects of one kind. */
    private final class Taking<T extends HasMetadata> implements VersionStore.Listener<T> {
        private final String kind;
        private final Taker<T> taker;

        Taking(String kind, Taker<T> taker) {
            this.kind = kind;
            this.taker = taker;
        }

        @Override
        public void stored(T object) {
            take(object, object);
        }

        @Override
        public void removed(T named) {
            take(named, null);
        }

        private void take(T named, @Nullable T object) {
            String key = kind + " " + Cache.metaNamespaceKeyFunc(named);
            try {
                List<InvalidObjectException> leftOut = taker.take(Conversion.name(named), object);
                if (leftOut.isEmpty()) {
                    problems.mend(key);
                } else {
                    problems.raise(
                            key,
                            leftOut.stream().map(entry -> entry.leftOut(key)).toList());
                }
                invalid.remove(key);
                completeIfListed();
            } catch (InvalidObjectException e) {
                invalid.add(key);
                problems.raise(key, e.problem(key, ""));
            } catch (RuntimeException e) {
                LOG.error("{} could not be taken", key, e);
            }
        }
    }

    /** Hears when all objects of one kind have been listed and taken. */
    private final class Listing<T> implements ResourceEventHandler<T> {
        private final String resource;

        Listing(String resource) {
            this.resource = resource;
        }

        @Override
        public void onList(String version, boolean empty) {
            heard.put(resource, Instant.now());
            problems.mend(resource);
            listed.add(resource);
            tellIfListed();
        }

        @Override
        public void onAdd(T object) {}

        @Override
        public void onUpdate(T before, T now) {}

        @Override
        public void onDelete(T object, boolean onlyNameKnown) {}
    }

    /** The Node is waited for until it is there or cannot be had: without it endpoints would be chosen for no zone first. */
    private boolean hasListed() {
        return listed.containsAll(NEEDED) && (listed.contains(NODES) || nodeFailed);
    }

    private void tellIfListed() {
        if (hasListed()) {
            ledger.listed();
            completeIfListed();
        }
    }

    private void completeIfListed() {
        if (!complete && hasListed() && invalid.isEmpty()) {
            complete = true;
            ledger.complete();
        }
    }

    /** Hears how the watches fare. */
    private final class Watching implements WatchListener.Watches {
        @Override
        public void heard(String resource) {
            heard.put(resource, Instant.now());
        }

        @Override
        public void opened(String resource) {
            problems.mend(resource);
        }

        @Override
        public void failed(String resource, Failure failure) {
            KubernetesSource.this.failed(resource, "watch", failure);
        }
    }

    private void failed(String resource, String verb, Failure failure) {
        problems.raise(
                resource,
                new Problem(
                        failure.cause(),
                        "API server " + url,
                        "",
                        "",
                        verb + " of " + resource + " failed with " + failure.message(),
                        byService && failure.isSilence() ? CURE_OF_SERVICE : failure.cure(resource)));
        if (resource.equals(NODES) && !nodeFailed) {
            nodeFailed = true;
            tellIfListed();
        }
    }

    @Override
    public SourceStatus status() {
        Instant silentLongest = heard.keySet().containsAll(NEEDED)
                ? NEEDED.stream().map(heard::get).min(Instant::compareTo).orElseThrow()
                : null;
        return ledger.status("kubernetes", url, silentLongest, problems.now());
    }

    @Override
    public SourceCounters counters() {
        return counters;
    }

    @Override
    public void report(Occurrence occurrence) {
        events.write(occurrence);
    }

    @Override
    public void close() {
        ledger.close();
        informers.forEach(SharedIndexInformer::stop);
        client.close();
        executor.shutdownNow();
    }
}
