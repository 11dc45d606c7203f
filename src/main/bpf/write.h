/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Writes a packet's headers, each change so that all checksums stay right. */
#ifndef SHUNT_WRITE_H
#define SHUNT_WRITE_H

#include "packet.h"

/*
 * Writes source and destination of the IP header at `ip`, and mends its checksum. Returns by how much the sum over the addresses
 * has changed, for checksums that cover them too; negative if the packet could not be written.
 */
static __always_inline __s64 write_addresses(struct __sk_buff *skb, __u32 ip, bool v4, const struct address from[2],
					     const struct address to[2], bool is_quoted)
{
	__s64 change;

	if (v4) {
		__be32 old[2] = {from[0].word[3], from[1].word[3]};
		__be32 new[2] = {to[0].word[3], to[1].word[3]};

		change = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);
		if (bpf_skb_store_bytes(skb, ip + offsetof(struct ip4_header, source), new, sizeof(new), 0) ||
		    bpf_l3_csum_replace(skb, ip + offsetof(struct ip4_header, checksum), 0, change, 0))
			return -1;
		return change;
	}
	change = bpf_csum_diff((__be32 *)from, 2 * sizeof(*from), (__be32 *)to, 2 * sizeof(*to), 0);
	/*
	 * No checksum of the header outweighs the change, which the kernel believes when it mends the transport's of a
	 * packet whose sum the device has told: so it has to hear of it. Not within a quoted packet, where the
	 * error's checksum does.
	 */
	if (bpf_skb_store_bytes(skb, ip + offsetof(struct ip6_header, source), to, 2 * sizeof(*to),
				is_quoted ? 0 : BPF_F_RECOMPUTE_CSUM))
		return -1;
	return change;
}

/*
 * Writes both ports of the transport header; of SCTP, see sctp.h for its checksum, which does not outweigh the change as
 * others do, so that the kernel has to hear of it (BPF_F_RECOMPUTE_CSUM).
 */
static __always_inline bool write_ports(struct __sk_buff *skb, __u32 transport, const struct tuple *to, __u64 flags)
{
	__be16 ports[2] = {to->source_port, to->destination_port};

	return !bpf_skb_store_bytes(skb, transport, ports, sizeof(ports), flags);
}

/* The time to live, or hop limit. */
static __always_inline bool set_ttl(struct __sk_buff *skb, const struct packet *packet, __u8 ttl)
{
	__be16 old = bpf_htons(packet->ttl << 8);
	__be16 new = bpf_htons(ttl << 8);

	if (!packet->is_v4)
		return !bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip6_header, hop_limit), &ttl, 1,
					    BPF_F_RECOMPUTE_CSUM);
	return !bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip4_header, ttl), &ttl, 1, 0) &&
	       !bpf_l3_csum_replace(skb, packet->ip + offsetof(struct ip4_header, checksum), old, new, 2);
}

/*
 * Writes a plain packet's addresses, ports and time to live, at once since every write costs a call. Returns as
 * write_addresses does.
 */
static __always_inline __s64 write_plain(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
					 __u8 ttl)
{
	const struct tuple *from = &packet->tuple;
	__u32 change = folded_to_word(change_of_addresses(from, to));

	if (packet->is_v4) {
		struct {
			__u8 ttl;
			__u8 protocol;
			__sum16 checksum;
			__be32 address[2];
			__u32 ports;
		} head = {
			.ttl = ttl,
			.protocol = from->protocol,
			.checksum = mended(packet->checksum, change + change_of_byte(packet->ttl << 8, ttl << 8)),
			.address = {to->source.word[3], to->destination.word[3]},
			.ports = ports_of(to),
		};

		return bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip4_header, ttl), &head, sizeof(head), 0)
			       ? -1
			       : change;
	}
	struct {
		__be16 payload_length;
		__u8 next;
		__u8 hop_limit;
		struct address address[2];
		__u32 ports;
	} head = {
		.payload_length = bpf_htons(packet->length - sizeof(struct ip6_header)),
		.next = from->protocol,
		.hop_limit = ttl,
		.address = {to->source, to->destination},
		.ports = ports_of(to),
	};

	/* As in write_addresses: the kernel has to hear of what no checksum of the header outweighs. */
	bpf_csum_update(skb, folded_to_word((__u64)change + change_of_byte(packet->ttl, ttl)));
	return bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip6_header, payload_length), &head, sizeof(head), 0)
		       ? -1
		       : change;
}

/* Writes addresses and time to live into the header of any packet. Returns as write_addresses does. */
static __always_inline __s64 write_header(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
					  __u8 ttl)
{
	__s64 change = write_addresses(skb, packet->ip, packet->is_v4, &packet->tuple.source, &to->source, false);

	return change >= 0 && ttl != packet->ttl && !set_ttl(skb, packet, ttl) ? -1 : change;
}

#endif
