package io.shunt.source;

import io.fabric8.kubernetes.client.KubernetesClientException;
import io.shunt.source.Problem.Cause;
import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpTimeoutException;
import java.security.GeneralSecurityException;
import java.util.Locale;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;

/**
 * Why a request to the API server failed.
 *
 * @param message with which the request failed, in a few words
 */
record Failure(Cause cause, String message) {
    static Failure of(Throwable thrown) {
        for (Throwable t = thrown; t != null; t = t.getCause()) {
            if (t instanceof KubernetesClientException client && client.getCode() >= 300) {
                return ofStatus(
                        client.getCode(),
                        client.getStatus() == null ? "" : client.getStatus().getMessage());
            }
        }
        for (Throwable t = thrown; t != null; t = t.getCause()) {
            if (t instanceof SSLException || t instanceof GeneralSecurityException) {
                return new Failure(Cause.TLS, "TLS failed: " + firstLine(t));
            }
            if (t instanceof ConnectException) {
                return new Failure(Cause.CONNECTION, "no connection" + detail(t));
            }
            if (t instanceof HttpTimeoutException || t instanceof TimeoutException) {
                return new Failure(Cause.TIMEOUT, "no answer in time");
            }
        }
        for (Throwable t = thrown; t != null; t = t.getCause()) {
            if (t instanceof IOException && !(t.getCause() instanceof RuntimeException)) {
                return new Failure(Cause.CONNECTION, "connection lost: " + firstLine(t));
            }
        }
        return new Failure(Cause.GARBAGE, "an answer that is not the Kubernetes API's: " + firstLine(root(thrown)));
    }

    static Failure ofStatus(int code, String message) {
        Cause cause = switch (code) {
            case 401 -> Cause.UNAUTHORIZED;
            case 403 -> Cause.FORBIDDEN;
            default -> Cause.HTTP_STATUS;
        };
        String detail = message == null || message.isBlank() ? "" : ": " + message.strip();
        return new Failure(cause, "status " + code + detail);
    }

    /** Whether nobody answered. */
    boolean isSilence() {
        return cause == Cause.CONNECTION || cause == Cause.TIMEOUT;
    }

    /** What to do about it, for a request to read {@code resource}. */
    String cure(String resource) {
        return switch (cause) {
            case UNAUTHORIZED -> "check that its token or client certificate has not expired and is this cluster's";
            case FORBIDDEN -> "grant list and watch of " + resource + ", as ClusterRole system:node-proxier does";
            case TLS -> "check the certificate authority, the clock, and that the certificate names this host";
            case CONNECTION -> "check the address and that the API server runs; retried until then";
            case TIMEOUT -> "check the network and the API server's load; retried until then";
            case GARBAGE -> "check that this is an API server, and no proxy in front of it answers";
            default -> "look at the API server's log; retried until then";
        };
    }

    private static String detail(Throwable t) {
        String message = t.getMessage();
        return message == null || message.isBlank() ? "" : ": " + message.toLowerCase(Locale.ROOT);
    }

    private static Throwable root(Throwable thrown) {
        Throwable root = thrown;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root;
    }

    private static String firstLine(Throwable t) {
        return t.getMessage() == null
                ? t.getClass().getSimpleName()
                : t.getMessage().lines().findFirst().orElse("");
    }
}
