package io.shunt.source;

import io.fabric8.kubernetes.api.model.AuthInfo;
import io.fabric8.kubernetes.api.model.Cluster;
import io.fabric8.kubernetes.api.model.Context;
import io.fabric8.kubernetes.api.model.NamedAuthInfo;
import io.fabric8.kubernetes.api.model.NamedCluster;
import io.fabric8.kubernetes.api.model.NamedContext;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * How to reach the API server, from a kubeconfig file or as a pod. All that can be wrong with it for good is found
 * here, before anything starts; what may heal, as a token that expired, shows later.
 */
final class ApiServerAccess {
    static final Path POD_SECRETS = Path.of("/var/run/secrets/kubernetes.io/serviceaccount");

    private static final int RECONNECT_MILLIS = 250;
    private static final int RETRY_MILLIS = 100;

    private ApiServerAccess() {}

    /**
     * The client's configuration.
     *
     * @param environment for KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which a pod has
     * @param podSecrets where a pod has its service account's token and the CA's certificate
     * @throws SourceConfigurationException if it can never work
     */
    static Config of(SourceOptions options, Map<String, String> environment, Path podSecrets) {
        Config config = options.kubeconfig() == null
                ? pod(options.apiServer(), environment, podSecrets)
                : kubeconfig(options.kubeconfig().toAbsolutePath(), options.apiServer());
        config.setUserAgent("shunt");
        config.setOnlyHttpWatches(true);
        // A connection each for list and watch: one that died silently is then not used again.
        config.setHttp2Disable(true);
        // The informer retries for ever, up to 32 times this apart.
        config.setWatchReconnectInterval(RECONNECT_MILLIS);
        config.setWatchReconnectLimit(-1);
        // One try more at once; without any, the client would not report failed connections.
        config.setRequestRetryBackoffLimit(1);
        config.setRequestRetryBackoffInterval(RETRY_MILLIS);
        return config;
    }

    /** Whether a pod is told of the API server by the Service kubernetes' address: the kubelet gives it by this name too. */
    static boolean isByService(SourceOptions options, Map<String, String> environment) {
        String host = environment.get("KUBERNETES_SERVICE_HOST");
        String port = environment.getOrDefault("KUBERNETES_SERVICE_PORT", "443");
        return options.kubeconfig() == null
                && options.apiServer() == null
                && host != null
                && host.equals(environment.get("KUBERNETES_PORT_" + port + "_TCP_ADDR"));
    }

    private static Config pod(@Nullable String apiServer, Map<String, String> environment, Path secrets) {
        String host = environment.get("KUBERNETES_SERVICE_HOST");
        if (apiServer == null && (host == null || host.isEmpty())) {
            throw new SourceConfigurationException("no kubeconfig is given, and KUBERNETES_SERVICE_HOST is not set as"
                    + " in a pod; name a kubeconfig with --kubeconfig");
        }
        Config config = Config.empty();
        if (apiServer != null) {
            config.setMasterUrl(checkUrl("--master", apiServer));
        } else {
            String bracketed = String.valueOf(host).contains(":") ? "[" + host + "]" : host;
            config.setMasterUrl(
                    "https://" + bracketed + ":" + environment.getOrDefault("KUBERNETES_SERVICE_PORT", "443") + "/");
        }
        Path token = secrets.resolve("token");
        if (apiServer == null || Files.exists(token)) {
            config.setOauthTokenProvider(token("service account token", token));
            Path ca = secrets.resolve("ca.crt");
            checkCertificate("service account CA certificate", ca);
            config.setCaCertFile(ca.toString());
        }
        return config;
    }

    private static Config kubeconfig(Path file, @Nullable String apiServer) {
        String where = "kubeconfig " + file;
        io.fabric8.kubernetes.api.model.Config parsed = parse(file);
        String contextName = required(where, "current-context", parsed.getCurrentContext());
        Context context = named(
                where,
                "contexts",
                contextName,
                orEmpty(parsed.getContexts()),
                NamedContext::getName,
                NamedContext::getContext);
        Cluster cluster = named(
                where,
                "clusters",
                required(where, "contexts[" + contextName + "].context.cluster", context.getCluster()),
                orEmpty(parsed.getClusters()),
                NamedCluster::getName,
                NamedCluster::getCluster);
        String clusterField = "clusters[" + context.getCluster() + "].cluster.";
        if (apiServer == null) {
            String serverField = clusterField + "server";
            checkUrl(where + ": " + serverField, required(where, serverField, cluster.getServer()));
        } else {
            checkUrl("--master", apiServer);
        }
        certificate(
                where,
                file,
                clusterField + "certificate-authority",
                cluster.getCertificateAuthority(),
                cluster.getCertificateAuthorityData());
        AuthInfo user = context.getUser() == null || context.getUser().isEmpty()
                ? new AuthInfo()
                : named(
                        where,
                        "users",
                        context.getUser(),
                        orEmpty(parsed.getUsers()),
                        NamedAuthInfo::getName,
                        NamedAuthInfo::getUser);
        String userField = "users[" + context.getUser() + "].user.";
        certificate(
                where,
                file,
                userField + "client-certificate",
                user.getClientCertificate(),
                user.getClientCertificateData());
        if (isSet(user.getClientKey())) {
            checkReadable(where + ": " + userField + "client-key", file.resolveSibling(user.getClientKey()));
        }
        Config config = client(where, file);
        if (isSet(user.getTokenFile())) {
            config.setOauthTokenProvider(
                    token(where + ": " + userField + "tokenFile", file.resolveSibling(user.getTokenFile())));
        }
        if (apiServer != null) {
            config.setMasterUrl(apiServer);
        }
        return config;
    }

