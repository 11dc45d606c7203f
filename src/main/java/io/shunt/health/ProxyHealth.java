package io.shunt.health;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The body of /healthz and /livez, field for field as kube-proxy writes it (pkg/proxy/healthcheck/proxy_health.go,
 * type ProxyHealth), but for the last. Times are RFC 3339 in UTC, with as many digits as they need, as Go prints them.
 *
 * @param lastUpdated now if the answer is 200, else when the kernel was last brought up to date
 * @param nodeEligible whether load balancers may send traffic to this node; null, and left out, in /livez
 * @param healthy whether changes are programmed in time; the node's eligibility has no part in it
 * @param status by {@code IPv4} and {@code IPv6}; left out before anything was programmed
 * @param reason why the node is not eligible, if it is for another reason than kube-proxy knows; else left out
 */
@JsonPropertyOrder({"lastUpdated", "currentTime", "nodeEligible", "healthy", "status", "reason"})
public record ProxyHealth(
        String lastUpdated,
        String currentTime,
        @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Boolean nodeEligible,
        boolean healthy,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, FamilyHealth> status,
        @JsonInclude(JsonInclude.Include.NON_EMPTY) String reason) {
    /** One family's part. Shunt programs both families together, so both say the same. */
    @JsonPropertyOrder({"lastUpdated", "healthy"})
    public record FamilyHealth(String lastUpdated, boolean healthy) {}
}
