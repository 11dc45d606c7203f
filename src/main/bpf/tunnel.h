/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Packets that go to a backend on another node as they are, within one from this node to the backend: IPv4 in IPv4
 * (RFC 2003), IPv6 in IPv6 (RFC 2473). No device is needed at either end.
 */
#ifndef SHUNT_TUNNEL_H
#define SHUNT_TUNNEL_H

#include "answer.h"
#include "packet.h"

#define TUNNEL_TTL 64

/* Bits of the traffic class that tell of congestion. Nobody carries them over at the other end (RFC 6040, 4.1). */
#define IP4_CONGESTION 3
#define IP6_CONGESTION (3 << 20)

static __always_inline __u8 tunnel_header(const struct packet *packet)
{
	return packet->is_v4 ? sizeof(struct ip4_header) : sizeof(struct ip6_header);
}

/* Is it of the kind that wrap() makes? */
static __always_inline bool is_tunnel(const struct packet *packet)
{
	return packet->tuple.protocol == (packet->is_v4 ? IPPROTO_IPIP : IPPROTO_IPV6) && !packet->is_fragment &&
	       packet->transport - packet->ip == tunnel_header(packet);
}

/* What the kernel has joined may be longer than can be said; whoever parts it says it anew. */
static __always_inline __be16 said(__u32 length)
{
	return bpf_htons(length > 0xffff ? 0 : length);
}

/* Puts the packet into another, from and to these. It keeps the length of its segments. */
__noinline bool wrap(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to)
{
	const __u64 flags = BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH;

	if (!packet || !to)
		return false;
	if (packet->is_v4) {
		struct ip4_header outer = {
			.version_and_length = 0x45,
			.total_length = said(sizeof(outer) + packet->length),
			.fragment = bpf_htons(IP_DONT_FRAGMENT),
			.ttl = TUNNEL_TTL,
			.protocol = IPPROTO_IPIP,
			.source = to->source.word[3],
			.destination = to->destination.word[3],
		};

		if (bpf_skb_load_bytes(skb, packet->ip + offsetof(struct ip4_header, tos), &outer.tos, 1))
			return false;
		outer.tos &= ~IP4_CONGESTION;
		outer.checksum = folded(bpf_csum_diff(NULL, 0, (__be32 *)&outer, sizeof(outer), 0));
		return !bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC,
					    BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_FIXED_GSO) &&
		       !bpf_skb_store_bytes(skb, packet->ip, &outer, sizeof(outer), flags);
	}
	struct ip6_header outer = {
		.payload_length = said(packet->length),
		.next = IPPROTO_IPV6,
		.hop_limit = TUNNEL_TTL,
		.source = to->source,
		.destination = to->destination,
	};

	if (bpf_skb_load_bytes(skb, packet->ip, &outer.version_and_flow, sizeof(outer.version_and_flow)))
		return false;
	outer.version_and_flow &= ~bpf_htonl(IP6_CONGESTION);
	return !bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC,
				    BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_FIXED_GSO) &&
	       !bpf_skb_store_bytes(skb, packet->ip, &outer, sizeof(outer), flags);
}

/*
 * The backend's SYN says how long segments to it may be. Those of a way this wide will have to fit into another packet:
 * so that their sender need not find it out. All common stacks say it first of all options (RFC 9293, 3.2).
 */
__noinline bool limit_segments(struct __sk_buff *skb, const struct packet *packet, __u32 mtu)
{
	struct {
		__u8 kind;
		__u8 length;
		__be16 size;
	} option;
	__u32 most;
	__be16 size;
	__u8 offset;

	if (!packet)
		return false;
	most = mtu - 2 * tunnel_header(packet) - TCP_HEADER;
	size = bpf_htons(most);
	if (bpf_skb_load_bytes(skb, packet->transport + 12, &offset, 1) || offset >> 4 <= TCP_HEADER / 4 ||
	    bpf_skb_load_bytes(skb, packet->transport + TCP_HEADER, &option, sizeof(option)) || option.kind != 2 ||
	    option.length != sizeof(option) || bpf_ntohs(option.size) <= most)
		return true;
	return !bpf_l4_csum_replace(skb, packet->transport + TCP_CHECKSUM, option.size, size, sizeof(size)) &&
	       !bpf_skb_store_bytes(skb, packet->transport + TCP_HEADER + 2, &size, sizeof(size), 0);
}

/* Takes the packet out of the other, whose header stands before it. */
static __always_inline bool unwrap(struct __sk_buff *skb, struct packet *packet)
{
	__u8 header = tunnel_header(packet);

	if (bpf_skb_adjust_room(skb, -(__s32)header, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return false;
	packet->ip -= header;
	packet->transport -= header;
	if (packet->quoted_ip) {
		packet->quoted_ip -= header;
		packet->quoted_transport -= header;
	}
	packet->was_wrapped = true;
	return true;
}

#endif
