package io.shunt.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ConfigurationDocTest {
    private static final Path PAGE = Path.of("docs/configuration.md");

    @Test
    void page_isWhatTheCommandsSay() throws IOException {
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        CommandTree commands = new CommandTree(Map.of(), options -> 0, nowhere, nowhere);
        String wanted = ConfigurationDoc.of(commands.model());

        if (Boolean.getBoolean("shunt.docs.write")) {
            Files.createDirectories(PAGE.getParent());
            Files.writeString(PAGE, wanted);
        }

        assertThat(PAGE)
                .as("run `make docs` (mvn test -Dtest=ConfigurationDocTest -Dshunt.docs.write=true)")
                .hasContent(wanted);
    }
}
