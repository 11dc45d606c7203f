package io.shunt.source;

import io.shunt.cluster.ObjectName;
import org.jspecify.annotations.Nullable;

/**
 * A valid API object as the cluster record it becomes.
 *
 * @param object the record, null if the object is not for a proxy to serve
 * @param notServed why {@code object} is null, "" if it is not
 */
record Converted<T>(ObjectName name, @Nullable T object, String notServed) {
    static <T> Converted<T> served(ObjectName name, T object) {
        return new Converted<>(name, object, "");
    }

    static <T> Converted<T> notServed(ObjectName name, String why) {
        return new Converted<>(name, null, why);
    }
}
