package io.shunt.source;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.client.informers.cache.Cache;
import io.fabric8.kubernetes.client.informers.cache.ItemStore;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Keeps of an informer's objects only which there are, in which version: all that it needs to find what changed and
 * what is gone after a new list. What it gives back are empty objects with a name and a version.
 */
final class VersionStore<T extends HasMetadata> implements ItemStore<T> {
    private final ConcurrentMap<String, String> versions = new ConcurrentHashMap<>();
    private final Supplier<T> empty;

    VersionStore(Supplier<T> empty) {
        this.empty = empty;
    }

    @Override
    public String getKey(T object) {
        return Cache.metaNamespaceKeyFunc(object);
    }

    @Override
    public @Nullable T put(String key, T object) {
        String version = object.getMetadata().getResourceVersion();
        return object(key, versions.put(key, version == null ? "" : version));
    }

    @Override
    public @Nullable T remove(String key) {
        return object(key, versions.remove(key));
    }

    @Override
    public @Nullable T get(String key) {
        return object(key, versions.get(key));
    }

    @Override
    public Stream<String> keySet() {
        return versions.keySet().stream();
    }

    @Override
    public Stream<T> values() {
        return versions.entrySet().stream().map(entry -> present(entry.getKey(), entry.getValue()));
    }

    @Override
    public int size() {
        return versions.size();
    }

    @Override
    public boolean isFullState() {
        return false;
    }

    private @Nullable T object(String key, @Nullable String version) {
        return version == null ? null : present(key, version);
    }

    private T present(String key, String version) {
        int slash = key.indexOf('/');
        ObjectMeta metadata = new ObjectMeta();
        metadata.setNamespace(slash < 0 ? null : key.substring(0, slash));
        metadata.setName(key.substring(slash + 1));
        metadata.setResourceVersion(version);
        T object = empty.get();
        object.setMetadata(metadata);
        return object;
    }
}
