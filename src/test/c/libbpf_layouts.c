// SPDX-License-Identifier: Apache-2.0
/* Prints the size of each struct of which Java has a layout and the place of each member that Java reads or writes:
 * "struct size" and "struct.member offset size"; the constants that Java repeats: "NAME value"; and the error numbers:
 * "errno number NAME text". */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/magic.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define STRUCT(type) printf("%s %zu\n", #type, sizeof(struct type))
#define PLACE(type, member, path)                                                                                      \
	printf("%s.%s %zu %zu\n", #type, member, offsetof(struct type, path), sizeof(((struct type *)0)->path))
#define MEMBER(type, member) PLACE(type, #member, member)
#define CONSTANT(name) printf("%s %lld\n", #name, (long long)(name))

int main(void)
{
	STRUCT(bpf_object_open_opts);
	MEMBER(bpf_object_open_opts, sz);
	MEMBER(bpf_object_open_opts, object_name);

	STRUCT(bpf_map_create_opts);
	MEMBER(bpf_map_create_opts, sz);
	MEMBER(bpf_map_create_opts, inner_map_fd);
	MEMBER(bpf_map_create_opts, map_flags);

	STRUCT(bpf_link_create_opts);
	MEMBER(bpf_link_create_opts, sz);
	MEMBER(bpf_link_create_opts, flags);
	MEMBER(bpf_link_create_opts, iter_info);
	MEMBER(bpf_link_create_opts, iter_info_len);
	MEMBER(bpf_link_create_opts, target_btf_id);

	STRUCT(bpf_test_run_opts);
	MEMBER(bpf_test_run_opts, sz);
	MEMBER(bpf_test_run_opts, data_in);
	MEMBER(bpf_test_run_opts, data_out);
	MEMBER(bpf_test_run_opts, data_size_in);
	MEMBER(bpf_test_run_opts, data_size_out);
	MEMBER(bpf_test_run_opts, ctx_in);
	MEMBER(bpf_test_run_opts, ctx_out);
	MEMBER(bpf_test_run_opts, ctx_size_in);
	MEMBER(bpf_test_run_opts, ctx_size_out);
	MEMBER(bpf_test_run_opts, retval);
	MEMBER(bpf_test_run_opts, repeat);
	MEMBER(bpf_test_run_opts, duration);
	MEMBER(bpf_test_run_opts, flags);
	MEMBER(bpf_test_run_opts, cpu);
	MEMBER(bpf_test_run_opts, batch_size);

	STRUCT(bpf_tc_hook);
	MEMBER(bpf_tc_hook, sz);
	MEMBER(bpf_tc_hook, ifindex);
	MEMBER(bpf_tc_hook, attach_point);
	MEMBER(bpf_tc_hook, parent);

	STRUCT(bpf_tc_opts);
	MEMBER(bpf_tc_opts, sz);
	MEMBER(bpf_tc_opts, prog_fd);
	MEMBER(bpf_tc_opts, flags);
	MEMBER(bpf_tc_opts, prog_id);
	MEMBER(bpf_tc_opts, handle);
	MEMBER(bpf_tc_opts, priority);

	STRUCT(bpf_map_info);
	MEMBER(bpf_map_info, type);
	MEMBER(bpf_map_info, id);
	MEMBER(bpf_map_info, key_size);
	MEMBER(bpf_map_info, value_size);
	MEMBER(bpf_map_info, max_entries);
	MEMBER(bpf_map_info, map_flags);
	MEMBER(bpf_map_info, name);
	MEMBER(bpf_map_info, btf_id);
	MEMBER(bpf_map_info, btf_key_type_id);
	MEMBER(bpf_map_info, btf_value_type_id);

	STRUCT(bpf_prog_info);
	MEMBER(bpf_prog_info, type);
	MEMBER(bpf_prog_info, id);
	MEMBER(bpf_prog_info, tag);
	MEMBER(bpf_prog_info, jited_prog_len);
	MEMBER(bpf_prog_info, load_time);
	MEMBER(bpf_prog_info, name);
	MEMBER(bpf_prog_info, btf_id);
	MEMBER(bpf_prog_info, verified_insns);

	STRUCT(bpf_link_info);
	MEMBER(bpf_link_info, type);
	MEMBER(bpf_link_info, id);
	MEMBER(bpf_link_info, prog_id);
	PLACE(bpf_link_info, "cgroup_id", cgroup.cgroup_id);
	PLACE(bpf_link_info, "cgroup_attach_type", cgroup.attach_type);
	/* struct tcx came with Linux 6.6; netns has had the same two words in the same places since 5.7. */
	PLACE(bpf_link_info, "ifindex", netns.netns_ino);
	PLACE(bpf_link_info, "tcx_attach_type", netns.attach_type);

	STRUCT(btf_type);
	MEMBER(btf_type, name_off);
	MEMBER(btf_type, info);
	MEMBER(btf_type, size);

	STRUCT(btf_member);
	MEMBER(btf_member, name_off);
	MEMBER(btf_member, type);
	MEMBER(btf_member, offset);

	STRUCT(sockaddr_nl);
	MEMBER(sockaddr_nl, nl_family);
	MEMBER(sockaddr_nl, nl_pid);
	MEMBER(sockaddr_nl, nl_groups);

	STRUCT(nlmsghdr);
	MEMBER(nlmsghdr, nlmsg_len);
	MEMBER(nlmsghdr, nlmsg_type);
	MEMBER(nlmsghdr, nlmsg_flags);
	MEMBER(nlmsghdr, nlmsg_seq);
	MEMBER(nlmsghdr, nlmsg_pid);

	STRUCT(ifinfomsg);
	MEMBER(ifinfomsg, ifi_family);
	MEMBER(ifinfomsg, ifi_type);
	MEMBER(ifinfomsg, ifi_index);
	MEMBER(ifinfomsg, ifi_flags);
	MEMBER(ifinfomsg, ifi_change);

	STRUCT(ifaddrmsg);
	MEMBER(ifaddrmsg, ifa_family);
	MEMBER(ifaddrmsg, ifa_prefixlen);
	MEMBER(ifaddrmsg, ifa_flags);
	MEMBER(ifaddrmsg, ifa_scope);
	MEMBER(ifaddrmsg, ifa_index);

	STRUCT(rtmsg);
	MEMBER(rtmsg, rtm_family);
	MEMBER(rtmsg, rtm_dst_len);
	MEMBER(rtmsg, rtm_src_len);
	MEMBER(rtmsg, rtm_tos);
	MEMBER(rtmsg, rtm_table);
	MEMBER(rtmsg, rtm_protocol);
	MEMBER(rtmsg, rtm_scope);
	MEMBER(rtmsg, rtm_type);
	MEMBER(rtmsg, rtm_flags);

	STRUCT(tcmsg);
	MEMBER(tcmsg, tcm_family);
	MEMBER(tcmsg, tcm_ifindex);
	MEMBER(tcmsg, tcm_handle);
	MEMBER(tcmsg, tcm_parent);
	MEMBER(tcmsg, tcm_info);

	STRUCT(rtattr);
	MEMBER(rtattr, rta_len);
	MEMBER(rtattr, rta_type);

	STRUCT(rtnexthop);
	MEMBER(rtnexthop, rtnh_len);
	MEMBER(rtnexthop, rtnh_flags);
	MEMBER(rtnexthop, rtnh_hops);
	MEMBER(rtnexthop, rtnh_ifindex);

	STRUCT(pollfd);
	MEMBER(pollfd, fd);
	MEMBER(pollfd, events);
	MEMBER(pollfd, revents);

	STRUCT(statfs);
	MEMBER(statfs, f_type);

	printf("va_list %zu\n", sizeof(va_list));

	CONSTANT(BPF_MAP_TYPE_HASH);
	CONSTANT(BPF_MAP_TYPE_ARRAY);
	CONSTANT(BPF_MAP_TYPE_PERCPU_HASH);
	CONSTANT(BPF_MAP_TYPE_PERCPU_ARRAY);
	CONSTANT(BPF_MAP_TYPE_LRU_HASH);
	CONSTANT(BPF_MAP_TYPE_LRU_PERCPU_HASH);
	CONSTANT(BPF_MAP_TYPE_LPM_TRIE);
	CONSTANT(BPF_MAP_TYPE_SK_STORAGE);
	CONSTANT(BPF_MAP_TYPE_RINGBUF);

	CONSTANT(BPF_CGROUP_INET_SOCK_CREATE);
	CONSTANT(BPF_CGROUP_INET4_CONNECT);
	CONSTANT(BPF_CGROUP_INET6_CONNECT);
	CONSTANT(BPF_CGROUP_INET4_POST_BIND);
	CONSTANT(BPF_CGROUP_INET6_POST_BIND);
	CONSTANT(BPF_CGROUP_UDP4_SENDMSG);
	CONSTANT(BPF_CGROUP_UDP6_SENDMSG);
	CONSTANT(BPF_CGROUP_UDP4_RECVMSG);
	CONSTANT(BPF_CGROUP_UDP6_RECVMSG);
	CONSTANT(BPF_TRACE_ITER);
	CONSTANT(BPF_CGROUP_INET4_GETPEERNAME);
	CONSTANT(BPF_CGROUP_INET6_GETPEERNAME);
	CONSTANT(BPF_CGROUP_INET4_GETSOCKNAME);
	CONSTANT(BPF_CGROUP_INET6_GETSOCKNAME);
	CONSTANT(BPF_CGROUP_INET_SOCK_RELEASE);
	CONSTANT(BPF_XDP);

	CONSTANT(BPF_LINK_TYPE_CGROUP);
	CONSTANT(BPF_LINK_TYPE_ITER);

	CONSTANT(BPF_ANY);
	CONSTANT(BPF_NOEXIST);
	CONSTANT(BPF_EXIST);
	CONSTANT(BPF_F_NO_PREALLOC);
	CONSTANT(BPF_F_MMAPABLE);
	CONSTANT(BPF_F_QUERY_EFFECTIVE);
	CONSTANT(BPF_TC_INGRESS);
	CONSTANT(BPF_TC_EGRESS);
	CONSTANT(BPF_TC_F_REPLACE);
	CONSTANT(BTF_KIND_STRUCT);
	CONSTANT(BPF_FS_MAGIC);
	CONSTANT(CGROUP2_SUPER_MAGIC);
	CONSTANT(NSFS_MAGIC);
	CONSTANT(O_CLOEXEC);
	CONSTANT(CLONE_NEWNET);
	CONSTANT(MS_BIND);
	CONSTANT(AF_NETLINK);
	CONSTANT(SOCK_RAW);
	CONSTANT(SOCK_NONBLOCK);
	CONSTANT(SOCK_CLOEXEC);
	CONSTANT(NETLINK_ROUTE);
	CONSTANT(RTMGRP_LINK);
	CONSTANT(RTMGRP_TC);
	CONSTANT(RTMGRP_IPV4_IFADDR);
	CONSTANT(RTMGRP_IPV4_ROUTE);
	CONSTANT(RTMGRP_IPV6_IFADDR);
	CONSTANT(RTMGRP_IPV6_ROUTE);
	CONSTANT(AF_INET);
	CONSTANT(AF_INET6);
	CONSTANT(RTM_GETLINK);
	CONSTANT(RTM_GETADDR);
	CONSTANT(RTM_GETROUTE);
	CONSTANT(RTM_GETQDISC);
	CONSTANT(NLM_F_REQUEST);
	CONSTANT(NLM_F_DUMP);
	CONSTANT(NLM_F_DUMP_INTR);
	CONSTANT(NLMSG_ERROR);
	CONSTANT(NLMSG_DONE);
	CONSTANT(NLA_TYPE_MASK);
	CONSTANT(IFF_UP);
	CONSTANT(IFF_LOOPBACK);
	CONSTANT(ARPHRD_ETHER);
	CONSTANT(IFLA_IFNAME);
	CONSTANT(IFLA_MTU);
	CONSTANT(IFLA_ADDRESS);
	CONSTANT(IFLA_MASTER);
	CONSTANT(IFLA_LINKINFO);
	CONSTANT(IFLA_LINK_NETNSID);
	CONSTANT(IFLA_INFO_KIND);
	CONSTANT(IFA_ADDRESS);
	CONSTANT(IFA_LOCAL);
	CONSTANT(IFA_FLAGS);
	CONSTANT(RTA_DST);
	CONSTANT(RTA_OIF);
	CONSTANT(RTA_GATEWAY);
	CONSTANT(RTA_MULTIPATH);
	CONSTANT(RTA_TABLE);
	CONSTANT(RTA_VIA);
	CONSTANT(TCA_KIND);
	CONSTANT(RTM_GETTFILTER);
	CONSTANT(TC_H_MIN_EGRESS);
	CONSTANT(POLLIN);
	CONSTANT(LOCK_EX);
	CONSTANT(LOCK_NB);
	CONSTANT(EWOULDBLOCK);
	CONSTANT(PROT_READ);
	CONSTANT(PROT_WRITE);
	CONSTANT(MAP_SHARED);
	CONSTANT(CAP_NET_ADMIN);
	CONSTANT(CAP_SYS_PTRACE);
	CONSTANT(CAP_SYS_ADMIN);
	CONSTANT(CAP_PERFMON);
	CONSTANT(CAP_BPF);
	CONSTANT(LIBBPF_ERRNO__LIBELF);
	CONSTANT(LIBBPF_ERRNO__FORMAT);
	CONSTANT(LIBBPF_ERRNO__ENDIAN);
	CONSTANT(LIBBPF_ERRNO__RELOC);
	for (int number = 1; number < 134; number++)
		if (strerrorname_np(number))
			printf("errno %d %s %s\n", number, strerrorname_np(number), strerrordesc_np(number));
	return 0;
}
