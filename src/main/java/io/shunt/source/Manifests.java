package io.shunt.source;

import io.shunt.cluster.EndpointSlice;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.cluster.Service;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What one file says: the objects that a proxy has to serve, and what is wrong with it. */
final class Manifests {
    final Map<ObjectName, Service> services = new HashMap<>();
    final Map<ObjectName, EndpointSlice> slices = new HashMap<>();

    @Nullable
    Node node;

    /** Why the file's other Services and slices are not served, a sentence each. */
    final List<String> notServed = new ArrayList<>();

    final List<Problem> problems = new ArrayList<>();
}
