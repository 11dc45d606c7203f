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
 * Keeps of an informer's objects only which there are, in which version: all that is needed to find what changed, and
 * what is gone after a new list. What it gives back are empty objects with a name and a version.
 *
 * <p>It hears of each object while the informer stores it, and tells the informer that nothing changed. The informer's
 * own events would wait with their whole objects in a queue without bound, which a long list fills faster than its
 * reader empties it.
 */
final class VersionStore<T extends HasMetadata> implements ItemStore<T> {
    private final ConcurrentMap<String, String> versions = new ConcurrentHashMap<>();
    private final Supplier<T> empty;
    private final Listener<T> listener;

    /** Hears what the informer stores, on its threads, one at a time. */
    interface Listener<T> {
        /** An object is new, or in another version than before. */
        void stored(T object);

        /** An object is gone; {@code named} has its name only. */
        void removed(T named);
    }

    VersionStore(Supplier<T> empty, Listener<T> listener) {
        this.empty = empty;
        this.listener = listener;
    }

    @Override
    public String getKey(T object) {
        return Cache.metaNamespaceKeyFunc(object);
    }

    @Override
    public T put(String key, T object) {
        String version = String.valueOf(object.getMetadata().getResourceVersion());
        if (!version.equals(versions.put(key, version))) {
            listener.stored(object);
        }
        return object;
    }

    @Override
    public @Nullable T remove(String key) {
        String version = versions.remove(key);
        if (version != null) {
            listener.removed(present(key, version));
        }
        return null;
    }

    @Override
    public @Nullable T get(String key) {
        String version = versions.get(key);
        return version == null ? null : present(key, version);
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
