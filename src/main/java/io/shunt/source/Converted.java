package io.shunt.source;

import io.shunt.cluster.ObjectName;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A valid API object as the cluster record it becomes.
 *
 * @param object the record, null if the object is not for a proxy to serve
 * @param notServed why {@code object} is null, "" if it is not
 * @param leftOut entries that the API server would refuse today, and that {@code object} goes without
 */
record Converted<T>(ObjectName name, @Nullable T object, String notServed, List<InvalidObjectException> leftOut) {
    static <T> Converted<T> served(ObjectName name, T object) {
        return served(name, object, List.of());
    }

    static <T> Converted<T> served(ObjectName name, T object, List<InvalidObjectException> leftOut) {
        return new Converted<>(name, object, "", leftOut);
    }

    static <T> Converted<T> notServed(ObjectName name, String why) {
        return new Converted<>(name, null, why, List.of());
    }
}
