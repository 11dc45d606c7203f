package io.shunt.source;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * What a source has to know beside where to look.
 *
 * @param nodeName the Node this daemon runs on; of all Nodes only this one is told
 * @param kubeconfig how to reach the API server, null: as a pod of the cluster does
 * @param apiServer the API server's URL instead of the one that the configuration names, null: that one
 */
public record SourceOptions(
        String nodeName,
        @Nullable Path kubeconfig,
        @Nullable String apiServer) {}
