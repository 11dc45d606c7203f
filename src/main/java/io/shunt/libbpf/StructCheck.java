package io.shunt.libbpf;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.StructLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Compares Java's layouts of shared structs with the compiler's, so that the two cannot drift apart unseen. */
public final class StructCheck {
    private StructCheck() {}

    /**
     * Checks a layout against the C struct of its name: the size, and of each member the name, offset and size. Unnamed
     * padding stands for no member.
     *
     * @param layout has a name, and so has every member that is not padding; one without stands for C's anonymous
     *     struct or union at its offset
     * @throws LayoutMismatchException which lists every difference
     */
    public static void verify(Btf btf, StructLayout layout) {
        String name =
                layout.name().orElseThrow(() -> new IllegalArgumentException("a layout without a name: " + layout));
        List<String> differences = btf.struct(name)
                .map(struct -> differences(struct, layout))
                .orElseGet(() -> List.of("there is no such struct in the " + btf));
        if (!differences.isEmpty()) {
            throw new LayoutMismatchException("struct " + name + ": ", differences);
        }
    }

    private static List<String> differences(BtfStruct struct, StructLayout layout) {
        List<String> differences = new ArrayList<>();
        if (struct.size() != layout.byteSize()) {
            differences.add("C has size " + struct.size() + ", Java has " + layout.byteSize());
        }
        Map<String, BtfStruct.Member> inJava = members(layout);
        for (BtfStruct.Member c : struct.members()) {
            BtfStruct.Member java = inJava.remove(key(c));
            if (java == null) {
                differences.add("member " + key(c) + ": C has " + place(c) + ", Java has none");
            } else if (java.offset() != c.offset() || java.size() != c.size()) {
                differences.add("member " + key(c) + ": C has " + place(c) + ", Java has " + place(java));
            }
        }
        inJava.forEach((key, java) -> differences.add("member " + key + ": C has none, Java has " + place(java)));
        return differences;
    }

    private static Map<String, BtfStruct.Member> members(StructLayout layout) {
        Map<String, BtfStruct.Member> members = new LinkedHashMap<>();
        long offset = 0;
        for (MemoryLayout member : layout.memberLayouts()) {
            if (!(member instanceof PaddingLayout) || member.name().isPresent()) {
                BtfStruct.Member java = new BtfStruct.Member(member.name().orElse(""), offset, member.byteSize());
                members.put(key(java), java);
            }
            offset += member.byteSize();
        }
        return members;
    }

    private static String key(BtfStruct.Member member) {
        return member.name().isEmpty() ? "without a name at offset " + member.offset() : member.name();
    }

    private static String place(BtfStruct.Member member) {
        return "offset " + member.offset() + " size " + member.size();
    }
}
