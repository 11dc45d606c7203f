/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A packet's headers, read into the one form that the maps know, and written. */
#ifndef SHUNT_PACKET_H
#define SHUNT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "peer.h"
#include "types.h"

#define IP_DONT_FRAGMENT 0x4000
#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff
#define IP6_FRAGMENT_OFFSET 0xfff8
#define IP6_MORE_FRAGMENTS 1

/* How many extension headers may stand before the transport's? Real packets have one or two. */
#define EXTENSION_HEADERS 6

struct ip4_header {
	__u8 version_and_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__sum16 checksum;
	__be32 source;
	__be32 destination;
};

struct ip6_header {
	__be32 version_and_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	struct address source;
	struct address destination;
};

struct ip6_fragment_header {
	__u8 next;
	__u8 reserved;
	__be16 offset_and_more;
	__be32 id;
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
};

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
};

enum icmp6_type {
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
};

enum tcp_flag {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

/* Where the fields of transport headers stand. */
enum transport_offset {
	TCP_SEQUENCE = 4,
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CHECKSUM = 16,
	UDP_CHECKSUM = 6,
	SCTP_CHECKSUM = 8,
	SCTP_FIRST_CHUNK = 12,
};

/* How many bytes does every transport header have? Of SCTP with the first chunk's. */
enum transport_length {
	TCP_HEADER = 20,
	UDP_HEADER = 8,
	SCTP_HEADERS = 16,
};

#define SCTP_INIT 1

/* Where do an IP packet's parts stand, and what do they say? Offsets from the beginning of the data. */
struct packet {
	struct tuple tuple; /* of an ICMP error: of the packet that would answer the one it is about */
	struct address reporter; /* of an ICMP error */
	__u32 fragment_id;
	__u16 ip;
	__u16 transport;
	__u16 quoted_ip; /* 0: it is no ICMP error */
	__u16 quoted_transport;
	__u16 length; /* bytes, from the IP header on */
	__u16 mtu;    /* the same, that the way lets through */
	__sum16 checksum; /* of the IPv4 header */
	bool is_v4 : 1;
	bool is_fragment : 1;       /* any of several */
	bool is_later_fragment : 1; /* without ports */
	bool may_not_fragment : 1;
	bool is_echo : 1; /* a ping; it has no ports */
	__u8 ttl;
	__u8 flags; /* of TCP; of SCTP the first chunk's type; of ICMP the type */
	__u8 obstacle; /* enum drop_reason: what its sender is to be told; 0: nothing */
};

enum parsed {
	PARSED,
	NOT_OURS,  /* no unicast IP, or a protocol that services do not have */
	MALFORMED, /* what the headers say cannot be */
};

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static __always_inline bool is_icmp_error(bool v4, __u8 type)
{
	if (v4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

static __always_inline enum parsed parse_ip4(struct __sk_buff *skb, __u32 at, struct packet *packet);
static __always_inline enum parsed parse_ip6(struct __sk_buff *skb, __u32 at, struct packet *packet);

/* The packet that an ICMP error is about: it went from the error's destination to where it could not get. */
static __always_inline enum parsed parse_quoted(struct __sk_buff *skb, struct packet *error)
{
	__u32 at = error->transport + sizeof(struct icmp_header);
	struct packet quoted = {};
	enum parsed parsed;
	__be16 ports[2];

	parsed = error->is_v4 ? parse_ip4(skb, at, &quoted) : parse_ip6(skb, at, &quoted);
	if (parsed != PARSED)
		return parsed;
	if (!has_ports(quoted.tuple.protocol) || quoted.is_later_fragment)
		return NOT_OURS;
	if (!same_address(&quoted.tuple.source, &error->tuple.destination) ||
	    bpf_skb_load_bytes(skb, quoted.transport, ports, sizeof(ports)))
		return MALFORMED;
	error->quoted_ip = quoted.ip;
	error->quoted_transport = quoted.transport;
	error->reporter = error->tuple.source;
	error->tuple = (struct tuple){
		.source = quoted.tuple.destination,
		.destination = quoted.tuple.source,
		.source_port = ports[1],
		.destination_port = ports[0],
		.protocol = quoted.tuple.protocol,
	};
	return PARSED;
}

/* Is so much of the transport there as its protocol always has? What the kernel has joined out of several, it has read. */
static __always_inline bool has_header(struct __sk_buff *skb, const struct packet *packet, __u32 bytes)
{
	return skb->gso_size || packet->transport + bytes <= packet->ip + (__u32)packet->length;
}

static __always_inline enum parsed parse_icmp(struct __sk_buff *skb, struct packet *packet)
{
	if (packet->is_fragment || packet->is_v4 != (packet->tuple.protocol == IPPROTO_ICMP))
		return NOT_OURS;
	if (!has_header(skb, packet, sizeof(struct icmp_header)) ||
	    bpf_skb_load_bytes(skb, packet->transport, &packet->flags, 1))
		return MALFORMED;
	packet->is_echo = packet->flags == (packet->is_v4 ? ICMP4_ECHO : ICMP6_ECHO);
	if (packet->is_echo)
		return PARSED;
	return is_icmp_error(packet->is_v4, packet->flags) ? parse_quoted(skb, packet) : NOT_OURS;
}

/* Reads the ports, and what tells how a conversation goes on. */
static __always_inline enum parsed parse_transport(struct __sk_buff *skb, struct packet *packet)
{
	__be16 ports[2];
	__u32 flags, header;

	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		flags = packet->transport + TCP_FLAGS;
		header = TCP_HEADER;
		break;
	case IPPROTO_SCTP:
		flags = packet->transport + SCTP_FIRST_CHUNK;
		header = SCTP_HEADERS;
		break;
	case IPPROTO_UDP:
		flags = 0;
		header = UDP_HEADER;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return parse_icmp(skb, packet);
	default:
		return NOT_OURS;
	}
	if (packet->is_later_fragment)
		return PARSED;
	if (!has_header(skb, packet, header) || bpf_skb_load_bytes(skb, packet->transport, ports, sizeof(ports)))
		return MALFORMED;
	packet->tuple.source_port = ports[0];
	packet->tuple.destination_port = ports[1];
	if (flags && bpf_skb_load_bytes(skb, flags, &packet->flags, 1))
		return MALFORMED;
	return PARSED;
}

static __always_inline enum parsed parse_ip4(struct __sk_buff *skb, __u32 at, struct packet *packet)
{
	struct ip4_header ip;
	__u32 header;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
		return MALFORMED;
	header = (ip.version_and_length & 15) * 4;
	packet->length = bpf_ntohs(ip.total_length);
	if (ip.version_and_length >> 4 != 4 || header < sizeof(ip))
		return MALFORMED;
	/* 0: what the kernel has joined is longer than can be said. */
	if (packet->length < header && (packet->length || !skb->gso_size))
		return MALFORMED;
	fragment = bpf_ntohs(ip.fragment);
	packet->ip = at;
	packet->transport = at + header;
	packet->tuple.source = v4_mapped(ip.source);
	packet->tuple.destination = v4_mapped(ip.destination);
	packet->tuple.protocol = ip.protocol;
	packet->fragment_id = ip.id;
	packet->is_v4 = true;
	packet->is_fragment = fragment & (IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET);
	packet->is_later_fragment = fragment & IP_FRAGMENT_OFFSET;
	packet->may_not_fragment = fragment & IP_DONT_FRAGMENT;
	packet->ttl = ip.ttl;
	packet->checksum = ip.checksum;
	return PARSED;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_AH ||
	       next == IPPROTO_FRAGMENT;
}

/* One extension header: goes on to the next. */
static __always_inline bool skip_extension(struct __sk_buff *skb, struct packet *packet)
{
	struct ip6_fragment_header header;
	__u8 next = packet->tuple.protocol;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, packet->transport, &header, sizeof(header)))
		return false;
	packet->tuple.protocol = header.next;
	if (next == IPPROTO_FRAGMENT) {
		fragment = bpf_ntohs(header.offset_and_more);
		packet->is_fragment = fragment & (IP6_FRAGMENT_OFFSET | IP6_MORE_FRAGMENTS);
		packet->is_later_fragment = fragment & IP6_FRAGMENT_OFFSET;
		packet->fragment_id = header.id;
		packet->transport += sizeof(header);
	} else if (next == IPPROTO_AH) {
		packet->transport += (header.reserved + 2) * 4;
	} else {
		packet->transport += (header.reserved + 1) * 8;
	}
	return true;
}

