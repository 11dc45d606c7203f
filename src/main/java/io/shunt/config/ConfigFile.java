package io.shunt.config;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A file with a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), in YAML or JSON, as it was read.
 *
 * @param unknown the fields that kube-proxy 1.36 does not know, and what else was passed over
 */
public record ConfigFile(Path path, KubeProxyConfiguration says, List<String> unknown) {
    /**
     * Reads a file.
     *
     * @throws ConfigurationException if it cannot be read, or says something wrong
     */
    public static ConfigFile read(Path path) {
        return of(path, content(path));
    }

    static ConfigFile of(Path path, byte[] content) {
        String text;
        try {
            text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(content))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new ConfigurationException("--config " + path + " is no text in UTF-8: write YAML or JSON", e);
        }
        return new ConfigFileReader(path, text).read();
    }

    static byte[] content(Path path) {
        IOException failure = null;
        if (Files.isRegularFile(path)) {
            try {
                return Files.readAllBytes(path);
            } catch (IOException e) {
                failure = e;
            }
        }
        throw new ConfigurationException("--config " + path + " is not a file that can be read: give one", failure);
    }
}
