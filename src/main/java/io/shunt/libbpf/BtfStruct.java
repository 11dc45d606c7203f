package io.shunt.libbpf;

import java.util.List;

/**
 * A C struct as the compiler laid it out.
 *
 * @param size in bytes, with padding
 * @param members in the order of their offsets
 */
public record BtfStruct(String name, long size, List<Member> members) {
    /**
     * A member and its place.
     *
     * @param name "" for an anonymous struct or union
     * @param offset bytes from the beginning of the struct
     * @param size in bytes, all elements of an array
     */
    public record Member(String name, long offset, long size) {}

    public BtfStruct {
        members = List.copyOf(members);
    }
}
