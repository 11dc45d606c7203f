// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/*
 * Programs for a device that only say where the last IPv4 UDP datagram has been: each appends its digit. The kernel's own
 * packets, such as ICMP errors and neighbour solicitations, come when they like and do not count.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Of struct iphdr's protocol in a frame. */
#define PROTOCOL (ETH_HLEN + 9)

enum side { IN, OUT, SIDES };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIDES);
	__type(key, __u32);
	__type(value, __u64);
} paths SEC(".maps");

static __always_inline int pass(struct __sk_buff *skb, __u32 side, __u32 digit)
{
	__u64 *path = bpf_map_lookup_elem(&paths, &side);
	__u8 protocol;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, PROTOCOL, &protocol, sizeof(protocol)) ||
	    protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	skb->mark = skb->mark * 10 + digit;
	if (path)
		*path = skb->mark;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int inward(struct __sk_buff *skb)
{
	return pass(skb, IN, 1);
}

SEC("tc")
int inward_from_elsewhere(struct __sk_buff *skb)
{
	return pass(skb, IN, 2);
}

SEC("tc")
int outward(struct __sk_buff *skb)
{
	return pass(skb, OUT, 3);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
