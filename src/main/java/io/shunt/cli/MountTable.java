package io.shunt.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What is mounted where, as /proc/mounts says. */
final class MountTable {
    private static final Path USUAL_CGROUP = Path.of("/sys/fs/cgroup");
    private static final Pattern OCTAL = Pattern.compile("\\\\([0-7]{3})");

    private final Path mounts;

    /** @param mounts a file in the format of /proc/mounts (fstab(5)) */
    MountTable(Path mounts) {
        this.mounts = mounts;
    }

    /**
     * Where the cgroup2 hierarchy is mounted. Of several mounts the usual place is taken, else the first; empty if there
     * is none.
     */
    Optional<Path> cgroup2() throws IOException {
        try (Stream<String> lines = Files.lines(mounts)) {
            List<Path> found = lines.map(line -> line.split(" ", -1))
                    .filter(fields -> fields.length > 2 && fields[2].equals("cgroup2"))
                    .map(fields -> Path.of(unescape(fields[1])))
                    .toList();
            return found.contains(USUAL_CGROUP)
                    ? Optional.of(USUAL_CGROUP)
                    : found.stream().findFirst();
        }
    }

    /** The kernel writes blanks and backslashes in paths as three octal digits. */
    private static String unescape(String path) {
        return OCTAL.matcher(path)
                .replaceAll(escape ->
                        Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(escape.group(1), 8))));
    }
}
