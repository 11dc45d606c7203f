package io.shunt.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the kernel keeps for Shunt, whether or not a daemon runs. */
interface PinnedState {
    /** Takes decoded map entries, map by map. */
    @FunctionalInterface
    interface EntrySink {
        /**
         * Takes one entry.
         *
         * @param map the map's name
         * @param fields the entry's key and value, decoded, in the order in which people should read them
         */
        void entry(String map, Map<String, ?> fields);
    }

    /**
     * Decodes every entry of every map pinned below a directory. Changes nothing.
     *
     * @throws CommandFailure if it cannot
     */
    void dump(Path bpfRoot, EntrySink sink);

    /**
     * Detaches and unpins everything below a directory.
     *
     * @return what was done, one line each; empty if nothing was there
     * @throws CommandFailure if it cannot
     */
    List<String> cleanup(Path bpfRoot);

    /**
     * Makes a directory ready for pins, mounting a bpffs at its usual place if there is none.
     *
     * @throws CommandFailure if it cannot
     */
    void prepare(Path bpfRoot);

    /**
     * Mounts cgroup2 at an empty directory, unless the directory is of cgroup2 already.
     *
     * @param mounted where cgroup2 is mounted whole already, null if nowhere
     * @throws CommandFailure if it cannot
     */
    void mountCgroup2(Path directory, @Nullable Path mounted);
}
