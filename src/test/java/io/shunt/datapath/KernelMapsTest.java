package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import io.shunt.libbpf.BpfMap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The arrays as the kernel itself reads them, element by element, against what was stored through mmap. */
@Tag("kernel")
class KernelMapsTest {
    @Test
    void slots_standWhereTheKernelLooksForThem() {
        try (SocketFixture sockets = new SocketFixture();
                KernelMaps maps = new KernelMaps(sockets::map)) {
            BpfMap slots = sockets.map("slots");
            int last = slots.maxEntries() - 1;
            maps.putSlot(1, 11);
            maps.putSlot(2, 22);
            maps.putSlot(last, 33);
            assertThat(maps.maxSlots()).isEqualTo(slots.maxEntries());
            assertThat(lookUp(slots, 0)).isZero();
            assertThat(lookUp(slots, 1)).isEqualTo(11);
            assertThat(lookUp(slots, 2)).isEqualTo(22);
            assertThat(lookUp(slots, last)).isEqualTo(33);
            assertThat(maps.slot(2)).isEqualTo(22);
        }
    }

    private static int lookUp(BpfMap map, int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            assertThat(map.lookup(arena.allocateFrom(JAVA_INT, index), value)).isTrue();
            return value.get(JAVA_INT, 0);
        }
    }
}
