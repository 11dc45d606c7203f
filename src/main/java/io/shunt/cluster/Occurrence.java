package io.shunt.cluster;

/**
 * Something that has happened, for people to read where the cluster keeps such (Kubernetes Events).
 *
 * @param warning whether somebody should look at it
 * @param kind what it happened to, as {@code Service}
 * @param namespace of the object, "" if it has none
 * @param name of the object
 * @param reason one word that programs look for
 * @param action what was being done, in one word
 * @param note for people, may be empty
 */
public record Occurrence(
        boolean warning, String kind, String namespace, String name, String reason, String action, String note) {
    /** The proxy of this node has started (kube-proxy cmd/kube-proxy/app/server.go). */
    public static Occurrence started(String nodeName) {
        return new Occurrence(false, "Node", "", nodeName, "Starting", "StartKubeProxy", "");
    }

    /** A Service's health check node port cannot be listened at (kube-proxy healthcheck/service_health.go). */
    public static Occurrence healthCheckFailed(ObjectName service, int port, String nodeName, String reason) {
        return new Occurrence(
                true,
                "Service",
                service.namespace(),
                service.name(),
                "FailedToStartServiceHealthcheck",
                "Listen",
                "node " + nodeName + " failed to start healthcheck \"" + service + "\" on port " + port + ": "
                        + reason);
    }
}
