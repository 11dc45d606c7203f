package io.shunt.source;

import io.shunt.cluster.ObjectName;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What the files of a directory say about the objects of one kind. Of two files the first by name is believed. */
final class Claims<T> {
    private final Map<ObjectName, NavigableMap<String, T>> claims = new HashMap<>();

    /** Hears what holds now about each object of a file that changed. */
    interface Listener<T> {
        /**
         * @param object null if no file says anything
         * @param files the files that name it, in order; the first is believed
         */
        void holds(ObjectName name, @Nullable T object, Set<String> files);
    }

    /** Replaces what {@code file} said before by what it says {@code now}. */
    void replace(String file, Map<ObjectName, T> before, Map<ObjectName, T> now, Listener<T> listener) {
        Set<ObjectName> names = new HashSet<>(before.keySet());
        names.addAll(now.keySet());
        for (ObjectName name : names) {
            NavigableMap<String, T> all = claims.computeIfAbsent(name, added -> new TreeMap<>());
            T object = now.get(name);
            if (object == null) {
                all.remove(file);
            } else {
                all.put(file, object);
            }
            if (all.isEmpty()) {
                claims.remove(name);
                listener.holds(name, null, Set.of());
            } else {
                listener.holds(name, all.firstEntry().getValue(), all.navigableKeySet());
            }
        }
    }
}
