/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a sender is told at once instead of being left to wait: the packet itself is turned into the answer, and goes
 * back where it came from.
 */
#ifndef SHUNT_ANSWER_H
#define SHUNT_ANSWER_H

#include "packet.h"
#include "write.h"

#define ANSWER_TTL 64

/* How much of a packet does an ICMP error quote at most? Everyone needs the ports; TCP's path MTU needs its sequence. */
#define QUOTE 128

static __always_inline bool swap_link_addresses(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 from[2 * ETH_ALEN], to[2 * ETH_ALEN];

	if (!packet->ip)
		return true;
	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)))
		return false;
	__builtin_memcpy(to, from + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(to + ETH_ALEN, from, ETH_ALEN);
	return !bpf_skb_store_bytes(skb, 0, to, sizeof(to), 0);
}

/* Swapped addresses and ports leave every checksum as it is. */
static __always_inline bool swap_addresses(struct __sk_buff *skb, const struct packet *packet)
{
	const struct tuple *tuple = &packet->tuple;

	if (packet->is_v4) {
		__be32 swapped[2] = {tuple->destination.word[3], tuple->source.word[3]};

		return !bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip4_header, source), swapped,
					    sizeof(swapped), 0);
	}
	struct address swapped[2] = {tuple->destination, tuple->source};

	return !bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip6_header, source), swapped, sizeof(swapped), 0);
}

/*
 * The answer to a SYN: a reset of the same length, so that whatever is to fill in the checksum later still fits; its
 * options become padding.
 */
__noinline bool make_reset(struct __sk_buff *skb, const struct packet *packet)
{
	/* Sequence, acknowledgement, then offset, flags and window. */
	__be32 old[3], new[3];
	__be16 ports[2];
	__u32 at, options;
	__s64 change;

	if (!packet)
		return false;
	ports[0] = packet->tuple.destination_port;
	ports[1] = packet->tuple.source_port;
	at = packet->transport;
	if (bpf_skb_load_bytes(skb, at + TCP_SEQUENCE, old, sizeof(old)))
		return false;
	options = (bpf_ntohl(old[2]) >> 28) * 4;
	if (options < 20 || options > packet->length - (at - packet->ip))
		return false;
	new[0] = 0;
	new[1] = bpf_htonl(bpf_ntohl(old[0]) + 1 + (packet->length - (at - packet->ip) - options));
	new[2] = bpf_htonl((bpf_ntohl(old[2]) & 0xf0000000) | (TCP_RST | TCP_ACK) << 16);
	change = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);
	if (bpf_skb_store_bytes(skb, at + TCP_SEQUENCE, new, sizeof(new), 0) ||
	    bpf_skb_store_bytes(skb, at, ports, sizeof(ports), 0))
		return false;
	for (__u32 i = 20; i < 60 && i < options; i += 4) {
		__be32 option, padding = bpf_htonl(0x01010101);

		if (bpf_skb_load_bytes(skb, at + i, &option, sizeof(option)) ||
		    bpf_skb_store_bytes(skb, at + i, &padding, sizeof(padding), 0))
			return false;
		change = bpf_csum_diff(&option, sizeof(option), &padding, sizeof(padding), change);
	}
	if (bpf_l4_csum_replace(skb, at + TCP_CHECKSUM, 0, change, 0))
		return false;
	return set_ttl(skb, packet, ANSWER_TTL) && swap_addresses(skb, packet) && swap_link_addresses(skb, packet);
}

__noinline bool make_echo_reply(struct __sk_buff *skb, const struct packet *packet)
{
	__be16 old, new;
	__u8 type;

	if (!packet)
		return false;
	type = packet->is_v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	old = bpf_htons(packet->flags << 8);
	new = bpf_htons(type << 8);
	return !bpf_l4_csum_replace(skb, packet->transport + offsetof(struct icmp_header, checksum), old, new,
				    sizeof(new)) &&
	       !bpf_skb_store_bytes(skb, packet->transport, &type, sizeof(type), 0) &&
	       set_ttl(skb, packet, ANSWER_TTL) && swap_addresses(skb, packet) && swap_link_addresses(skb, packet);
}

