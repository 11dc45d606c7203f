package io.shunt.libbpf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The layouts and numbers written in Java against those of the installed C headers, as a C program prints them. */
class LayoutTest {
    private static final Map<String, String> C = new HashMap<>();
    private static final Map<Integer, Errno> C_ERRNO = new HashMap<>();

    @BeforeAll
    static void compileAndRun(@TempDir Path directory) throws IOException {
        String program = directory.resolve("libbpf_layouts").toString();
        TestObject.run(
                System.getProperty("shunt.clang", "clang"), "-Wall", "-o", program, "src/test/c/libbpf_layouts.c");
        for (String line : TestObject.run(program)) {
            String[] words = line.split(" ", 2);
            if (words[0].equals("errno")) {
                String[] errno = line.split(" ", 4);
                C_ERRNO.put(Integer.valueOf(errno[1]), new Errno(Integer.parseInt(errno[1]), errno[2], errno[3]));
            } else {
                C.put(words[0], words[1]);
            }
        }
    }

    static Stream<StructLayout> wholeStructs() {
        return Stream.of(
                Btf.Type.LAYOUT,
                Btf.MemberType.LAYOUT,
                Syscalls.Statfs.LAYOUT,
                NetworkNotices.SockaddrNl.LAYOUT,
                NetworkNotices.PollFd.LAYOUT,
                BpfTcFilter.Calls.HOOK,
                BpfTcFilter.Calls.OPTIONS,
                Rtnetlink.HEADER,
                Rtnetlink.LINK,
                Rtnetlink.ADDRESS,
                Rtnetlink.ROUTE,
                Rtnetlink.QDISC,
                Rtnetlink.ATTRIBUTE,
                Rtnetlink.NEXT_HOP);
    }

    /** Which may end where Java needs no more of them, or in older headers than those Java was written by. */
    static Stream<StructLayout> structsOfAnyLength() {
        return Stream.of(
                BpfObject.Open.OPTIONS,
                BpfMap.Create.OPTIONS,
                BpfLink.Create.OPTIONS,
                BpfProgram.Testing.OPTIONS,
                MapInfo.LAYOUT,
                ProgramInfo.LAYOUT);
    }

    @ParameterizedTest
    @MethodSource("wholeStructs")
    void size_isThatOfC(StructLayout layout) {
        assertThat(layout.byteSize()).isEqualTo(Long.parseLong(c(layout.name().orElseThrow())));
    }

    @ParameterizedTest
    @MethodSource({"wholeStructs", "structsOfAnyLength"})
    void members_lieWhereCHasThem(StructLayout layout) {
        for (MemoryLayout member : layout.memberLayouts()) {
            member.name().ifPresent(name -> {
                long offset = layout.byteOffset(PathElement.groupElement(name));
                assertThat(offset + " " + member.byteSize())
                        .as(name)
                        .isEqualTo(c(layout.name().orElseThrow() + "." + name));
            });
        }
    }

    @Test
    void linkInfo_liesWhereCHasIt() {
        assertThat(place("type")).isEqualTo(c("bpf_link_info.type"));
        assertThat(place("id")).isEqualTo(c("bpf_link_info.id"));
        assertThat(place("prog_id")).isEqualTo(c("bpf_link_info.prog_id"));
        assertThat(place("of", "cgroup", "cgroup_id")).isEqualTo(c("bpf_link_info.cgroup_id"));
        assertThat(place("of", "cgroup", "attach_type")).isEqualTo(c("bpf_link_info.cgroup_attach_type"));
        assertThat(place("of", "tcx", "ifindex")).isEqualTo(c("bpf_link_info.ifindex"));
        assertThat(place("of", "tcx", "attach_type")).isEqualTo(c("bpf_link_info.tcx_attach_type"));
    }

    private static String place(String... path) {
        PathElement[] elements =
                Arrays.stream(path).map(PathElement::groupElement).toArray(PathElement[]::new);
        return LinkInfo.LAYOUT.byteOffset(elements) + " "
                + LinkInfo.LAYOUT.select(elements).byteSize();
    }

