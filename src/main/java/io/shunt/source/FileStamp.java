package io.shunt.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * By what a file shows that it changed.
 *
 * @param key device and inode, null if the file is not there
 */
record FileStamp(long size, FileTime modified, @Nullable Object key) {
    private static final FileStamp ABSENT = new FileStamp(0, FileTime.from(Instant.EPOCH), null);

    /** The stamp of what {@code path} leads to now; what is no regular file, or cannot be looked at, is absent. */
    static FileStamp of(Path path) {
        try {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            return attributes.isRegularFile()
                    ? new FileStamp(attributes.size(), attributes.lastModifiedTime(), attributes.fileKey())
                    : ABSENT;
        } catch (IOException e) {
            return ABSENT;
        }
    }

    boolean isAbsent() {
        return equals(ABSENT);
    }

    /** Whether it was last written at least {@code age} ago, as a file is that was moved here complete. */
    boolean isOlderThan(Duration age) {
        return !isAbsent() && modified.toInstant().isBefore(Instant.now().minus(age));
    }
}
