// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Services at the driver, before the kernel has made anything of a frame: for packets that come in from the network and
 * leave by it again. It does what is certain and nothing else, by the rules and in the tables of from_outside (tc.bpf.c),
 * which sits behind it and gets everything else as it came: what is for this node or its pods, what goes through a tunnel,
 * fragments, options, errors, and whatever is to be refused, told or dropped.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "begin.h"
#include "drop.h"
#include "flow.h"
#include "packet.h"
#include "parse.h"
#include "sctp.h"
#include "types.h"

/* The devices at which this program sits, by their index. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct driver);
} drivers SEC(".maps");

/* What all frames of one family that are looked at have in common. */
struct frame4 {
	struct ethhdr link;
	struct ip4_header ip;
	__u8 transport[];
} __attribute__((packed));

struct frame6 {
	struct ethhdr link;
	struct ip6_header ip;
	__u8 transport[];
} __attribute__((packed));

static __always_inline void *data_of(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data;
}

static __always_inline void *end_of(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data_end;
}

static __always_inline bool same_link_address(const __u8 a[ETH_ALEN], const __u8 b[ETH_ALEN])
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

/*
 * Is the checksum still to be filled in, by whoever sends the packet on? Veth hands such packets over, and what the kernel
 * has joined out of several is one. What stands there is the sum of what the transport's own bytes do not tell; one
 * finished checksum in 65,536 looks the same, and takes the way of all others.
 */
static __always_inline bool is_unfinished(const struct packet *packet, __sum16 checksum)
{
	__u16 length = packet->length - (packet->transport - packet->ip);

	/* The complement of a complement, which is the sum itself. */
	return mended(0xffff, sum_of_addresses(&packet->tuple) + bpf_htons(packet->tuple.protocol) + bpf_htons(length)) ==
	       (__sum16)~checksum;
}

/* Has it a checksum, that can be mended? */
static __always_inline bool is_finished(const void *transport, const void *end, const struct packet *packet)
{
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return transport + TCP_HEADER <= end && !is_unfinished(packet, *(__sum16 *)(transport + TCP_CHECKSUM));
	case IPPROTO_UDP:
		return transport + UDP_HEADER <= end && !is_unfinished(packet, *(__sum16 *)(transport + UDP_CHECKSUM));
	default:
		return transport + SCTP_HEADERS <= end && *(__u32 *)(transport + SCTP_CHECKSUM);
	}
}

/* Reads the packet if it is one for here. It is zeroed. */
static __always_inline bool read_frame(const struct xdp_md *xdp, struct packet *packet)
{
	const struct ethhdr *link = data_of(xdp);
	const void *end = end_of(xdp);
	__u32 device = xdp->ingress_ifindex;
	const void *transport;
	struct driver *driver;

	if ((void *)(link + 1) > end)
		return false;
	packet->ip = ETH_HLEN;
	if (!read_plain(link->h_proto, link + 1, end, packet))
		return false;
	transport = packet->is_v4 ? ((struct frame4 *)link)->transport : ((struct frame6 *)link)->transport;
	if (packet->ttl <= 1 || packet->ip + (__u32)packet->length > xdp->data_end - xdp->data ||
	    is_spoofed_v4(packet) || is_nobodys(&packet->tuple.source) || !is_finished(transport, end, packet))
		return false;
	/* Frames for others that a switch has flooded are not for us. */
	driver = bpf_map_lookup_elem(&drivers, &device);
	return driver && same_link_address(driver->address, link->h_dest);
}

/* Asks the kernel for the way to an address; 0 or one of the BPF_FIB_LKUP_RET_ codes. */
__noinline long find_way(struct xdp_md *xdp, const struct packet *packet, const struct tuple *to,
			 struct bpf_fib_lookup *way, __u32 flags)
{
	if (!packet || !to || !way)
		return -1;
	describe_way(packet, to, packet->length, xdp->ingress_ifindex, way);
	return bpf_fib_lookup(xdp, way, sizeof(*way), flags);
}

/* Makes the node speak for the client, as in tc.bpf.c. */
__noinline int masquerade(struct xdp_md *xdp, const struct packet *packet, struct tuple *to)
{
	struct bpf_fib_lookup way = {};
	struct address client;
	long found;

	if (!packet || !to)
		return 0;
	client = to->source;
	to->source = unspecified(packet->is_v4);
	found = find_way(xdp, packet, to, &way, source_flags());
	to->source = speaker(packet, found, &way, &client);
	return 0;
}

/* Can the driver itself send a frame there? */
static __always_inline bool is_reached(const struct xdp_md *xdp, __u32 device)
{
	struct driver *driver;

	if (device == xdp->ingress_ifindex)
		return true;
	driver = bpf_map_lookup_elem(&drivers, &device);
	return driver && driver->takes_others;
}

