package io.shunt.datapath;

import io.shunt.libbpf.AttachType;

/** The programs of sock.bpf.c and the cgroup hooks that they sit on. */
enum SocketHook {
    CONNECT4(AttachType.CGROUP_INET4_CONNECT),
    CONNECT6(AttachType.CGROUP_INET6_CONNECT),
    SENDMSG4(AttachType.CGROUP_UDP4_SENDMSG),
    SENDMSG6(AttachType.CGROUP_UDP6_SENDMSG),
    RECVMSG4(AttachType.CGROUP_UDP4_RECVMSG),
    RECVMSG6(AttachType.CGROUP_UDP6_RECVMSG),
    GETPEERNAME4(AttachType.CGROUP_INET4_GETPEERNAME),
    GETPEERNAME6(AttachType.CGROUP_INET6_GETPEERNAME),
    SOCK_RELEASE(AttachType.CGROUP_INET_SOCK_RELEASE),
    POST_BIND4(AttachType.CGROUP_INET4_POST_BIND),
    POST_BIND6(AttachType.CGROUP_INET6_POST_BIND);

    private final AttachType attachType;

    SocketHook(AttachType attachType) {
        this.attachType = attachType;
    }

    /** The program's name in the object, and its link's in the bpf root. */
    String program() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }

    AttachType attachType() {
        return attachType;
    }
}
