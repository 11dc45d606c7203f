package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;

/**
 * What the kernel says of a link.
 *
 * @param type in enum bpf_link_type: 3 cgroup, 4 iterator, 6 XDP, 11 TCX
 * @param programId the program it runs now
 * @param cgroupId the inode number of its cgroup directory, for cgroup links; 0 once that directory is gone
 * @param ifindex its device, for TCX and XDP links; 0 once that device is gone
 * @param attachType in enum bpf_attach_type, for cgroup and TCX links
 */
public record LinkInfo(int type, int id, int programId, long cgroupId, int ifindex, int attachType) {
    public static final int CGROUP = 3;
    public static final int ITER = 4;
    public static final int XDP = 6;
    public static final int TCX = 11;

    private static final StructLayout CGROUP_PART =
            MemoryLayout.structLayout(JAVA_LONG.withName("cgroup_id"), JAVA_INT.withName("attach_type"));

    private static final StructLayout TCX_PART =
            MemoryLayout.structLayout(JAVA_INT.withName("ifindex"), JAVA_INT.withName("attach_type"));

    /** struct bpf_link_info with the members of its union that are read here, in the union's size of Linux 5.15. */
    static final StructLayout LAYOUT = MemoryLayout.structLayout(
                    JAVA_INT.withName("type"),
                    JAVA_INT.withName("id"),
                    JAVA_INT.withName("prog_id"),
                    MemoryLayout.paddingLayout(4),
                    MemoryLayout.unionLayout(
                                    CGROUP_PART.withName("cgroup"),
                                    TCX_PART.withName("tcx"),
                                    MemoryLayout.sequenceLayout(2, JAVA_LONG).withName("size"))
                            .withName("of"))
            .withName("bpf_link_info");

    static LinkInfo from(MemorySegment info) {
        int type = get(info, PathElement.groupElement("type"));
        long cgroupId = type == CGROUP ? info.get(JAVA_LONG, offset(part("cgroup"), part("cgroup_id"))) : 0;
        // Of either it comes first.
        int ifindex = type == TCX || type == XDP ? info.get(JAVA_INT, offset(part("tcx"), part("ifindex"))) : 0;
        int attachType = switch (type) {
            case CGROUP -> info.get(JAVA_INT, offset(part("cgroup"), part("attach_type")));
            case TCX -> info.get(JAVA_INT, offset(part("tcx"), part("attach_type")));
            default -> 0;
        };
        return new LinkInfo(type, get(info, part("id")), get(info, part("prog_id")), cgroupId, ifindex, attachType);
    }

    private static PathElement part(String name) {
        return PathElement.groupElement(name);
    }

    private static long offset(PathElement union, PathElement member) {
        return LAYOUT.byteOffset(part("of"), union, member);
    }

    private static int get(MemorySegment info, PathElement member) {
        return info.get(JAVA_INT, LAYOUT.byteOffset(member));
    }
}
