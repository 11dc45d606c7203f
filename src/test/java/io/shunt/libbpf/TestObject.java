package io.shunt.libbpf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.stream.Stream;

/** Object files compiled from src/test/bpf, and the C compilers behind them. */
public final class TestObject {
    private static final ConcurrentMap<String, byte[]> COMPILED = new ConcurrentHashMap<>();

    private TestObject() {}

    static BpfObject open(String name) {
        return BpfObject.open(name, elf(name));
    }

    public static BpfObject loaded(String name) {
        BpfObject object = open(name);
        try {
            object.load();
        } catch (RuntimeException e) {
            object.close();
            throw e;
        }
        return object;
    }

    /** As clang wrote it. */
    public static byte[] elf(String name) {
        return COMPILED.computeIfAbsent(name, TestObject::compile);
    }

    private static byte[] compile(String name) {
        try {
            Path object = Files.createTempFile(name, ".bpf.o");
            try {
                String multiarch = System.getProperty("os.arch").equals("amd64") ? "x86_64" : "aarch64";
                run(
                        System.getProperty("shunt.clang", "clang"),
                        "-target",
                        "bpf",
                        "-mcpu=v3",
                        "-I/usr/include/" + multiarch + "-linux-gnu",
                        "-O2",
                        "-g",
                        "-Wall",
                        "-c",
                        "src/test/bpf/" + name + ".bpf.c",
                        "-o",
                        object.toString());
                return Files.readAllBytes(object);
            } finally {
                Files.delete(object);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs a command to its end and returns the lines it printed. */
    static List<String> run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        List<String> lines;
        try (Stream<String> output = process.inputReader().lines()) {
            lines = output.toList();
        }
        int exit = process.onExit().join().exitValue();
        if (exit != 0) {
            throw new IOException(String.join(" ", command) + ": exit " + exit + "\n" + String.join("\n", lines));
        }
        return lines;
    }
}
