package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/**
 * What the kernel says of a map. Sizes are in bytes; the value size of a per-CPU map is that of one CPU.
 *
 * @param name at most 15 characters: the kernel cuts longer ones
 * @param btfId 0 if the map was made without BTF
 */
public record MapInfo(
        int type,
        int id,
        int keySize,
        int valueSize,
        int maxEntries,
        int flags,
        String name,
        int btfId,
        int btfKeyTypeId,
        int btfValueTypeId) {

    /** The beginning of struct bpf_map_info; the kernel fills as much as it is offered. */
    static final StructLayout LAYOUT = MemoryLayout.structLayout(
                    JAVA_INT.withName("type"),
                    JAVA_INT.withName("id"),
                    JAVA_INT.withName("key_size"),
                    JAVA_INT.withName("value_size"),
                    JAVA_INT.withName("max_entries"),
                    JAVA_INT.withName("map_flags"),
                    MemoryLayout.sequenceLayout(16, JAVA_BYTE).withName("name"),
                    MemoryLayout.paddingLayout(24),
                    JAVA_INT.withName("btf_id"),
                    JAVA_INT.withName("btf_key_type_id"),
                    JAVA_INT.withName("btf_value_type_id"),
                    MemoryLayout.paddingLayout(4))
            .withName("bpf_map_info");

    private static final long NAME = LAYOUT.byteOffset(PathElement.groupElement("name"));

    static MapInfo from(MemorySegment info) {
        return new MapInfo(
                get(info, "type"),
                get(info, "id"),
                get(info, "key_size"),
                get(info, "value_size"),
                get(info, "max_entries"),
                get(info, "map_flags"),
                info.getString(NAME),
                get(info, "btf_id"),
                get(info, "btf_key_type_id"),
                get(info, "btf_value_type_id"));
    }

    private static int get(MemorySegment info, String member) {
        return info.get(JAVA_INT, LAYOUT.byteOffset(PathElement.groupElement(member)));
    }
}
