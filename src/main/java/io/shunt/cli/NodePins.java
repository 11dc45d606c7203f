package io.shunt.cli;

import io.shunt.datapath.Installation;
import io.shunt.datapath.InstallationException;
import io.shunt.datapath.PinnedMaps;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What is pinned on this node. */
final class NodePins implements PinnedState {
    @Override
    public void dump(Path bpfRoot, EntrySink sink) {
        try {
            PinnedMaps.dump(bpfRoot, sink::entry);
        } catch (InstallationException e) {
            throw new CommandFailure(String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public List<String> cleanup(Path bpfRoot) {
        try {
            return Installation.remove(bpfRoot);
        } catch (InstallationException e) {
            throw new CommandFailure(String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void prepare(Path bpfRoot) {
        try {
            Installation.prepare(bpfRoot);
        } catch (InstallationException e) {
            throw new CommandFailure(String.valueOf(e.getMessage()), e);
        }
    }

    @Override
    public void mountCgroup2(Path directory, @Nullable Path mounted) {
        try {
            Installation.mountCgroup2(directory, mounted);
        } catch (InstallationException e) {
            throw new CommandFailure(String.valueOf(e.getMessage()), e);
        }
    }
}
