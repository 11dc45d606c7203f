package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** In a VM of its own, since a process looks for the library once. */
class LibraryMissingTest {
    @Test
    void everyFirstAndLaterCall_saysWhatToInstall() throws IOException {
        assertThat(callsWith("libnothing.so.9"))
                .hasSize(7)
                .containsOnly("LibraryMissingException: libnothing.so.9 was not found: install libbpf 1.0 or newer"
                        + " (Debian: apt install libbpf1)");
    }

    @Test
    void aLibraryWithoutTheFunctions_isNamedWithTheFunction() throws IOException {
        assertThat(callsWith("libc.so.6"))
                .hasSize(7)
                .startsWith("LibraryMissingException: libc.so.6 has no bpf_map_create: install libbpf 1.0 or newer");
    }

    private static List<String> callsWith(String library) throws IOException {
        return TestObject.run(
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED",
                "-Dshunt.libbpf=" + library,
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Calls.class.getName());
    }

    /** Prints what comes of each way into the library. */
    static final class Calls {
        private Calls() {}

        public static void main(String[] arguments) {
            Stream.<Supplier<Object>>of(
                            () -> BpfMap.create("map", MapType.HASH, 4, 4, 1, 0),
                            () -> BpfMap.create("map", MapType.HASH, 4, 4, 1, 0),
                            () -> BpfMap.openPinned(Path.of("/sys/fs/bpf/map")),
                            () -> BpfObject.open("object", new byte[100]),
                            () -> BpfObject.open("object", new byte[100]),
                            () -> Btf.fromKernel(1),
                            Cpus::possible)
                    .forEach(LibraryMissingTest.Calls::print);
        }

        private static void print(Supplier<Object> call) {
            try {
                System.out.println(call.get());
            } catch (RuntimeException e) {
                System.out.println(e.getClass().getSimpleName() + ": " + e.getMessage());
            }
        }
    }
}
