package io.shunt.datapath;

import io.shunt.libbpf.Syscalls;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where network namespaces can be entered: those that a process is in, as far as /proc shows it, and those that have a
 * name below /run/netns.
 */
class NetworkNamespaces {
    /** The process namespace of the machine itself (PROC_PID_INIT_INO of linux/proc_ns.h). */
    private static final String ALL_PROCESSES = "pid:[4026531836]";

    private static final Pattern LINK = Pattern.compile("net:\\[(\\d+)]");

    private final Path processes;
    private final Path names;

    NetworkNamespaces() {
        this(Path.of("/proc"), Path.of("/run/netns"));
    }

    NetworkNamespaces(Path processes, Path names) {
        this.processes = processes;
        this.names = names;
    }

    /** A file to enter each by, by inode number. What ends or cannot be looked at while this looks is left out. */
    Map<Long, Path> entrances() {
        Map<Long, Path> entrances = new HashMap<>();
        forEach(processes, "[1-9]*", process -> {
            Path file = process.resolve("ns/net");
            Matcher link = LINK.matcher(Files.readSymbolicLink(file).toString());
            if (link.matches()) {
                // By its oldest process, as /proc lists them: the youngest may be gone in a moment.
                entrances.putIfAbsent(Long.parseLong(link.group(1)), file);
            }
        });
        forEach(names, "*", file -> {
            // What is left of a namespace that is gone is a plain file.
            if (Syscalls.fileSystemType(file) == Syscalls.NSFS_MAGIC) {
                entrances.put((Long) Files.getAttribute(file, "unix:ino"), file);
            }
        });
        return entrances;
    }

    /** Whether /proc shows all processes of the machine, so that hardly a namespace can be without an entrance. */
    boolean showAllProcesses() {
        try {
            return Files.readSymbolicLink(processes.resolve("self/ns/pid"))
                    .toString()
                    .equals(ALL_PROCESSES);
        } catch (IOException | RuntimeException unknown) {
            return false;
        }
    }

    @FunctionalInterface
    private interface Visitor {
        void visit(Path path) throws IOException;
    }

    private static void forEach(Path directory, String glob, Visitor visitor) {
        if (!Files.isDirectory(directory)) {
            return;
        }
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, glob)) {
            for (Path file : files) {
                try {
                    visitor.visit(file);
                } catch (IOException | RuntimeException ignored) {
                    continue;
                }
            }
        } catch (IOException ignored) {
            return;
        }
    }
}