static __always_inline enum parsed parse_ip6(struct __sk_buff *skb, __u32 at, struct packet *packet)
{
	struct ip6_header ip;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
		return MALFORMED;
	if (bpf_ntohl(ip.version_and_flow) >> 28 != 6)
		return MALFORMED;
	packet->ip = at;
	packet->transport = at + sizeof(ip);
	packet->length = sizeof(ip) + bpf_ntohs(ip.payload_length);
	packet->tuple.source = ip.source;
	packet->tuple.destination = ip.destination;
	packet->tuple.protocol = ip.next;
	packet->may_not_fragment = true;
	packet->ttl = ip.hop_limit;
	for (int i = 0; i < EXTENSION_HEADERS && is_extension(packet->tuple.protocol); i++) {
		/* What stands behind the fragment header of a later fragment is payload. */
		if (packet->is_later_fragment)
			break;
		if (!skip_extension(skb, packet))
			return MALFORMED;
	}
	return PARSED;
}

/* IPv6 addresses that look like IPv4 are nobody's on the wire, and would be mistaken for another family's here. */
static __always_inline bool is_spoofed_v4(const struct packet *packet)
{
	return !packet->is_v4 && (is_v4(&packet->tuple.source) || is_v4(&packet->tuple.destination));
}

/* Nobody sends from here, and the kernel forwards nothing that pretends to. */
static __always_inline bool is_nobodys(const struct address *address)
{
	__u32 v4 = bpf_ntohl(address->word[3]);

	if (is_v4(address))
		return !v4 || v4 >> 24 == 127 || v4 >> 28 == 14 || v4 == 0xffffffff;
	return is_unspecified(address) || bpf_ntohl(address->word[0]) >> 24 == 0xff ||
	       (!address->word[0] && !address->word[1] && !address->word[2] && v4 == 1);
}

