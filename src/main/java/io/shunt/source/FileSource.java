package io.shunt.source;

import io.shunt.cluster.ChangeSink;
import io.shunt.cluster.Node;
import io.shunt.cluster.ObjectName;
import io.shunt.source.Problem.Cause;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Manifests in a directory, {@code *.yaml}, {@code *.yml} and {@code *.json}, no deeper; names that start with a dot
 * are left alone. One thread of its own does all of it.
 *
 * <p>A file that is being written is not yet a file: half a manifest is often a valid one. So what a file says counts
 * from when its size and time have been still for {@link #STILL}, and a file is gone when it has been missing for as
 * long, since editors move a file away before they write its successor. A file says all it says or, if any of it is
 * wrong, what it said before. inotify tells when to look; a slow scan finds what inotify does not tell, as changes
 * behind symbolic links.
 *
 * <p>{@code Complete} waits until every file has been read well once. A file that is broken from the start may name
 * objects that an earlier process programmed, which must not be taken away for that.
 */
final class FileSource implements Source {
    static final Duration STILL = Duration.ofMillis(50);

    private static final Logger LOG = LoggerFactory.getLogger(FileSource.class);
    private static final Duration SCAN_PERIOD = Duration.ofSeconds(1);
    /** One part in so many is the most of the time that scans of a large directory take. */
    private static final int SCAN_SHARE = 20;

    private final Path directory;
    private final ManifestReader reader;
    private final SourceCounters counters = new SourceCounters();
    private final Problems problems = new Problems(counters);
    private final Ledger ledger = new Ledger(counters);
    private final Claims<io.shunt.cluster.Service> services = new Claims<>();
    private final Claims<io.shunt.cluster.EndpointSlice> slices = new Claims<>();

    /** The files that are or were there, by name. */
    private final Map<String, KnownFile> files = new TreeMap<>();
    /** What changed and is not yet still. */
    private final Map<String, Unsettled> unsettled = new TreeMap<>();

    private @Nullable DirectoryWatch watch;
    private @Nullable Object watched;
    private boolean scanned;
    private boolean listed;
    private boolean complete;
    private long scanAt = System.nanoTime();
    private @Nullable Thread thread;
    private volatile boolean closed;

    FileSource(Path directory, String nodeName) {
        this.directory = directory;
        this.reader = new ManifestReader(nodeName);
    }

    /** A file as it was last read. */
    private static final class KnownFile {
        /** Null if it has to be read again, whatever its stamp. */
        @Nullable
        FileStamp read;

        /** What it said when it last was right, null if it never was. */
        @Nullable
        Manifests good;
    }

    private record Unsettled(FileStamp stamp, long since) {
        boolean isStill() {
            return stamp.isOlderThan(STILL) || System.nanoTime() - since >= STILL.toNanos();
        }
    }

    private record Duplicate(String kind, ObjectName name) {}

    @Override
    public void start(ChangeSink sink) {
        ledger.open(sink);
        thread = Thread.ofVirtual().name("file-source").start(this::run);
    }

    @Override
    public SourceStatus status() {
        return ledger.status("file", directory.toString(), ledger.lastTold(), problems.now());
    }

    @Override
    public SourceCounters counters() {
        return counters;
    }

    @Override
    public void close() {
        closed = true;
        ledger.close();
        if (thread != null) {
            thread.interrupt();
        }
    }

    private void run() {
        try {
            while (!closed) {
                try {
                    turn();
                } catch (RuntimeException e) {
                    LOG.error("{}: the file source failed and goes on", directory, e);
                    Thread.sleep(SCAN_PERIOD);
                }
            }
        } catch (InterruptedException | ClosedWatchServiceException e) {
            LOG.debug("{}: the file source ends", directory);
        } finally {
            forgetWatch();
        }
    }

    /** Looks, applies what is still, and waits for the next occasion. */
    private void turn() throws InterruptedException {
        if (System.nanoTime() - scanAt >= 0) {
            long start = System.nanoTime();
            scan();
            long end = System.nanoTime();
            scanAt = end + Math.max(SCAN_PERIOD.toNanos(), SCAN_SHARE * (end - start));
        }
        ledger.together(this::applyWhatIsStill);
        if (scanned && unsettled.isEmpty()) {
            becomeListed();
        }
        await(nextOccasion());
    }

    private void becomeListed() {
        if (!listed) {
            listed = true;
            ledger.listed();
            LOG.info("{}: all {} files are read", directory, files.size());
        }
        if (!complete && files.values().stream().allMatch(file -> file.good != null)) {
            complete = true;
            ledger.complete();
        }
    }

    private Duration nextOccasion() {
        long now = System.nanoTime();
        long wait = scanAt - now;
        for (Unsettled file : unsettled.values()) {
            wait = Math.min(wait, file.since + STILL.toNanos() - now);
        }
        return Duration.ofNanos(Math.max(0, wait));
    }

    private void await(Duration timeout) throws InterruptedException {
        if (watch == null) {
            Thread.sleep(timeout.compareTo(STILL) < 0 ? timeout : STILL);
            return;
        }
        DirectoryWatch.Changes changes = watch.await(timeout);
        for (String name : changes.names()) {
            if (isManifest(name)) {
                look(name);
            }
        }
        // A mounted ConfigMap changes by a swap of its link ..data, and its files' names stay as they are.
        if (changes.everything() || changes.names().stream().anyMatch(name -> name.startsWith(".."))) {
            scanAt = System.nanoTime();
        }
    }

    private static boolean isManifest(String name) {
        return !name.startsWith(".") && (name.endsWith(".yaml") || name.endsWith(".yml") || name.endsWith(".json"));
    }

    private void scan() {
        Set<String> names = new HashSet<>(files.keySet());
        names.addAll(unsettled.keySet());
        try {
            watchDirectory();
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
                for (Path entry : entries) {
                    String name = String.valueOf(entry.getFileName());
                    if (isManifest(name)) {
                        names.add(name);
                    }
                }
            }
        } catch (IOException e) {
            scanned = false;
            problems.raise(directory, unreadable(directory.toString(), "", e));
            return;
        }
        problems.mend(directory);
        names.forEach(this::look);
        scanned = true;
    }

    /** Watches the directory that has the name now; another may have taken its place. */
    private void watchDirectory() throws IOException {
        Object key = Files.readAttributes(directory, BasicFileAttributes.class).fileKey();
        if (watch != null && Objects.equals(key, watched)) {
            return;
        }
        forgetWatch();
        if (!Files.isDirectory(directory)) {
            throw new NotDirectoryException(directory.toString());
        }
        try {
            watch = new DirectoryWatch(directory);
            watched = key;
            problems.mend(watchProblem());
        } catch (NoSuchFileException e) {
            throw e;
        } catch (IOException e) {
            problems.raise(
                    watchProblem(),
                    new Problem(
                            Cause.UNREADABLE,
                            directory.toString(),
                            "",
                            "",
                            "cannot be watched (" + e.getMessage() + "), so changes are seen only once a second",
                            "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"));
        }
    }

    private List<Object> watchProblem() {
        return List.of("inotify", directory);
    }

    private void forgetWatch() {
        if (watch != null) {
            try {
                watch.close();
            } catch (IOException e) {
                LOG.debug("{}: closing the watch", directory, e);
            }
            watch = null;
        }
    }

    /** Notes how a file looks now. */
    private void look(String name) {
        FileStamp stamp = FileStamp.of(directory.resolve(name));
        KnownFile file = files.get(name);
        if (file == null ? stamp.isAbsent() : stamp.equals(file.read)) {
            unsettled.remove(name);
            return;
        }
        Unsettled before = unsettled.get(name);
        if (before == null || !before.stamp.equals(stamp)) {
            unsettled.put(name, new Unsettled(stamp, System.nanoTime()));
        }
    }

    private void applyWhatIsStill() {
        for (String name : new ArrayList<>(unsettled.keySet())) {
            look(name);
            Unsettled file = unsettled.get(name);
            if (file != null && file.isStill()) {
                if (!file.stamp.isAbsent()) {
                    read(name, file.stamp);
                } else if (Files.isDirectory(directory)) {
                    remove(name);
                }
            }
        }
    }

    private void remove(String name) {
        unsettled.remove(name);
        KnownFile file = files.remove(name);
        problems.mend(name);
        if (file != null && file.good != null) {
            LOG.info("{}: gone", name);
            believe(name, file.good, new Manifests());
        }
    }

    private void read(String name, FileStamp stamp) {
        Path path = directory.resolve(name);
        Manifests manifests;
        try {
            manifests = reader.read(path);
        } catch (IOException e) {
            unsettled.remove(name);
            files.computeIfAbsent(name, added -> new KnownFile()).read = null;
            problems.raise(name, unreadable(name, name, e));
            return;
        }
        if (!FileStamp.of(path).equals(stamp)) {
            look(name);
            return;
        }
        unsettled.remove(name);
        KnownFile file = files.computeIfAbsent(name, added -> new KnownFile());
        file.read = stamp;
        if (!manifests.problems.isEmpty()) {
            problems.raise(name, manifests.problems);
            return;
        }
        problems.mend(name);
        logRead(name, manifests);
        Manifests before = file.good == null ? new Manifests() : file.good;
        file.good = manifests;
        believe(name, before, manifests);
    }

    private void logRead(String name, Manifests manifests) {
        int notServed = manifests.notServed.size();
        if (notServed > 0) {
            LOG.info("{}: {} not served, as {}", name, notServed, manifests.notServed.getFirst());
        }
        if (listed) {
            LOG.info("{}: {} Services, {} EndpointSlices", name, manifests.services.size(), manifests.slices.size());
        }
    }

    private void believe(String name, Manifests before, Manifests now) {
        services.replace(name, before.services, now.services, (object, service, by) -> {
            duplicates("Service", object, by);
            ledger.service(object, service);
        });
        slices.replace(name, before.slices, now.slices, (object, slice, by) -> {
            duplicates("EndpointSlice", object, by);
            ledger.slice(object, slice);
        });
        if (before.node != null || now.node != null) {
            ledger.node(firstNode());
        }
    }

    private @Nullable Node firstNode() {
        for (KnownFile file : files.values()) {
            if (file.good != null && file.good.node != null) {
                return file.good.node;
            }
        }
        return null;
    }

    private void duplicates(String kind, ObjectName name, Set<String> by) {
        Duplicate key = new Duplicate(kind, name);
        if (by.size() < 2) {
            problems.mend(key);
            return;
        }
        Iterator<String> names = by.iterator();
        String used = names.next();
        problems.raise(
                key,
                new Problem(
                        Cause.DUPLICATE,
                        kind + " " + name,
                        names.next(),
                        "metadata.name",
                        "is in " + used + " too, and that is used",
                        "remove one"));
    }

    private static Problem unreadable(String object, String where, IOException e) {
        String message;
        String cure;
        switch (e) {
            case NoSuchFileException gone -> {
                message = "is not there";
                cure = "create it; until then what was told stays";
            }
            case NotDirectoryException file -> {
                message = "is no directory";
                cure = "name a directory of manifests";
            }
            case AccessDeniedException denied -> {
                message = "may not be read";
                cure = "let the daemon's user read it";
            }
            default -> {
                message = "cannot be read: " + e.getMessage();
                cure = "make it readable";
            }
        }
        return new Problem(Cause.UNREADABLE, object, where, "", message, cure);
    }
}
