/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a packet's headers say, in the one form that the maps know. */
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

enum sctp_chunk {
	SCTP_INIT = 1,
	SCTP_ABORT = 6,
	SCTP_SHUTDOWN_COMPLETE = 14,
};

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
	bool is_plain : 1;          /* no options nor extension headers, no fragment, no error */
	bool is_fragment : 1;       /* any of several */
	bool is_later_fragment : 1; /* without ports */
	bool may_not_fragment : 1;
	bool is_echo : 1;     /* a ping; it has no ports */
	bool is_wrapped : 1;  /* it goes on within another, to another node */
	bool was_wrapped : 1; /* it has come so from another node */
	__u8 ttl;
	__u8 flags; /* of TCP; of SCTP the first chunk's type; of ICMP the type */
	__u8 obstacle; /* enum drop_reason: what its sender is to be told; 0: nothing */
};

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
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

static __always_inline __u32 folded_to_word(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return sum + (sum >> 32);
}

/* The checksum of what sums up to so much. */
static __always_inline __sum16 folded(__u64 sum)
{
	sum = folded_to_word(sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The checksum (RFC 1624) of what summed up to the complement of `checksum`, and to so much more now. */
static __always_inline __sum16 mended(__sum16 checksum, __u64 change)
{
	return folded(change + (__u16)~checksum);
}

/* What the addresses sum up to. Those of IPv4 do the same as without the words that come before. */
static __always_inline __u64 sum_of_addresses(const struct tuple *tuple)
{
	__u64 sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (__u64)tuple->source.word[i] + tuple->destination.word[i];
	return sum;
}

/* By how much the addresses' sum changes, where subtracting a word is adding its complement. */
static __always_inline __u64 change_of_addresses(const struct tuple *from, const struct tuple *to)
{
	return sum_of_addresses(to) + 8 * 0xffffffffULL - sum_of_addresses(from);
}

/* By how much a sum changes with a 16-bit word, of which but a byte is known. */
static __always_inline __u64 change_of_byte(__u16 from, __u16 to)
{
	return bpf_htons(to) + 0xffffULL - bpf_htons(from);
}

static __always_inline __u32 ports_of(const struct tuple *tuple)
{
	return (__u32)tuple->source_port | (__u32)tuple->destination_port << 16;
}

#endif
