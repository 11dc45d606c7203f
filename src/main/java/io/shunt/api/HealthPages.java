package io.shunt.api;

import io.shunt.health.Probes;
import io.shunt.metrics.Metrics;
import java.util.Map;

/** What the kubelet and load balancers ask, on kube-proxy's port 10256. */
final class HealthPages {
    private final Probes probes;
    private final Metrics metrics;

    HealthPages(Probes probes, Metrics metrics) {
        this.probes = probes;
        this.metrics = metrics;
    }

    Map<String, PageServer.Page> pages() {
        return Map.of("/healthz", query -> healthz(), "/livez", query -> livez(), "/readyz", query -> readyz());
    }

    private Reply healthz() {
        Probes.Answer answer = probes.healthz();
        metrics.healthz(answer.status());
        return Reply.json(answer.status(), answer.body());
    }

    private Reply livez() {
        Probes.Answer answer = probes.livez();
        metrics.livez(answer.status());
        return Reply.json(answer.status(), answer.body());
    }

    private Reply readyz() {
        Probes.Readiness readiness = probes.readyz();
        return readiness.ready()
                ? Reply.text(200, "ok")
                : Reply.text(503, String.join("\n", readiness.reasons()) + "\n");
    }
}
