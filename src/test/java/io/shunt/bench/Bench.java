package io.shunt.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Measures all parts, or those that are named, and writes what they found: {@code Bench DIRECTORY [PART...]}. Ends with 0
 * also if a target was missed, with 1 if something could not be measured, and with 2 if it was asked for what there is
 * not.
 */
public final class Bench {
    private static final List<Part> PARTS = List.of(
            new ConnectPart(),
            new NetfilterPart(),
            new PacketPart(),
            new NodePart(),
            new ChangePart(),
            new StartPart());

    /** What was made is taken away within this time after Ctrl-C. */
    private static final long CLEANING_UP_SECONDS = 30;

    private Bench() {}

    public static void main(String[] args) throws IOException {
        Map<String, Part> parts = new LinkedHashMap<>();
        PARTS.forEach(part -> parts.put(part.name(), part));
        List<String> wanted = args.length > 1 ? Arrays.stream(args).skip(1).toList() : List.copyOf(parts.keySet());
        if (args.length == 0 || !parts.keySet().containsAll(wanted)) {
            System.err.println("Usage: Bench DIRECTORY [PART...]; parts are " + String.join(", ", parts.keySet()));
            System.exit(2);
        }
        Path directory = Files.createDirectories(Path.of(args[0]));
        Settings settings = Settings.of(directory, System.getenv());
        CountDownLatch finished = cleanUpWhenStopped();
        boolean measured;
        try (Precedence precedence = new Precedence()) {
            measured = measure(
                    PARTS.stream().filter(part -> wanted.contains(part.name())).toList(), settings);
        }
        finished.countDown();
        System.exit(measured ? 0 : 1);
    }

    /** A signal interrupts this thread, which cleans up as it unwinds. */
    private static CountDownLatch cleanUpWhenStopped() {
        Thread main = Thread.currentThread();
        CountDownLatch finished = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            main.interrupt();
            try {
                boolean clean = finished.await(CLEANING_UP_SECONDS, TimeUnit.SECONDS);
                if (!clean) {
                    System.err.println("Not everything could be cleaned up: look at `ip netns` and /sys/fs/bpf");
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        return finished;
    }

    private static boolean measure(List<Part> parts, Settings settings) throws IOException {
        Progress progress = new Progress();
        Report report = new Report(settings.results());
        boolean complete = true;
        for (Part part : parts) {
            try {
                PartResult result = part.run(settings, progress);
                report.save(result);
                result.targets()
                        .forEach(target -> progress.say(
                                "%s: %s %s, target %s: %s",
                                part.name(),
                                target.what(),
                                target.measured(),
                                target.target(),
                                target.met() ? "met" : "MISSED"));
            } catch (Progress.StoppedException e) {
                System.err.println("stopped");
                return false;
            } catch (RuntimeException | IOException e) {
                complete = false;
                System.err.println(part.name() + " could not be measured:");
                e.printStackTrace();
            }
        }
        report.write();
        progress.say("results are in %s", settings.results().resolve(Report.FILE));
        return complete;
    }
}