/* How much of the packet is quoted: whole words, since sums are made of them. */
static __always_inline __u32 quoted(const struct packet *packet)
{
	__u32 length = packet->length & ~3u;

	return length > QUOTE ? QUOTE : length;
}

static __always_inline __s64 sum_of_quote(struct __sk_buff *skb, __u32 at, __u32 length, __s64 sum)
{
	__u8 quote[QUOTE];

	/*
	 * One comparison for both would be beyond what the verifier follows; and clang 19 would compare what the length was
	 * made of, which tells the verifier nothing of the length.
	 */
	barrier_var(length);
	if (length < sizeof(struct ip4_header))
		return -1;
	barrier_var(length);
	if (length > QUOTE || bpf_skb_load_bytes(skb, at, quote, length))
		return -1;
	return bpf_csum_diff(NULL, 0, (__be32 *)quote, length, sum);
}

/* mtu: bytes; 0 where the error has none */
__noinline bool make_icmp4_error(struct __sk_buff *skb, const struct packet *packet, __u16 type_and_code, __u32 mtu)
{
	struct {
		struct ip4_header ip;
		struct icmp_header icmp;
	} head = {
		.ip = {.version_and_length = 0x45, .ttl = ANSWER_TTL, .protocol = IPPROTO_ICMP},
	};
	__u32 quote;
	__s64 sum;

	if (!packet)
		return false;
	quote = quoted(packet);
	head.ip.source = packet->tuple.destination.word[3];
	head.ip.destination = packet->tuple.source.word[3];
	head.icmp.type = type_and_code >> 8;
	head.icmp.code = type_and_code;
	head.icmp.rest = bpf_htonl(mtu);
	head.ip.total_length = bpf_htons(sizeof(head) + quote);
	head.ip.checksum = folded(bpf_csum_diff(NULL, 0, (__be32 *)&head.ip, sizeof(head.ip), 0));
	sum = sum_of_quote(skb, packet->ip, quote,
			   bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), 0));
	if (sum < 0)
		return false;
	head.icmp.checksum = folded(sum);
	return !bpf_skb_change_tail(skb, packet->ip + quote, 0) &&
	       !bpf_skb_adjust_room(skb, sizeof(head), BPF_ADJ_ROOM_MAC, 0) &&
	       !bpf_skb_store_bytes(skb, packet->ip, &head, sizeof(head), BPF_F_INVALIDATE_HASH) &&
	       swap_link_addresses(skb, packet);
}

__noinline bool make_icmp6_error(struct __sk_buff *skb, const struct packet *packet, __u16 type_and_code, __u32 mtu)
{
	struct {
		struct ip6_header ip;
		struct icmp_header icmp;
	} head = {
		.ip = {.version_and_flow = bpf_htonl(6 << 28), .next = IPPROTO_ICMPV6, .hop_limit = ANSWER_TTL},
	};
	__be32 pseudo[2];
	__u32 quote;
	__s64 sum;

	if (!packet)
		return false;
	quote = quoted(packet);
	head.ip.source = packet->tuple.destination;
	head.ip.destination = packet->tuple.source;
	head.icmp.type = type_and_code >> 8;
	head.icmp.code = type_and_code;
	head.icmp.rest = bpf_htonl(mtu);
	/* The checksum covers addresses, length and protocol too. */
	pseudo[0] = bpf_htonl(sizeof(head.icmp) + quote);
	pseudo[1] = bpf_htonl(IPPROTO_ICMPV6);
	head.ip.payload_length = bpf_htons(sizeof(head.icmp) + quote);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.ip.source, 2 * sizeof(struct address), sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), sum);
	sum = sum_of_quote(skb, packet->ip, quote, sum);
	if (sum < 0)
		return false;
	head.icmp.checksum = folded(sum);
	return !bpf_skb_change_tail(skb, packet->ip + quote, 0) &&
	       !bpf_skb_adjust_room(skb, sizeof(head), BPF_ADJ_ROOM_MAC, 0) &&
	       !bpf_skb_store_bytes(skb, packet->ip, &head, sizeof(head), BPF_F_INVALIDATE_HASH) &&
	       swap_link_addresses(skb, packet);
}

#endif
