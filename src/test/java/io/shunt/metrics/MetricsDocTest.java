package io.shunt.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class MetricsDocTest {
    private static final Path DOC = Path.of("docs/metrics.md");

    @Test
    void everyMetric_isDocumentedAsItIs() throws IOException {
        String text = MetricsDoc.of(KubeProxyMetricsTest.scrape());
        if (Boolean.getBoolean("shunt.docs.write")) {
            Files.writeString(DOC, text);
        }
        assertThat(DOC).as("docs/metrics.md; `make docs` writes it anew").hasContent(text);
    }
}
