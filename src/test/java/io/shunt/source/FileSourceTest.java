package io.shunt.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.shunt.cluster.Change;
import io.shunt.source.Problem.Cause;
import io.shunt.source.SourceCounters.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.awaitility.core.ThrowingRunnable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileSourceTest {
    @TempDir
    Path temp;

    private Path directory;
    private Source source;
    private final Told told = new Told();

    @BeforeEach
    void makeSource() throws IOException {
        directory = Files.createDirectory(temp.resolve("manifests"));
        source = Sources.of("file:" + directory, new SourceOptions("node-1", null, null));
    }

    @AfterEach
    void closeSource() {
        source.close();
        assertThat(told.overlapped()).isFalse();
    }

    private static void eventually(ThrowingRunnable assertion) {
        await().pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(5)).untilAsserted(assertion);
    }

    private void write(String name, String text) throws IOException {
        Files.writeString(directory.resolve(name), text);
    }

    private void startAndList() {
        source.start(told);
        eventually(() -> assertThat(told.complete()).isOne());
    }

    private List<String> problems() {
        return source.status().problems().stream().map(Problem::toString).toList();
    }

    @Test
    void start_tellsAllThenListedOnce() throws IOException {
        write("a.yaml", Yaml.service("a", "10.96.0.1", 80));
        write("b.yml", Yaml.service("b", "10.96.0.2", 80));
        write("c.json", """
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"},
                 "spec": {"clusterIP": "10.96.0.3", "ports": [{"port": 80}]}}
                """);
        write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-1}}");
        write("slice.yaml", Yaml.slice("a", "10.0.0.1"));
        write(".hidden.yaml", "nonsense");
        write("a.yaml~", "nonsense");
        write("README.md", "nonsense");
        Files.createDirectory(directory.resolve("deeper.yaml"));

        startAndList();

        assertThat(told.changes()).hasSize(7).endsWith(new Change.Listed(), new Change.Complete());
        assertThat(told.services())
                .containsExactly("default/a=10.96.0.1:80", "default/b=10.96.0.2:80", "default/c=10.96.0.3:80");
        assertThat(told.slices()).containsExactly("default/a-1=[10.0.0.1]");
        assertThat(Objects.requireNonNull(told.node()).name()).isEqualTo("node-1");
        SourceStatus status = source.status();
        assertThat(status.kind()).isEqualTo("file");
        assertThat(status.description()).isEqualTo(directory.toString());
        assertThat(status.listed()).isTrue();
        assertThat(status.lastEvent()).isBetween(Instant.now().minusSeconds(60), Instant.now());
        assertThat(status.services()).isEqualTo(3);
        assertThat(status.endpointSlices()).isEqualTo(1);
        assertThat(status.problems()).isEmpty();
        assertThat(source.counters().sets(Kind.SERVICE)).isEqualTo(3);
        assertThat(source.counters().sets(Kind.ENDPOINT_SLICE)).isEqualTo(1);
        assertThat(source.counters().sets(Kind.NODE)).isEqualTo(1);
    }

    @Test
    void emptyDirectory_isListed() {
        startAndList();

        assertThat(told.changes()).containsExactly(new Change.Listed(), new Change.Complete());
    }

    @Test
    void start_twice_isRefused() {
        source.start(told);

        assertThatThrownBy(() -> source.start(told)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void change_tellsOnlyWhatDiffers() throws IOException {
        String b = Yaml.service("b", "10.96.0.2", 80);
        write("web.yaml", Yaml.service("a", "10.96.0.1", 80) + "---\n" + b);
        startAndList();
        int before = told.changes().size();

        write("web.yaml", b + "---\n" + Yaml.service("c", "10.96.0.3", 80) + "# a is gone, b as it was\n");

        eventually(
                () -> assertThat(told.services()).containsExactly("default/b=10.96.0.2:80", "default/c=10.96.0.3:80"));
        assertThat(told.changes()).hasSize(before + 2);
        assertThat(source.counters().deletes(Kind.SERVICE)).isEqualTo(1);
    }

    @Test
    void newFile_isSeen_andRemovedFileTakesItsObjects() throws IOException {
        write("a.yaml", Yaml.service("a", "10.96.0.1", 80));
        startAndList();

        write("b.yaml", Yaml.service("b", "10.96.0.2", 80) + "---\n" + Yaml.slice("b", "10.0.0.1"));
        eventually(() -> assertThat(told.slices()).containsExactly("default/b-1=[10.0.0.1]"));

        Files.delete(directory.resolve("a.yaml"));
        eventually(() -> assertThat(told.services()).containsExactly("default/b=10.96.0.2:80"));
        Files.delete(directory.resolve("b.yaml"));
        eventually(() -> assertThat(told.slices()).isEmpty());
        assertThat(told.services()).isEmpty();
        assertThat(told.listed()).isOne();
    }

    @Test
    void renamedIntoPlace() throws IOException {
        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));
        startAndList();

        write(".web.yaml.new", Yaml.service("web", "10.96.0.1", 81));
        Files.move(directory.resolve(".web.yaml.new"), directory.resolve("web.yaml"), StandardCopyOption.ATOMIC_MOVE);

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        assertThat(source.counters().deletes(Kind.SERVICE)).isZero();
    }

    @Test
    void sameSizeAndOldTime_isStillAnotherFile() throws IOException {
        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));
        FileTime time = FileTime.from(Instant.parse("2026-01-01T00:00:00Z"));
        Files.setLastModifiedTime(directory.resolve("web.yaml"), time);
        startAndList();

        Path other = temp.resolve("other.yaml");
        Files.writeString(other, Yaml.service("web", "10.96.0.1", 81));
        Files.setLastModifiedTime(other, time);
        Files.move(other, directory.resolve("web.yaml"), StandardCopyOption.ATOMIC_MOVE);

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
    }

    /** As vim saves: the old file moves away, then the new one is written. */
    @Test
    void movedAwayAndWrittenAnew_isNeverGone() throws IOException {
        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));
        startAndList();

        int port = 80;
        long deletes;
        long nanos;
        do {
            deletes = source.counters().deletes(Kind.SERVICE);
            long before = System.nanoTime();
            Files.move(
                    directory.resolve("web.yaml"), directory.resolve("web.yaml~"), StandardCopyOption.REPLACE_EXISTING);
            write("web.yaml", Yaml.service("web", "10.96.0.1", ++port));
            nanos = System.nanoTime() - before;
            String expected = "default/web=10.96.0.1:" + port;
            eventually(() -> assertThat(told.services()).containsExactly(expected));
            // Who was kept from writing for so long has to do it again.
        } while (nanos >= FileSource.STILL.toNanos());
        assertThat(source.counters().deletes(Kind.SERVICE)).isEqualTo(deletes);
    }

    @Test
    void fileThatIsBeingWritten_isNotApplied() throws Exception {
        write("web.yaml", Yaml.slice("web", "10.0.0.1"));
        startAndList();
        String whole = Yaml.slice(
                "web",
                IntStream.rangeClosed(1, 100).mapToObj(i -> "10.0.1." + i).toArray(String[]::new));
        List<String> lines = whole.lines().toList();
        AtomicInteger next = new AtomicInteger();
        AtomicLong last = new AtomicLong(System.nanoTime());
        AtomicLong longestPause = new AtomicLong();
        write("web.yaml", "");

        try (ScheduledExecutorService writer = Executors.newSingleThreadScheduledExecutor()) {
            var writing = writer.scheduleAtFixedRate(
                    () -> {
                        String line = lines.get(next.getAndIncrement()) + "\n";
                        long now = System.nanoTime();
                        try {
                            Files.writeString(directory.resolve("web.yaml"), line, StandardOpenOption.APPEND);
                        } catch (IOException e) {
                            throw new IllegalStateException(e);
                        }
                        longestPause.accumulateAndGet(System.nanoTime() - last.getAndSet(now), Math::max);
                    },
                    0,
                    5,
                    TimeUnit.MILLISECONDS);
            eventually(() -> assertThat(writing.isDone()).isTrue());
        }

        eventually(() -> assertThat(told.slices().getFirst()).endsWith("10.0.1.100]"));
        long partial = told.changes().stream()
                .filter(change -> change instanceof Change.SliceChange slice
                        && (slice.slice() == null || slice.slice().endpoints().size() % 99 != 1))
                .count();
        if (longestPause.get() < FileSource.STILL.toNanos()) {
            assertThat(partial).isZero();
        } else {
            assertThat(partial).isLessThan(lines.size());
        }
        assertThat(source.status().problems()).isEmpty();
    }

    @Test
    void brokenFile_keepsAllItLastSaid_untilItIsMended() throws IOException {
        String good = Yaml.service("a", "10.96.0.1", 80) + "---\n" + Yaml.slice("a", "10.0.0.1");
        write("web.yaml", good);
        write("other.yaml", Yaml.service("b", "10.96.0.2", 80));
        startAndList();

        write("web.yaml", Yaml.service("a", "10.96.0.9", 80) + "---\n" + Yaml.service("c", "10.96.0.3", 0));
        eventually(() -> assertThat(problems())
                .containsExactly("Service default/c (web.yaml:19): spec.ports[0].port: 0 is no port;"
                        + " write a port from 1 to 65535"));
        write("web.yaml", good + "}");
        eventually(() -> assertThat(problems()).singleElement().asString().startsWith("web.yaml (web.yaml:2"));
        write("web.yaml", "");
        eventually(() -> assertThat(problems()).singleElement().asString().contains("says nothing"));

        assertThat(told.services()).containsExactly("default/a=10.96.0.1:80", "default/b=10.96.0.2:80");
        assertThat(told.slices()).containsExactly("default/a-1=[10.0.0.1]");
        assertThat(source.counters().errors(Cause.INVALID)).isEqualTo(1);
        assertThat(source.counters().errors(Cause.SYNTAX)).isEqualTo(2);

        write("other.yaml", Yaml.service("b", "10.96.0.2", 81));
        eventually(() -> assertThat(told.services()).contains("default/b=10.96.0.2:81"));

        write("web.yaml", Yaml.service("a", "10.96.0.9", 80));
        eventually(() -> assertThat(told.services()).contains("default/a=10.96.0.9:80"));
        eventually(() -> assertThat(told.slices()).isEmpty());
        eventually(() -> assertThat(problems()).isEmpty());
    }

    @Test
    void brokenFileThatIsRemoved_takesItsObjectsAndItsProblem() throws IOException {
        write("web.yaml", Yaml.service("a", "10.96.0.1", 80));
        startAndList();
        write("web.yaml", "nonsense");
        eventually(() -> assertThat(problems()).hasSize(1));

        Files.delete(directory.resolve("web.yaml"));

        eventually(() -> assertThat(told.services()).isEmpty());
        assertThat(problems()).isEmpty();
    }

    @Test
    void fileThatIsBrokenFromTheStart_holdsBackComplete() throws IOException {
        write("bad.yaml", Yaml.service("a", "10.96.0.1", 0));
        write("good.yaml", Yaml.service("b", "10.96.0.2", 80));
        source.start(told);
        eventually(() -> assertThat(told.listed()).isOne());
        assertThat(problems()).hasSize(1);
        assertThat(told.services()).containsExactly("default/b=10.96.0.2:80");
        assertThat(told.complete()).isZero();

        write("bad.yaml", Yaml.service("a", "10.96.0.1", 80));

        eventually(() -> assertThat(told.complete()).isOne());
        assertThat(told.services()).containsExactly("default/a=10.96.0.1:80", "default/b=10.96.0.2:80");
        assertThat(told.listed()).isOne();
    }

    @Test
    void sameObjectInTwoFiles_firstNameWins_andTheOtherTakesOver() throws IOException {
        write("b.yaml", Yaml.service("web", "10.96.0.2", 80));
        startAndList();
        assertThat(told.services()).containsExactly("default/web=10.96.0.2:80");

        write("a.yaml", Yaml.service("web", "10.96.0.1", 80));
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:80"));
        eventually(() -> assertThat(problems())
                .containsExactly("Service default/web (b.yaml): metadata.name: is in a.yaml too, and that is used;"
                        + " remove one"));
        assertThat(source.counters().errors(Cause.DUPLICATE)).isEqualTo(1);

        Files.delete(directory.resolve("a.yaml"));
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.2:80"));
        eventually(() -> assertThat(problems()).isEmpty());
        assertThat(source.counters().deletes(Kind.SERVICE)).isZero();
    }

    @Test
    void objectMovesToAnotherFile() throws IOException {
        write("a.yaml", Yaml.service("web", "10.96.0.1", 80));
        startAndList();

        Files.move(directory.resolve("a.yaml"), directory.resolve("z.yaml"));
        write("new.yaml", Yaml.service("new", "10.96.0.3", 80));

        eventually(() ->
                assertThat(told.services()).containsExactly("default/new=10.96.0.3:80", "default/web=10.96.0.1:80"));
        Files.delete(directory.resolve("z.yaml"));
        eventually(() -> assertThat(told.services()).containsExactly("default/new=10.96.0.3:80"));
    }

    /** As the kubelet mounts a ConfigMap: the files are links through ..data, which is swapped. */
    @Test
    void configMap_linkSwap() throws IOException {
        Path first = Files.createDirectory(directory.resolve("..2026_01"));
        Path second = Files.createDirectory(directory.resolve("..2026_02"));
        Files.writeString(first.resolve("web.yaml"), Yaml.service("web", "10.96.0.1", 80));
        Files.writeString(second.resolve("web.yaml"), Yaml.service("web", "10.96.0.1", 81));
        Files.createSymbolicLink(directory.resolve("..data"), Path.of("..2026_01"));
        Files.createSymbolicLink(directory.resolve("web.yaml"), Path.of("..data/web.yaml"));
        startAndList();
        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");

        Files.createSymbolicLink(directory.resolve("..data_tmp"), Path.of("..2026_02"));
        Files.move(directory.resolve("..data_tmp"), directory.resolve("..data"), StandardCopyOption.ATOMIC_MOVE);

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        assertThat(source.counters().deletes(Kind.SERVICE)).isZero();
    }

    @Test
    void changeBehindALink_isFoundByScan() throws IOException {
        Path target = temp.resolve("elsewhere.yaml");
        Files.writeString(target, Yaml.service("web", "10.96.0.1", 80));
        Files.createSymbolicLink(directory.resolve("web.yaml"), target);
        startAndList();

        Files.writeString(target, Yaml.service("web", "10.96.0.1", 81));

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
    }

    @Test
    void directoryThatIsNotThere_isWaitedFor() throws IOException {
        Files.delete(directory);
        source.start(told);
        eventually(() -> assertThat(problems())
                .containsExactly(directory + ": is not there; create it; until then what was told stays"));
        assertThat(source.status().listed()).isFalse();
        assertThat(source.counters().errors(Cause.UNREADABLE)).isPositive();

        Files.createDirectory(directory);
        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));

        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:80"));
        eventually(() -> assertThat(problems()).isEmpty());
    }

    @Test
    void directoryThatIsAFile() throws IOException {
        Files.delete(directory);
        Files.writeString(directory, "a file");
        source.start(told);

        eventually(() ->
                assertThat(problems()).containsExactly(directory + ": is no directory; name a directory of manifests"));
    }

    @Test
    void directoryThatVanishes_keepsWhatWasTold_andItsSuccessorIsFollowed() throws IOException {
        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));
        startAndList();

        // At once, or it would be a directory without the file for a moment.
        Path gone = Files.move(directory, temp.resolve("gone"), StandardCopyOption.ATOMIC_MOVE);
        Files.delete(gone.resolve("web.yaml"));
        Files.delete(gone);
        eventually(() -> assertThat(problems()).hasSize(1));
        assertThat(told.services()).containsExactly("default/web=10.96.0.1:80");

        Path successor = Files.createDirectory(temp.resolve("successor"));
        Files.writeString(successor.resolve("web.yaml"), Yaml.service("web", "10.96.0.1", 81));
        Files.move(successor, directory, StandardCopyOption.ATOMIC_MOVE);
        eventually(() -> assertThat(told.services()).containsExactly("default/web=10.96.0.1:81"));
        eventually(() -> assertThat(problems()).isEmpty());

        write("new.yaml", Yaml.service("new", "10.96.0.2", 80));
        eventually(() -> assertThat(told.services()).hasSize(2));
        assertThat(source.counters().deletes(Kind.SERVICE)).isZero();
    }

    @Test
    void node_comesChangesAndGoes() throws IOException {
        startAndList();
        write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {a: b}}}");
        eventually(() -> assertThat(told.node()).isNotNull());

        write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-2, labels: {a: b}}}");
        eventually(() -> assertThat(told.node()).isNull());
        assertThat(source.counters().deletes(Kind.NODE)).isEqualTo(1);
    }

    @Test
    void close_endsTelling_andMayBeCalledAgain() throws IOException {
        startAndList();
        source.close();
        source.close();
        int before = told.changes().size();

        write("web.yaml", Yaml.service("web", "10.96.0.1", 80));
        Source next = Sources.of("file:" + directory, new SourceOptions("node-1", null, null));
        Told toldByNext = new Told();
        try (next) {
            next.start(toldByNext);
            eventually(() -> assertThat(toldByNext.services()).hasSize(1));
        }

        assertThat(told.changes()).hasSize(before);
    }
}