/* 0: the way is not certain, or none that a driver can take. A function of its own for the sake of the stack. */
__noinline __u32 find_exit(struct xdp_md *xdp, const struct packet *packet, struct routed_flow *routed)
{
	struct bpf_fib_lookup way = {};

	if (!packet || !routed)
		return 0;
	if (find_way(xdp, packet, &routed->flow.to, &way, 0) != BPF_FIB_LKUP_RET_SUCCESS || !is_reached(xdp, way.ifindex))
		return 0;
	/* It holds for this packet only. */
	routed->way.second = 0;
	__builtin_memcpy(routed->way.from, way.smac, ETH_ALEN);
	__builtin_memcpy(routed->way.to, way.dmac, ETH_ALEN);
	return way.ifindex;
}

static __always_inline bool write_transport(const struct packet *packet, const struct tuple *to, void *transport,
					    const void *end)
{
	const struct tuple *from = &packet->tuple;
	__u64 change = change_of_addresses(from, to) + ports_of(to) + 0xffffffff - ports_of(from);
	__be16 *ports = transport;
	__u32 *crc;
	__sum16 *sum;

	switch (from->protocol) {
	case IPPROTO_TCP:
		if (transport + TCP_HEADER > end)
			return false;
		sum = transport + TCP_CHECKSUM;
		*sum = mended(*sum, change);
		break;
	case IPPROTO_UDP:
		if (transport + UDP_HEADER > end)
			return false;
		sum = transport + UDP_CHECKSUM;
		/* Zero says that there is none. */
		if (*sum)
			*sum = mended(*sum, change) ?: 0xffff;
		break;
	default:
		if (transport + SCTP_HEADERS > end)
			return false;
		crc = transport + SCTP_CHECKSUM;
		*crc ^= crc32c_shift(ports_of(from) ^ ports_of(to),
				     packet->length - (packet->transport - packet->ip));
		break;
	}
	ports[0] = to->source_port;
	ports[1] = to->destination_port;
	return true;
}

static __always_inline void write_link(struct ethhdr *link, const struct way *way)
{
	__builtin_memcpy(link->h_dest, way->to, ETH_ALEN);
	__builtin_memcpy(link->h_source, way->from, ETH_ALEN);
}

/* Writes the packet as the flow says, and what forwarding does to it. False: nothing was written. */
static __always_inline bool write_frame(struct xdp_md *xdp, const struct packet *packet, const struct routed_flow *routed)
{
	const struct tuple *to = &routed->flow.to;
	void *end = end_of(xdp);

	if (packet->is_v4) {
		struct frame4 *frame = data_of(xdp);
		__u64 change = change_of_byte(packet->ttl << 8, (packet->ttl - 1) << 8);

		if ((void *)(frame + 1) > end || !write_transport(packet, to, frame->transport, end))
			return false;
		frame->ip.source = to->source.word[3];
		frame->ip.destination = to->destination.word[3];
		frame->ip.ttl = packet->ttl - 1;
		frame->ip.checksum = mended(frame->ip.checksum, change_of_addresses(&packet->tuple, to) + change);
		write_link(&frame->link, &routed->way);
	} else {
		struct frame6 *frame = data_of(xdp);

		if ((void *)(frame + 1) > end || !write_transport(packet, to, frame->transport, end))
			return false;
		frame->ip.source = to->source;
		frame->ip.destination = to->destination;
		frame->ip.hop_limit = packet->ttl - 1;
		write_link(&frame->link, &routed->way);
	}
	return true;
}

static __always_inline int translate(struct xdp_md *xdp)
{
	struct packet packet = {};
	struct routed_flow routed = {};
	struct flow *flow = &routed.flow;
	enum verdict verdict;
	__u32 exit;

	if (!read_frame(xdp, &packet))
		return XDP_PASS;
	if (find_flow(&packet.tuple, &routed)) {
		if (flow->tunnel != TUNNEL_NONE || is_outlived(flow, &packet))
			return XDP_PASS;
	} else {
		if (!is_new_connection(&packet))
			return XDP_PASS;
		verdict = begin(&packet, FROM_OUTSIDE, xdp->ingress_ifindex, flow);
		if (verdict != FOLLOW && verdict != MASQUERADE)
			return XDP_PASS;
		if (verdict == MASQUERADE)
			masquerade(xdp, &packet, &flow->to);
		/* Also if the rest is for who comes next: to choose twice would favour some backends. */
		if (!remember(&packet, flow, verdict))
			return XDP_PASS;
	}
	exit = find_exit(xdp, &packet, &routed);
	if (!exit)
		return XDP_PASS;
	if (!keep_up(&routed, &packet)) {
		count_drop(xdp->ingress_ifindex, &packet, flow, DROP_FLOWS_FULL);
		return XDP_DROP;
	}
	if (!write_frame(xdp, &packet, &routed))
		return XDP_PASS;
	return exit == xdp->ingress_ifindex ? XDP_TX : bpf_redirect(exit, 0);
}

/* By the driver itself, or by the kernel for drivers that cannot: alike, and told apart by who has attached them. */
SEC("xdp")
int driver_native(struct xdp_md *xdp)
{
	return translate(xdp);
}

SEC("xdp")
int driver_generic(struct xdp_md *xdp)
{
	return translate(xdp);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
