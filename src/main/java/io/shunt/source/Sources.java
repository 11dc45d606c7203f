package io.shunt.source;

import java.nio.file.Path;

/** Makes sources of their description on the command line. */
public final class Sources {
    private static final String FILE = "file:";

    private Sources() {}

    /**
     * The source that {@code spec} describes: {@code kubernetes}, or {@code file:DIR} for the manifests in a directory.
     * It is not started, and what it needs may still be missing.
     *
     * @throws SourceConfigurationException if {@code spec} describes none, or it can never work as configured
     */
    public static Source of(String spec, SourceOptions options) {
        if (spec.equals("kubernetes")) {
            return new KubernetesSource(
                    ApiServerAccess.of(options, System.getenv(), ApiServerAccess.POD_SECRETS),
                    options.nodeName(),
                    ApiServerAccess.isByService(options, System.getenv()));
        }
        if (spec.startsWith(FILE) && spec.length() > FILE.length()) {
            return new FileSource(
                    Path.of(spec.substring(FILE.length())).toAbsolutePath().normalize(), options.nodeName());
        }
        throw new SourceConfigurationException(
                "source " + '"' + spec + '"' + " is unknown; write kubernetes or file:DIR");
    }
}
