package io.shunt.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Takes what kube-proxy has left in netfilter out of this network namespace, by netfilter's own tools. */
final class KubeProxyRules {
    private static final String USUAL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

    private final List<Path> path;

    /** @param path where the tools are looked for, as PATH says it; null: where they usually are */
    KubeProxyRules(@Nullable String path) {
        this.path = Stream.of((path == null || path.isEmpty() ? USUAL_PATH : path).split(":", -1))
                .filter(folder -> !folder.isEmpty())
                .map(Path::of)
                .toList();
    }

    /**
     * What one tool is to be told.
     *
     * @param command what takes the script from standard input
     * @param script in that command's language; "" where all that was found has to stay
     * @param done what has happened then, one line each
     */
    record Step(List<String> command, String script, List<String> done) {}

    /**
     * What there is to be done. Changes nothing.
     *
     * @throws CommandFailure if a tool is missing, or may not look
     */
    List<Step> steps() {
        Path nft = tool("nft")
                .orElseThrow(() -> new CommandFailure(
                        "nft is not on PATH: kube-proxy's tables are seen by it; install it (Debian: apt install"
                                + " nftables)"));
        List<Path> iptables =
                Stream.of("iptables", "ip6tables").flatMap(this::variants).toList();
        List<Step> steps = new ArrayList<>();
        iptables.forEach(save -> chains(save).ifPresent(steps::add));
        tables(nft).ifPresent(steps::add);
        return steps;
    }

    /**
     * Does one step.
     *
     * @throws CommandFailure if it cannot be done; then nothing of a table has changed
     */
    void take(Step step) {
        if (!step.script().isEmpty()) {
            run(step.command(), step.script());
        }
    }

    private Optional<Path> tool(String name) {
        return path.stream()
                .map(folder -> folder.resolve(name))
                .filter(Files::isExecutable)
                .findFirst();
    }

    /** Rules of either kind may be there, whichever `iptables` stands for today. */
    private Stream<Path> variants(String tool) {
        List<Path> both = Stream.of(tool + "-nft-save", tool + "-legacy-save")
                .flatMap(name -> tool(name).stream())
                .toList();
        return both.isEmpty()
                ? Stream.of(tool(tool + "-save")
                        .orElseThrow(
                                () -> new CommandFailure(tool + "-save is not on PATH: kube-proxy's chains are seen"
                                        + " by it; install it (Debian: apt install iptables)")))
                : both.stream();
    }

    private Optional<Step> chains(Path save) {
        List<KubeProxyChains> tables = KubeProxyChains.read(run(List.of(save.toString()), ""));
        if (tables.isEmpty()) {
            return Optional.empty();
        }
        String name = save.getFileName().toString().replaceFirst("-save$", "");
        StringBuilder script = new StringBuilder();
        List<String> done = new ArrayList<>();
        for (KubeProxyChains table : tables) {
            int count = table.removable().size();
            if (count > 0) {
                script.append(table.removal());
                done.add("removed " + count + (count == 1 ? " chain" : " chains") + " of kube-proxy's from table "
                        + table.table() + " (" + name + ")");
            }
            table.lent()
                    .forEach((chain, user) -> done.add("left " + chain + " in table " + table.table() + " (" + name
                            + "), since " + user + " leads there"));
        }
        return Optional.of(new Step(
                List.of(save.resolveSibling(name + "-restore").toString(), "--noflush", "-w", "10"),
                script.toString(),
                done));
    }

    private Optional<Step> tables(Path nft) {
        List<String> ours = run(List.of(nft.toString(), "list", "tables"), "").stream()
                .map(String::strip)
                .filter(line -> line.equals("table ip kube-proxy") || line.equals("table ip6 kube-proxy"))
                .toList();
        return ours.isEmpty()
                ? Optional.empty()
                : Optional.of(new Step(
                        List.of(nft.toString(), "-f", "-"),
                        String.join(
                                "",
                                ours.stream()
                                        .map(table -> "delete " + table + "\n")
                                        .toList()),
                        ours.stream()
                                .map(table -> "removed " + table + " (nft)")
                                .toList()));
    }

    private static List<String> run(List<String> command, String input) {
        String name = String.join(" ", command);
        try {
            // What it complains of must not fill a pipe that nobody reads yet.
            Path complaints = Files.createTempFile("shunt", ".err");
            try {
                Process process = new ProcessBuilder(command)
                        .redirectError(complaints.toFile())
                        .start();
                Thread writer = Thread.ofVirtual().start(() -> write(process, input));
                List<String> lines;
                try (BufferedReader output = process.inputReader()) {
                    lines = output.lines().toList();
                }
                writer.join();
                int status = process.waitFor();
                if (status != 0) {
                    throw new CommandFailure(name + " failed with status " + status + ": "
                            + String.join(" ", Files.readAllLines(complaints))
                            + ": run as root, or with CAP_NET_ADMIN, and"
                            + " CAP_NET_RAW for legacy tables");
                }
                return lines;
            } finally {
                Files.delete(complaints);
            }
        } catch (IOException e) {
            throw new CommandFailure(name + " cannot be run: " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CommandFailure(name + " was interrupted", e);
        }
    }

    private static void write(Process process, String input) {
        try (Writer out = process.outputWriter()) {
            out.write(input);
        } catch (IOException e) {
            // It has ended early, and its status tells why.
            return;
        }
    }
}
