// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/* Frames without anybody who sends them, and what takes them away where they arrive. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ROOM 128
#define IP4_CHECKSUM (ETH_HLEN + 10)
#define IP4_PROTOCOL (ETH_HLEN + 9)
#define IP4_ADDRESSES (ETH_HLEN + 12)
#define IP4_TRANSPORT (ETH_HLEN + 20)
#define IP6_PROTOCOL (ETH_HLEN + 6)
#define IP6_ADDRESSES (ETH_HLEN + 8)
#define IP6_TRANSPORT (ETH_HLEN + 40)
#define UDP_CHECKSUM 6
#define TCP_CHECKSUM 16

/* Each sender's address has so many conversations. */
#define PORT_BITS 15
#define FIRST_PORT 1024

/* What there is to be done, and what came of it. One CPU at a time. */
struct order {
	__u8 frame[ROOM]; /* of an even length, from an address that ends in two zero bytes, and port 0 */
	__u32 last;       /* conversations are numbered from 0 to this, one less than a power of two, again and again */
	__u32 sent;       /* how many frames so far */
	__u32 drops;      /* frames go nowhere */
	__u32 answers;    /* what arrives at the backends' port is answered */
	__u32 port;       /* the backends', in network byte order */
	__u32 unused;
	__u64 arrived;
} order;

/* Who is given the frames; if nobody is, the device is. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

/* The checksum (RFC 1624) of what summed up to the complement of this one, and to so much more now. */
static __always_inline __sum16 mended(__sum16 checksum, __u32 more)
{
	__u32 sum = more + (__u16)~checksum;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Frames come back as those who had them left them, so each is written anew. */
SEC("xdp")
int inject(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	bool v4 = ((struct ethhdr *)order.frame)->h_proto == bpf_htons(ETH_P_IP);
	__u32 number = order.sent++ & order.last;
	__u16 address = bpf_htons(number >> PORT_BITS);
	__u16 port = bpf_htons(FIRST_PORT + (number & ((1 << PORT_BITS) - 1)));
	__u16 *checksum;
	__u32 i = 0;
	bool tcp;

	for (; i <= ROOM - 8 && data + i + 8 <= end; i += 8)
		*(__u64 *)(data + i) = *(__u64 *)(order.frame + i);
	for (; i <= ROOM - 2 && data + i + 2 <= end; i += 2)
		*(__u16 *)(data + i) = *(__u16 *)(order.frame + i);
	if (data + IP6_TRANSPORT > end)
		return XDP_ABORTED;
	if (v4) {
		tcp = order.frame[IP4_PROTOCOL] == IPPROTO_TCP;
		checksum = data + IP4_TRANSPORT + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
		*(__u16 *)(data + IP4_ADDRESSES + 2) = address;
		*(__u16 *)(data + IP4_TRANSPORT) = port;
		*(__u16 *)(data + IP4_CHECKSUM) = mended(*(__u16 *)(order.frame + IP4_CHECKSUM), address);
	} else {
		tcp = order.frame[IP6_PROTOCOL] == IPPROTO_TCP;
		checksum = data + IP6_TRANSPORT + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
		if ((void *)(checksum + 1) > end)
			return XDP_ABORTED;
		*(__u16 *)(data + IP6_ADDRESSES + 14) = address;
		*(__u16 *)(data + IP6_TRANSPORT) = port;
	}
	if ((void *)(checksum + 1) > end)
		return XDP_ABORTED;
	*checksum = mended(*checksum, address + port) ?: 0xffff;
	if (order.drops)
		return XDP_DROP;
	bpf_tail_call(xdp, &next, 0);
	return XDP_PASS;
}

/* The ports of TCP and UDP, which nobody else speaks here; null: it is something else. */
static __always_inline __u16 *ports_of(void *data, void *end)
{
	struct ethhdr *link = data;
	__u16 *ports;
	__u8 protocol;

	if (data + IP4_TRANSPORT > end)
		return NULL;
	if (link->h_proto == bpf_htons(ETH_P_IP)) {
		protocol = *(__u8 *)(data + IP4_PROTOCOL);
		ports = data + IP4_TRANSPORT;
	} else if (link->h_proto == bpf_htons(ETH_P_IPV6)) {
		protocol = *(__u8 *)(data + IP6_PROTOCOL);
		ports = data + IP6_TRANSPORT;
	} else {
		return NULL;
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return NULL;
	return (void *)(ports + 2) <= end ? ports : NULL;
}

static __always_inline void swap(__u32 *one, __u32 *other)
{
	__u32 kept = *one;

	*one = *other;
	*other = kept;
}

/* Turns a datagram round, which leaves its checksums right. */
static __always_inline void turn_round(void *data, void *end, __u16 *ports)
{
	struct ethhdr *link = data;
	__u8 address[ETH_ALEN];
	__u32 *addresses;
	__u16 port = ports[0];

	ports[0] = ports[1];
	ports[1] = port;
	__builtin_memcpy(address, link->h_dest, ETH_ALEN);
	__builtin_memcpy(link->h_dest, link->h_source, ETH_ALEN);
	__builtin_memcpy(link->h_source, address, ETH_ALEN);
	if (link->h_proto == bpf_htons(ETH_P_IP)) {
		addresses = data + IP4_ADDRESSES;
		swap(addresses, addresses + 1);
	} else {
		addresses = data + IP6_ADDRESSES;
		/* The verifier has forgotten that the ports lie behind them. */
		if ((void *)(addresses + 8) > end)
			return;
		for (int i = 0; i < 4; i++)
			swap(addresses + i, addresses + 4 + i);
	}
}

enum arrival { NOT_OURS, TAKEN, ANSWERED };

static __always_inline enum arrival arrive(void *data, void *end)
{
	__u16 *ports = ports_of(data, end);

	if (!ports)
		return NOT_OURS;
	order.arrived++;
	if (!order.answers || ports[1] != order.port)
		return TAKEN;
	turn_round(data, end, ports);
	return ANSWERED;
}

SEC("tc")
int sink(struct __sk_buff *skb)
{
	switch (arrive((void *)(long)skb->data, (void *)(long)skb->data_end)) {
	case TAKEN:
		return TC_ACT_SHOT;
	case ANSWERED:
		return bpf_redirect(skb->ifindex, 0);
	default:
		return TC_ACT_UNSPEC;
	}
}

/* At a driver, for frames that another one sends. */
SEC("xdp")
int driver_sink(struct xdp_md *xdp)
{
	switch (arrive((void *)(long)xdp->data, (void *)(long)xdp->data_end)) {
	case TAKEN:
		return XDP_DROP;
	case ANSWERED:
		return XDP_TX;
	default:
		return XDP_PASS;
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