/* Reads (enum parsed) the packet that stands behind `at` bytes of link-layer header. The packet is zeroed. */
__noinline int parse(struct __sk_buff *skb, __u32 at, struct packet *packet)
{
	enum parsed parsed;

	if (!packet)
		return NOT_OURS;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		parsed = parse_ip4(skb, at, packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		parsed = parse_ip6(skb, at, packet);
	else
		return NOT_OURS;
	if (parsed != PARSED)
		return parsed;
	if (!skb->gso_size && packet->length > skb->len - at)
		return MALFORMED;
	if (is_spoofed_v4(packet) || is_nobodys(&packet->tuple.source))
		return MALFORMED;
	return parse_transport(skb, packet);
}

static __always_inline void turn_round(const struct tuple *tuple, struct tuple *turned)
{
	turned->source = tuple->destination;
	turned->destination = tuple->source;
	turned->source_port = tuple->destination_port;
	turned->destination_port = tuple->source_port;
	turned->protocol = tuple->protocol;
	__builtin_memset(turned->pad, 0, sizeof(turned->pad));
}

static __always_inline bool same_tuple(const struct tuple *a, const struct tuple *b)
{
	return a->source_port == b->source_port && a->destination_port == b->destination_port &&
	       a->protocol == b->protocol && same_address(&a->source, &b->source) &&
	       same_address(&a->destination, &b->destination);
}

static __always_inline __u32 checksum_offset(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

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

static __always_inline __sum16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/*
 * Writes addresses and time to live into the packet's own header: IPv4's at once, since every write costs a call. Returns as
 * write_addresses does.
 */
static __always_inline __s64 write_header(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
					  __u8 ttl)
{
	const struct tuple *from = &packet->tuple;
	__be32 old[2] = {from->source.word[3], from->destination.word[3]};
	struct {
		__u8 ttl;
		__u8 protocol;
		__sum16 checksum;
		__be32 address[2];
	} head = {ttl, from->protocol, 0, {to->source.word[3], to->destination.word[3]}};
	__s64 change;

	if (!packet->is_v4) {
		change = write_addresses(skb, packet->ip, false, &from->source, &to->source, false);
		return change >= 0 && ttl != packet->ttl && !set_ttl(skb, packet, ttl) ? -1 : change;
	}
	change = bpf_csum_diff(old, sizeof(old), head.address, sizeof(head.address), 0);
	head.checksum = folded((__u64)(__u16)~packet->checksum + (__u32)change + (__u16)~bpf_htons(packet->ttl << 8) +
			       bpf_htons(ttl << 8));
	return bpf_skb_store_bytes(skb, packet->ip + offsetof(struct ip4_header, ttl), &head, sizeof(head), 0) ? -1
													       : change;
}

#endif
