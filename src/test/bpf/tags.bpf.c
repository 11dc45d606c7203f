// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/*
 * What the programs of a device leave to whoever comes behind them, and a VLAN tag for what comes to them. Only frames that
 * end in "tag!" count, so that nobody has to tell them from the kernel's own.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MOST 128

/* A frame, and the tag that the kernel keeps beside it. */
struct sight {
	__u32 count;
	__u32 length;
	__u32 tagged;
	__u16 tpid; /* of that tag */
	__u16 tci;
	__u8 bytes[MOST];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sight);
} sights SEC(".maps");

/* The tag for all that leaves; 0: none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tags SEC(".maps");

static __always_inline int counts(struct __sk_buff *skb)
{
	__u32 end;

	return skb->len > ETH_HLEN && !bpf_skb_load_bytes(skb, skb->len - sizeof(end), &end, sizeof(end)) &&
	       end == bpf_htonl(0x74616721);
}

SEC("tc")
int witness(struct __sk_buff *skb)
{
	__u32 key = 0, length = skb->len;
	struct sight *sight = bpf_map_lookup_elem(&sights, &key);

	if (!sight || !counts(skb))
		return TC_ACT_UNSPEC;
	if (length > MOST)
		length = MOST;
	if (length < ETH_HLEN || bpf_skb_load_bytes(skb, 0, sight->bytes, length))
		return TC_ACT_UNSPEC;
	sight->length = length;
	sight->tagged = skb->vlan_present;
	sight->tpid = bpf_ntohs(skb->vlan_proto);
	sight->tci = skb->vlan_tci;
	__sync_fetch_and_add(&sight->count, 1);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int tagger(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *tag = bpf_map_lookup_elem(&tags, &key);

	if (tag && *tag && counts(skb))
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), *tag);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
