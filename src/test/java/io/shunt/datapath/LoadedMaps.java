package io.shunt.datapath;

import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.BpfObject;
import io.shunt.testbed.Closing;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;

/** The maps of sock.bpf.o in the kernel, attached to nothing and pinned nowhere. */
final class LoadedMaps implements AutoCloseable {
    private final Closing closing = new Closing();
    private final Arena arena = Arena.ofAuto();
    private final BpfObject object;

    LoadedMaps(Map<String, Integer> entries) {
        try (InputStream in = Objects.requireNonNull(LoadedMaps.class.getResourceAsStream("/bpf/sock.bpf.o"))) {
            object = closing.add(BpfObject.open("sock", in.readAllBytes()));
            entries.forEach((map, count) -> object.map(map).setMaxEntries(count));
            object.load();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (RuntimeException e) {
            closing.close();
            throw e;
        }
    }

    /** The maps as one process sees them. */
    KernelMaps open() {
        return closing.add(new KernelMaps(object::map, id -> {}));
    }

    BpfMap map(String name) {
        return object.map(name);
    }

    /** What the kernel itself gives for an index. */
    MemorySegment lookup(String name, int index) {
        BpfMap map = object.map(name);
        MemorySegment value = arena.allocate(map.valueBytes(), 8);
        map.lookup(arena.allocateFrom(ValueLayout.JAVA_INT, index), value);
        return value;
    }

    /** Every element, key and value as hexadecimal words. */
    List<String> elements(String name) {
        List<String> elements = new ArrayList<>();
        forEach(name, (key, value) -> elements.add(key + "=" + value));
        return elements;
    }

    private void forEach(String name, BiConsumer<String, String> visitor) {
        object.map(name).forEach((key, value) -> visitor.accept(hex(key), hex(value)));
    }

    private static String hex(MemorySegment segment) {
        return java.util.HexFormat.of().formatHex(segment.toArray(ValueLayout.JAVA_BYTE));
    }

    @Override
    public void close() {
        closing.close();
    }
}