    private static io.fabric8.kubernetes.api.model.Config parse(Path file) {
        checkReadable("kubeconfig", file);
        io.fabric8.kubernetes.api.model.Config parsed = null;
        Exception failure = null;
        try (InputStream in = Files.newInputStream(file)) {
            parsed = Serialization.unmarshal(in, io.fabric8.kubernetes.api.model.Config.class);
        } catch (IOException | RuntimeException e) {
            failure = e;
        }
        if (parsed == null) {
            throw new SourceConfigurationException(
                    "kubeconfig " + file + " cannot be parsed"
                            + (failure == null ? "" : ": " + rootMessage(failure))
                            + "; write a Config of apiVersion v1",
                    failure);
        }
        return parsed;
    }

    private static Config client(String where, Path file) {
        try {
            return Config.fromKubeconfig(file.toFile());
        } catch (KubernetesClientException e) {
            throw new SourceConfigurationException(where + ": " + rootMessage(e) + "; correct it", e);
        }
    }

    private static <N, V> V named(
            String where,
            String list,
            String name,
            List<N> entries,
            Function<N, @Nullable String> nameOf,
            Function<N, @Nullable V> valueOf) {
        for (N entry : entries) {
            V value = valueOf.apply(entry);
            if (name.equals(nameOf.apply(entry)) && value != null) {
                return value;
            }
        }
        throw new SourceConfigurationException(
                where + ": " + list + " has no entry named " + '"' + name + '"' + "; add it, or name another");
    }

    private static String required(String where, String field, @Nullable String value) {
        if (value == null || value.isEmpty()) {
            throw new SourceConfigurationException(where + ": " + field + " is missing; write it");
        }
        return value;
    }

    private static String checkUrl(String field, String url) {
        try {
            URI uri = new URI(url);
            if (("https".equals(uri.getScheme()) || "http".equals(uri.getScheme())) && uri.getHost() != null) {
                return url;
            }
        } catch (URISyntaxException e) {
            // Said below.
        }
        throw new SourceConfigurationException(
                field + " is no API server's URL: " + '"' + url + '"' + "; write https://HOST:PORT");
    }

    private static void certificate(
            String where, Path kubeconfig, String field, @Nullable String file, @Nullable String data) {
        if (isSet(data)) {
            String dataField = where + ": " + field + "-data";
            try {
                checkCertificate(
                        dataField,
                        new ByteArrayInputStream(Base64.getMimeDecoder().decode(data)));
            } catch (IllegalArgumentException e) {
                throw new SourceConfigurationException(dataField + " is no base64; encode the PEM file", e);
            }
        } else if (isSet(file)) {
            checkCertificate(where + ": " + field, kubeconfig.resolveSibling(file));
        }
    }

    private static void checkCertificate(String field, Path file) {
        checkReadable(field, file);
        try (InputStream in = Files.newInputStream(file)) {
            checkCertificate(field + " " + file, in);
        } catch (IOException e) {
            throw new SourceConfigurationException(field + " " + file + " cannot be read; make it readable", e);
        }
    }

    private static void checkCertificate(String field, InputStream in) {
        Exception failure = null;
        try {
            if (!CertificateFactory.getInstance("X.509")
                    .generateCertificates(in)
                    .isEmpty()) {
                return;
            }
        } catch (CertificateException e) {
            failure = e;
        }
        throw new SourceConfigurationException(field + " holds no certificate; write one in PEM", failure);
    }

    private static void checkReadable(String field, Path file) {
        if (!Files.isRegularFile(file)) {
            throw new SourceConfigurationException(
                    field + " " + file + " is " + (Files.exists(file) ? "no file" : "not there") + "; name a file");
        }
        if (!Files.isReadable(file)) {
            throw new SourceConfigurationException(field + " " + file + " may not be read; let the daemon read it");
        }
    }

    /** Reads the token anew for each request, since the kubelet renews it. */
    private static io.fabric8.kubernetes.client.OAuthTokenProvider token(String field, Path file) {
        checkReadable(field, file);
        return () -> {
            try {
                return Files.readString(file).strip();
            } catch (IOException e) {
                return "";
            }
        };
    }

    private static boolean isSet(@Nullable String text) {
        return text != null && !text.isEmpty();
    }

    private static <T> List<T> orEmpty(@Nullable List<T> list) {
        return list == null ? List.of() : list;
    }

    private static String rootMessage(Throwable failure) {
        Throwable root = failure;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return String.valueOf(root.getMessage()).lines().findFirst().orElse("");
    }
}
