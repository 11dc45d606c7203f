package io.shunt;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher in C, and that its AOT cache is really used: a cache that does not fit is left out without a word. */
@Tag("process")
class LauncherTest {

    /** With this the JVM refuses to start when it cannot use the cache it was given. */
    private static final String CACHE_OR_NOTHING = "-XX:AOTMode=on";

    /** One line a class, with where it was loaded from. */
    private static final String LOG_CLASSES = "-Xlog:class+load=info:stdout";

    private static final Path BUILT = Path.of(System.getProperty("shunt.home", "target/shunt"));

    @TempDir
    private Path home;

    /** A layout beside the built one: the same files by links, but for the launcher and the cache, which are copies. */
    @BeforeEach
    void layOut() throws IOException {
        assertThat(BUILT.resolve("shunt.aot"))
                .as("run 'make build' before this test")
                .isRegularFile();
        Files.createDirectory(home.resolve("bin"));
        Files.copy(BUILT.resolve("bin/shunt"), home.resolve("bin/shunt"), StandardCopyOption.COPY_ATTRIBUTES);
        Files.copy(BUILT.resolve("shunt.aot"), home.resolve("shunt.aot"));
        Files.createSymbolicLink(
                home.resolve("runtime"), BUILT.resolve("runtime").toRealPath());
        Path lib = Files.createDirectory(home.resolve("lib"));
        try (Stream<Path> jars = Files.list(BUILT.resolve("lib"))) {
            for (Path jar : jars.toList()) {
                Files.createSymbolicLink(lib.resolve(jar.getFileName()), jar.toRealPath());
            }
        }
    }

    /** JUnit clears away what is left, but warns of each link that leads out. */
    @AfterEach
    void removeLinks() throws IOException {
        try (Stream<Path> files = Files.walk(home)) {
            for (Path link : files.filter(Files::isSymbolicLink).toList()) {
                Files.delete(link);
            }
        }
    }

    @Test
    void theBuiltCache_isUsed() throws Exception {
        Outcome outcome = shunt(BUILT.resolve("bin/shunt"), CACHE_OR_NOTHING + " " + LOG_CLASSES, "--help");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
        assertThat(sourceOfMainClass(outcome)).isEqualTo("shared objects file");
    }

    @Test
    void aCopiedLayout_usesItsCache() throws Exception {
        Outcome outcome = shunt(home.resolve("bin/shunt"), CACHE_OR_NOTHING + " " + LOG_CLASSES, "--help");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
        assertThat(sourceOfMainClass(outcome)).isEqualTo("shared objects file");
    }

    @Test
    void aMissingCache_isSeenByWhereClassesComeFrom() throws Exception {
        Files.delete(home.resolve("shunt.aot"));

        Outcome outcome = shunt(home.resolve("bin/shunt"), LOG_CLASSES, "--help");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
        assertThat(sourceOfMainClass(outcome)).startsWith("file:").endsWith("shunt.jar");
    }

    @Test
    void aTruncatedCache_isRefusedWhenItMustBeUsed_andLeftOutOtherwise() throws Exception {
        Path cache = home.resolve("shunt.aot");
        try (FileChannel channel = FileChannel.open(cache, StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() / 2);
        }

        assertThat(shunt(home.resolve("bin/shunt"), CACHE_OR_NOTHING, "--help").exitCode())
                .isNotZero();
        assertThat(shunt(home.resolve("bin/shunt"), "", "--help").exitCode()).isZero();
    }

    @Test
    void aCacheMadeForAnotherJar_isRefusedWhenItMustBeUsed() throws Exception {
        Path jar = home.resolve("lib/shunt.jar");
        Files.copy(jar, home.resolve("newer.jar"));
        Files.move(home.resolve("newer.jar"), jar, StandardCopyOption.REPLACE_EXISTING);
        Files.setLastModifiedTime(jar, FileTime.fromMillis(0));

        assertThat(shunt(home.resolve("bin/shunt"), CACHE_OR_NOTHING, "--help").exitCode())
                .isNotZero();
    }

    @Test
    void aCacheMadeWithOtherFlags_isRefusedWhenItMustBeUsed() throws Exception {
        String options = CACHE_OR_NOTHING + " -XX:-UseCompactObjectHeaders";

        assertThat(shunt(home.resolve("bin/shunt"), options, "--help").exitCode())
                .isNotZero();
    }

    @Test
    void aLinkToTheLauncher_findsTheLayout() throws Exception {
        Path link = Files.createSymbolicLink(home.resolve("shunt"), home.resolve("bin/shunt"));

        Outcome outcome = shunt(link, "", "--help");

        assertThat(outcome.exitCode()).as(outcome.output()).isZero();
        assertThat(outcome.output()).startsWith("Usage: shunt");
    }

    @Test
    void calledKubeProxy_itTakesKubeProxysFlags() throws Exception {
        Path link = Files.createSymbolicLink(home.resolve("kube-proxy"), home.resolve("bin/shunt"));

        Outcome outcome = shunt(link, "", "--proxy-mode=userspace");

        assertThat(outcome.exitCode()).isEqualTo(2);
        assertThat(outcome.output())
                .isEqualTo("shunt run: --proxy-mode must be iptables, ipvs or nftables, not \"userspace\"\n");
    }

    @Test
    void aWrongCommand_keepsItsExitCode() throws Exception {
        assertThat(shunt(BUILT.resolve("bin/shunt"), "", "no-such-command").exitCode())
                .isEqualTo(2);
    }

    @Test
    void aMissingRuntime_isNamedWithItsCure() throws Exception {
        Files.delete(home.resolve("runtime"));

        Outcome outcome = shunt(home.resolve("bin/shunt"), "", "--help");

        assertThat(outcome.exitCode()).isEqualTo(127);
        assertThat(outcome.output())
                .contains(home.toRealPath() + "/runtime/bin/java: No such file or directory")
                .contains("make build");
    }

    private record Outcome(int exitCode, String output) {}

    private static Outcome shunt(Path launcher, String javaOptions, String... args) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(
                Stream.concat(Stream.of(launcher.toString()), Stream.of(args)).toList());
        builder.environment().put("SHUNT_JAVA_OPTS", javaOptions);
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        return new Outcome(process.waitFor(), output);
    }

    private static String sourceOfMainClass(Outcome outcome) {
        List<String> sources = outcome.output()
                .lines()
                .filter(line -> line.contains("io.shunt.Shunt source: "))
                .map(line -> line.substring(line.indexOf("source: ") + "source: ".length()))
                .toList();
        assertThat(sources).as("loads of io.shunt.Shunt").hasSize(1);
        return sources.getFirst();
    }
}