    @Test
    void structOffsetsWrittenAsNumbers_areThoseOfTheLayouts() {
        assertThat(c("btf_type.info")).isEqualTo(Btf.Type.INFO + " 4");
        assertThat(c("btf_type.size")).isEqualTo(Btf.Type.SIZE + " 4");
        assertThat(c("btf_member.name_off")).isEqualTo(Btf.MemberType.NAME + " 4");
        assertThat(c("btf_member.type")).isEqualTo(Btf.MemberType.TYPE + " 4");
        assertThat(c("btf_member.offset")).isEqualTo(Btf.MemberType.OFFSET + " 4");
        assertThat(c("va_list")).isEqualTo(String.valueOf(LibbpfLog.Formatting.VA_LIST_BYTES));
    }

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.MATCH_NONE, names = "TCX_.*")
    void attachType_isThatOfC(AttachType type) {
        assertThat(type.number()).isEqualTo(number("BPF_" + type));
    }

    @Test
    void constants_areThoseOfC() {
        Map<String, Long> java = new HashMap<>();
        java.put("BPF_MAP_TYPE_HASH", (long) MapType.HASH);
        java.put("BPF_MAP_TYPE_ARRAY", (long) MapType.ARRAY);
        java.put("BPF_MAP_TYPE_PERCPU_HASH", (long) MapType.PERCPU_HASH);
        java.put("BPF_MAP_TYPE_PERCPU_ARRAY", (long) MapType.PERCPU_ARRAY);
        java.put("BPF_MAP_TYPE_LRU_HASH", (long) MapType.LRU_HASH);
        java.put("BPF_MAP_TYPE_LRU_PERCPU_HASH", (long) MapType.LRU_PERCPU_HASH);
        java.put("BPF_MAP_TYPE_LPM_TRIE", (long) MapType.LPM_TRIE);
        java.put("BPF_MAP_TYPE_SK_STORAGE", (long) MapType.SK_STORAGE);
        java.put("BPF_MAP_TYPE_RINGBUF", (long) MapType.RINGBUF);
        java.put("BPF_LINK_TYPE_CGROUP", (long) LinkInfo.CGROUP);
        java.put("BPF_LINK_TYPE_ITER", (long) LinkInfo.ITER);
        java.put("BPF_ANY", BpfMap.ANY);
        java.put("BPF_NOEXIST", BpfMap.NOEXIST);
        java.put("BPF_EXIST", BpfMap.EXIST);
        java.put("BPF_F_NO_PREALLOC", (long) BpfMap.NO_PREALLOC);
        java.put("BPF_F_MMAPABLE", (long) BpfMap.MMAPABLE);
        java.put("BPF_F_QUERY_EFFECTIVE", (long) BpfProgram.QUERY_EFFECTIVE);
        java.put("BPF_TC_INGRESS", (long) TcDirection.INGRESS.number());
        java.put("BPF_TC_EGRESS", (long) TcDirection.EGRESS.number());
        java.put("BPF_TC_F_REPLACE", (long) BpfTcFilter.REPLACE);
        java.put("BTF_KIND_STRUCT", (long) Btf.KIND_STRUCT);
        java.put("BPF_FS_MAGIC", Syscalls.BPFFS_MAGIC);
        java.put("CGROUP2_SUPER_MAGIC", Syscalls.CGROUP2_MAGIC);
        java.put("NSFS_MAGIC", Syscalls.NSFS_MAGIC);
        java.put("O_CLOEXEC", (long) Syscalls.O_CLOEXEC);
        java.put("CLONE_NEWNET", (long) Syscalls.CLONE_NEWNET);
        java.put("MS_BIND", Syscalls.MS_BIND);
        java.put("AF_NETLINK", (long) NetworkNotices.AF_NETLINK);
        java.put("SOCK_RAW", (long) NetworkNotices.SOCK_RAW);
        java.put("SOCK_NONBLOCK", (long) NetworkNotices.SOCK_NONBLOCK);
        java.put("SOCK_CLOEXEC", (long) Syscalls.O_CLOEXEC);
        java.put("NETLINK_ROUTE", (long) NetworkNotices.NETLINK_ROUTE);
        java.put("RTMGRP_LINK", (long) NetworkNotices.RTMGRP_LINK);
        java.put("RTMGRP_TC", (long) NetworkNotices.RTMGRP_TC);
        java.put("RTMGRP_IPV4_IFADDR", (long) NetworkNotices.RTMGRP_IPV4_IFADDR);
        java.put("RTMGRP_IPV4_ROUTE", (long) NetworkNotices.RTMGRP_IPV4_ROUTE);
        java.put("RTMGRP_IPV6_IFADDR", (long) NetworkNotices.RTMGRP_IPV6_IFADDR);
        java.put("RTMGRP_IPV6_ROUTE", (long) NetworkNotices.RTMGRP_IPV6_ROUTE);
        Rtnetlink.CONSTANTS.forEach((name, value) -> java.put(name, (long) value));
        java.put("POLLIN", (long) NetworkNotices.POLLIN);
        java.put("EWOULDBLOCK", (long) Errno.EAGAIN.number());
        java.put("MAP_SHARED", (long) Mapping.MAP_SHARED);
        java.put("LIBBPF_ERRNO__LIBELF", (long) Errno.LIBELF.number());
        java.put("LIBBPF_ERRNO__FORMAT", (long) Errno.FORMAT.number());
        java.put("LIBBPF_ERRNO__ENDIAN", (long) Errno.ENDIAN.number());
        java.put("LIBBPF_ERRNO__RELOC", (long) Errno.RELOC.number());
        java.forEach((name, value) -> assertThat(value).as(name).isEqualTo(number(name)));
        assertThat(Syscalls.LOCK_EXCLUSIVE_NONBLOCKING).isEqualTo(number("LOCK_EX") | number("LOCK_NB"));
        assertThat(Mapping.PROT_READ_WRITE).isEqualTo(number("PROT_READ") | number("PROT_WRITE"));
    }

    @ParameterizedTest
    @EnumSource
    void capability_isThatOfC(Capability capability) {
        assertThat(capability.bit()).isEqualTo(number(capability.name()));
    }

    @Test
    void errnos_areThoseOfC() {
        C_ERRNO.forEach((number, c) -> {
            Errno java = Errno.of(number);
            if (!java.name().startsWith("errno ")) {
                assertThat(java).isEqualTo(c);
            }
        });
        assertThat(C_ERRNO.get(Errno.E2BIG.number())).isEqualTo(Errno.E2BIG);
        assertThat(Errno.of(3999)).hasToString("errno 3999 (unknown error)");
    }

    private static String c(String name) {
        return Objects.requireNonNull(C.get(name), name + " is not printed by the C program");
    }

    private static long number(String name) {
        return Long.parseLong(c(name));
    }
}
