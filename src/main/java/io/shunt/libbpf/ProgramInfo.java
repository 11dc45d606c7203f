package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.util.HexFormat;

/**
 * What the kernel says of a program.
 *
 * @param type in enum bpf_prog_type
 * @param tag a hash of its instructions, 16 hexadecimal digits
 * @param name at most 15 characters: the kernel cuts longer ones
 * @param jitedBytes size of the machine code, 0 without a JIT
 * @param loadTimeNanos nanoseconds after boot at which it was loaded
 * @param verifiedInstructions how many the verifier walked; 0 before Linux 5.16
 */
public record ProgramInfo(
        int type,
        int id,
        String tag,
        String name,
        int jitedBytes,
        long loadTimeNanos,
        int btfId,
        int verifiedInstructions) {

    /** struct bpf_prog_info as of Linux 5.16; the pointers to lists stay NULL, so that the kernel leaves them out. */
    static final StructLayout LAYOUT = MemoryLayout.structLayout(
                    JAVA_INT.withName("type"),
                    JAVA_INT.withName("id"),
                    MemoryLayout.sequenceLayout(8, JAVA_BYTE).withName("tag"),
                    JAVA_INT.withName("jited_prog_len"),
                    MemoryLayout.paddingLayout(4 + 8 + 8),
                    JAVA_LONG.withName("load_time"),
                    MemoryLayout.paddingLayout(4 + 4 + 8),
                    MemoryLayout.sequenceLayout(16, JAVA_BYTE).withName("name"),
                    MemoryLayout.paddingLayout(4 + 4 + 8 + 8 + 4 + 4 + 8 + 8),
                    JAVA_INT.withName("btf_id"),
                    MemoryLayout.paddingLayout(4 + 8 + 4 + 4 + 8 + 8 + 4 + 4 + 4 + 4 + 8 + 8 + 8 + 8),
                    JAVA_INT.withName("verified_insns"),
                    MemoryLayout.paddingLayout(12))
            .withName("bpf_prog_info");

    private static final long TAG = LAYOUT.byteOffset(PathElement.groupElement("tag"));
    private static final long NAME = LAYOUT.byteOffset(PathElement.groupElement("name"));
    private static final long LOAD_TIME = LAYOUT.byteOffset(PathElement.groupElement("load_time"));

    static ProgramInfo from(MemorySegment info) {
        return new ProgramInfo(
                get(info, "type"),
                get(info, "id"),
                HexFormat.of().formatHex(info.asSlice(TAG, 8).toArray(JAVA_BYTE)),
                info.getString(NAME),
                get(info, "jited_prog_len"),
                info.get(JAVA_LONG, LOAD_TIME),
                get(info, "btf_id"),
                get(info, "verified_insns"));
    }

    private static int get(MemorySegment info, String member) {
        return info.get(JAVA_INT, LAYOUT.byteOffset(PathElement.groupElement(member)));
    }
}
