package io.shunt.datapath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.shunt.testbed.Pins;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("kernel")
class BpfRootTest {
    private final Pins pins = Pins.create("root");

    @AfterEach
    void unpin() {
        pins.close();
    }

    @Test
    void open_makesTheDirectories_alsoDeepOnes() throws IOException {
        Path deep = pins.path().resolve("a/b");
        try (BpfRoot root = BpfRoot.open(deep)) {
            assertThat(root.path()).isEqualTo(deep);
            assertThat(root.maps()).isEmpty();
            assertThat(root.links()).isEmpty();
            assertThat(root.map("m")).isEqualTo(deep.resolve("maps/m"));
        }
    }

    @Test
    void open_whileAnotherHoldsIt_namesTheProcess() {
        try (BpfRoot first = BpfRoot.open(pins.path())) {
            assertThatExceptionOfType(InstallationException.class)
                    .isThrownBy(() -> BpfRoot.open(first.path()))
                    .withMessage("--bpf-root " + pins.path() + " is in use by another shunt daemon (process "
                            + ProcessHandle.current().pid()
                            + "): stop that one, or choose another --bpf-root and --cgroup-root");
            assertThatExceptionOfType(InstallationException.class).isThrownBy(() -> BpfRoot.openExisting(first.path()));
        }
        BpfRoot.open(pins.path()).close();
    }

    @Test
    void open_inAnotherFileSystem_namesTheCure(@TempDir Path elsewhere) {
        assertThatExceptionOfType(InstallationException.class)
                .isThrownBy(() -> BpfRoot.open(elsewhere.resolve("x")))
                .withMessageContaining("is not in a bpffs: mount one there (mount -t bpf bpf DIR)");
        assertThat(elsewhere).isEmptyDirectory();
    }

    @Test
    void openExisting_findsOnlyWhatADaemonMade() {
        assertThat(BpfRoot.openExisting(pins.path())).isEmpty();
        BpfRoot.open(pins.path()).close();
        BpfRoot.openExisting(pins.path()).orElseThrow().close();
    }

    @Test
    void layout_isKept() throws IOException {
        try (BpfRoot root = BpfRoot.open(pins.path())) {
            assertThat(root.layout()).isEmpty();
            root.setLayout("first");
            root.setLayout("second");
            assertThat(root.layout()).isEqualTo("second");
        }
        try (BpfRoot root = BpfRoot.open(pins.path())) {
            assertThat(root.layout()).isEqualTo("second");
            root.delete();
        }
        assertThat(pins.path()).doesNotExist();
    }
}
