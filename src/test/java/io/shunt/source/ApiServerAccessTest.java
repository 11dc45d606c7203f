package io.shunt.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fabric8.kubernetes.client.Config;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ApiServerAccessTest {
    private static final String GOOD = """
            apiVersion: v1
            kind: Config
            current-context: here
            contexts:
            - name: here
              context: {cluster: mine, user: me}
            clusters:
            - name: mine
              cluster:
                server: https://192.0.2.1:6443
            users:
            - name: me
              user:
                token: secret
            """;

    /** A self-signed certificate for nobody, good only to be parsed. */
    private static final String CERTIFICATE = """
            -----BEGIN CERTIFICATE-----
            MIIBcTCCARegAwIBAgIUcVBu1GQKtRCrpSl3rwVMDYKBH2IwCgYIKoZIzj0EAwIw
            DjEMMAoGA1UEAwwDYW55MB4XDTI2MDEwMTAwMDAwMFoXDTM2MDEwMTAwMDAwMFow
            -----END CERTIFICATE-----
            """;

    @TempDir
    Path directory;

    private Config kubeconfig(String text, @Nullable String apiServer) throws IOException {
        Path file = directory.resolve("kubeconfig");
        Files.writeString(file, text);
        return ApiServerAccess.of(new SourceOptions("node-1", file, apiServer), Map.of(), directory);
    }

    @Test
    void kubeconfig_good() throws IOException {
        Config config = kubeconfig(GOOD, null);

        assertThat(config.getMasterUrl()).isEqualTo("https://192.0.2.1:6443/");
        assertThat(config.getAutoOAuthToken()).isEqualTo("secret");
        assertThat(config.isOnlyHttpWatches()).isTrue();
    }

    @Test
    void kubeconfig_masterWins() throws IOException {
        assertThat(kubeconfig(GOOD, "https://198.51.100.1:6443").getMasterUrl())
                .startsWith("https://198.51.100.1:6443");
    }

    /** As kubeadm writes kube-proxy's; the kubelet renews the token. */
    @Test
    void kubeconfig_tokenFile_isReadAnew() throws IOException {
        Files.writeString(directory.resolve("token"), "first\n");
        Config config = kubeconfig(GOOD.replace("token: secret", "tokenFile: token"), null);

        assertThat(config.getOauthTokenProvider().getToken()).isEqualTo("first");
        Files.writeString(directory.resolve("token"), "second\n");
        assertThat(config.getOauthTokenProvider().getToken()).isEqualTo("second");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            current-context: here        | current-context:                     | current-context is missing; write it
            current-context: here        | current-context: there               | contexts has no entry named "there"; add it, or name another
            {cluster: mine, user: me}    | {user: me}                           | contexts[here].context.cluster is missing; write it
            {cluster: mine, user: me}    | {cluster: other, user: me}           | clusters has no entry named "other"; add it, or name another
            {cluster: mine, user: me}    | {cluster: mine, user: you}           | users has no entry named "you"; add it, or name another
            server: https://192.0.2.1:6443 | insecure-skip-tls-verify: true     | clusters[mine].cluster.server is missing; write it
            server: https://192.0.2.1:6443 | server: 192.0.2.1:6443             | clusters[mine].cluster.server is no API server's URL: "192.0.2.1:6443"; write https://HOST:PORT
            server: https://192.0.2.1:6443 | {server: "https://h", certificate-authority: ca.crt} | clusters[mine].cluster.certificate-authority DIR/ca.crt is not there; name a file
            server: https://192.0.2.1:6443 | {server: "https://h", certificate-authority: kubeconfig} | clusters[mine].cluster.certificate-authority DIR/kubeconfig holds no certificate; write one in PEM
            server: https://192.0.2.1:6443 | {server: "https://h", certificate-authority-data: bm9uZQ==} | clusters[mine].cluster.certificate-authority-data holds no certificate; write one in PEM
            server: https://192.0.2.1:6443 | {server: "https://h", certificate-authority-data: a} | clusters[mine].cluster.certificate-authority-data is no base64; encode the PEM file
            token: secret                | client-certificate: me.crt           | users[me].user.client-certificate DIR/me.crt is not there; name a file
            token: secret                | client-key: me.key                   | users[me].user.client-key DIR/me.key is not there; name a file
            token: secret                | tokenFile: token                     | users[me].user.tokenFile DIR/token is not there; name a file
            token: secret                | tokenFile: .                         | users[me].user.tokenFile DIR/. is no file; name a file
            """)
    void kubeconfig_bad(String good, String bad, String message) {
        assertThatThrownBy(() -> kubeconfig(GOOD.replace(good, bad), null))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("kubeconfig " + directory.resolve("kubeconfig") + ": "
                        + message.replace("DIR", directory.toString()));
    }

    @Test
    void kubeconfig_truncatedCertificate() {
        String data = Base64.getEncoder().encodeToString(CERTIFICATE.getBytes(StandardCharsets.UTF_8));

        assertThatThrownBy(() -> kubeconfig(
                        GOOD.replace(
                                "cluster:\n    server",
                                "cluster:\n    certificate-authority-data: " + data + "\n    server"),
                        null))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessageEndingWith("certificate-authority-data holds no certificate; write one in PEM");
    }

    @Test
    void kubeconfig_missing_orADirectory_orNoYaml() {
        Path missing = directory.resolve("missing");
        assertThatThrownBy(() -> ApiServerAccess.of(new SourceOptions("n", missing, null), Map.of(), directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("kubeconfig " + missing + " is not there; name a file");
        assertThatThrownBy(() -> ApiServerAccess.of(new SourceOptions("n", directory, null), Map.of(), directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("kubeconfig " + directory + " is no file; name a file");
        assertThatThrownBy(() -> kubeconfig("a: [1", null))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessageMatching("kubeconfig .*/kubeconfig cannot be parsed: .*; write a Config of apiVersion v1")
                .hasMessageNotContaining("\n");
        assertThatThrownBy(() -> kubeconfig("", null))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessageMatching("kubeconfig .*/kubeconfig cannot be parsed.*; write a Config of apiVersion v1");
        assertThatThrownBy(() -> kubeconfig("just a word", null))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessageMatching("kubeconfig .*/kubeconfig cannot be parsed.*; write a Config of apiVersion v1");
    }

    @Test
    void pod_good() throws IOException {
        Files.writeString(directory.resolve("token"), "mine");
        Files.copy(certificate(), directory.resolve("ca.crt"));
        Config config = ApiServerAccess.of(
                new SourceOptions("node-1", null, null),
                Map.of("KUBERNETES_SERVICE_HOST", "fd00::1", "KUBERNETES_SERVICE_PORT", "6443"),
                directory);

        assertThat(config.getMasterUrl()).isEqualTo("https://[fd00::1]:6443/");
        assertThat(config.getOauthTokenProvider().getToken()).isEqualTo("mine");
        assertThat(config.getCaCertFile()).isEqualTo(directory.resolve("ca.crt").toString());
    }

    /** One of the JDK's own authorities. */
    private Path certificate() throws IOException {
        Path file = directory.resolve("jdk.pem");
        Files.writeString(file, JdkCertificate.pem());
        return file;
    }

    @Test
    void pod_bad() throws IOException {
        SourceOptions options = new SourceOptions("node-1", null, null);
        assertThatThrownBy(() -> ApiServerAccess.of(options, Map.of(), directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("no kubeconfig is given, and KUBERNETES_SERVICE_HOST is not set as in a pod;"
                        + " name a kubeconfig with --kubeconfig");
        Map<String, String> environment = Map.of("KUBERNETES_SERVICE_HOST", "192.0.2.1");
        assertThatThrownBy(() -> ApiServerAccess.of(options, environment, directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("service account token " + directory.resolve("token") + " is not there; name a file");
        Files.writeString(directory.resolve("token"), "mine");
        assertThatThrownBy(() -> ApiServerAccess.of(options, environment, directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage(
                        "service account CA certificate " + directory.resolve("ca.crt") + " is not there; name a file");
    }

    @Test
    void master_alone_needsNoCredentials() {
        Config config =
                ApiServerAccess.of(new SourceOptions("node-1", null, "http://localhost:8080"), Map.of(), directory);

        assertThat(config.getMasterUrl()).isEqualTo("http://localhost:8080/");
        assertThatThrownBy(
                        () -> ApiServerAccess.of(new SourceOptions("node-1", null, "localhost"), Map.of(), directory))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("--master is no API server's URL: \"localhost\"; write https://HOST:PORT");
    }

    @ParameterizedTest
    @CsvSource({"file:", "file", "kube", "''", "files:/etc"})
    void sources_unknownSpec(String spec) {
        assertThatThrownBy(() -> Sources.of(spec, new SourceOptions("node-1", null, null)))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessage("source \"" + spec + "\" is unknown; write kubernetes or file:DIR");
    }

    @Test
    void sources_kubernetesThatCanNeverWork() {
        Path missing = directory.resolve("missing");
        assertThatThrownBy(() -> Sources.of("kubernetes", new SourceOptions("node-1", missing, null)))
                .isInstanceOf(SourceConfigurationException.class);
    }

    @Test
    void client_keyThatIsNone_isRefused() throws IOException {
        Files.writeString(directory.resolve("me.key"), "nonsense");
        Config config = kubeconfig(
                GOOD.replace("token: secret", "client-key: me.key\n    client-certificate: " + certificate()), null);

        assertThatThrownBy(() -> new KubernetesSource(config, "node-1"))
                .isInstanceOf(SourceConfigurationException.class)
                .hasMessageStartingWith("no client for API server https://192.0.2.1:6443: ")
                .hasMessageEndingWith("; check the certificates and keys of its configuration");
    }

    @ParameterizedTest
    @CsvSource({
        "10.96.0.1, 443, KUBERNETES_PORT_443_TCP_ADDR, 10.96.0.1, true",
        "192.168.7.1, 6443, KUBERNETES_PORT_443_TCP_ADDR, 10.96.0.1, false",
        "192.168.7.1, 443, KUBERNETES_PORT_443_TCP_ADDR, 10.96.0.1, false",
        "192.168.7.1, 443, OTHER, 192.168.7.1, false",
    })
    void isByService_ifTheAddressIsTheKubeletsOwnWord(
            String host, String port, String variable, String address, boolean byService) {
        Map<String, String> environment =
                Map.of("KUBERNETES_SERVICE_HOST", host, "KUBERNETES_SERVICE_PORT", port, variable, address);
        assertThat(ApiServerAccess.isByService(new SourceOptions("n", null, null), environment))
                .isEqualTo(byService);
        assertThat(ApiServerAccess.isByService(new SourceOptions("n", null, "https://192.0.2.1"), environment))
                .isFalse();
    }
}
