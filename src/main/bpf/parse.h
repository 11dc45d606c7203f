/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads what a packet's headers say. Nearly all packets are plain and are read where they stand, since a call of the kernel
 * costs as much as a look-up; for any other the kernel is asked, which knows also what is not in one piece.
 */
#ifndef SHUNT_PARSE_H
#define SHUNT_PARSE_H

#include "packet.h"

enum parsed {
	PARSED,
	NOT_OURS,  /* no unicast IP, or a protocol that services do not have */
	MALFORMED, /* what the headers say cannot be */
};

#define IP4_WITHOUT_OPTIONS 0x45

/* Reads the ports, and what tells how a conversation goes on. False: that is not all there. */
static __always_inline bool read_transport(const void *transport, const void *end, __u32 room, struct packet *packet)
{
	const __be16 *ports = transport;
	const __u8 *bytes = transport;

	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		if (room < TCP_HEADER || transport + TCP_HEADER > end)
			return false;
		packet->flags = bytes[TCP_FLAGS];
		break;
	case IPPROTO_UDP:
		if (room < UDP_HEADER || transport + UDP_HEADER > end)
			return false;
		break;
	case IPPROTO_SCTP:
		if (room < SCTP_HEADERS || transport + SCTP_HEADERS > end)
			return false;
		packet->flags = bytes[SCTP_FIRST_CHUNK];
		break;
	default:
		return false;
	}
	packet->tuple.source_port = ports[0];
	packet->tuple.destination_port = ports[1];
	return true;
}

static __always_inline bool read_plain4(const struct ip4_header *ip, const void *end, struct packet *packet)
{
	if ((const void *)(ip + 1) > end || ip->version_and_length != IP4_WITHOUT_OPTIONS ||
	    ip->fragment & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))
		return false;
	packet->length = bpf_ntohs(ip->total_length);
	if (packet->length < sizeof(*ip))
		return false;
	packet->transport = packet->ip + sizeof(*ip);
	packet->is_v4 = true;
	packet->may_not_fragment = ip->fragment & bpf_htons(IP_DONT_FRAGMENT);
	packet->ttl = ip->ttl;
	packet->checksum = ip->checksum;
	packet->tuple.source = v4_mapped(ip->source);
	packet->tuple.destination = v4_mapped(ip->destination);
	packet->tuple.protocol = ip->protocol;
	return read_transport(ip + 1, end, packet->length - sizeof(*ip), packet);
}

static __always_inline bool read_plain6(const struct ip6_header *ip, const void *end, struct packet *packet)
{
	if ((const void *)(ip + 1) > end || bpf_ntohl(ip->version_and_flow) >> 28 != 6)
		return false;
	packet->length = sizeof(*ip) + bpf_ntohs(ip->payload_length);
	packet->transport = packet->ip + sizeof(*ip);
	packet->may_not_fragment = true;
	packet->ttl = ip->hop_limit;
	packet->tuple.source = ip->source;
	packet->tuple.destination = ip->destination;
	packet->tuple.protocol = ip->next;
	return read_transport(ip + 1, end, packet->length - sizeof(*ip), packet);
}

/*
 * Reads a plain packet, as nearly all are, where it stands: its IP header at `ip`, which is packet->ip bytes from the
 * beginning. False: it is none, or its headers do not stand together; something of it may have been written.
 */
static __always_inline bool read_plain(__be16 protocol, const void *ip, const void *end, struct packet *packet)
{
	if (protocol == bpf_htons(ETH_P_IP))
		packet->is_plain = read_plain4(ip, end, packet);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		packet->is_plain = read_plain6(ip, end, packet);
	return packet->is_plain;
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

/* Can the packet be as long as it says, and come from where it says? */
static __always_inline bool is_sound(struct __sk_buff *skb, const struct packet *packet)
{
	return (skb->gso_size || packet->length <= skb->len - packet->ip) && !is_spoofed_v4(packet) &&
	       !is_nobodys(&packet->tuple.source);
}

/* Reads (enum parsed) any packet. It is zeroed, and stands behind `at` bytes of something else. */
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
	return is_sound(skb, packet) ? parse_transport(skb, packet) : MALFORMED;
}

/* The same, for a packet behind a link-layer header, with no call for plain ones. */
static __always_inline enum parsed parse_frame(struct __sk_buff *skb, __u32 link, struct packet *packet)
{
	packet->ip = link;
	if (!read_plain(skb->protocol, (void *)(long)skb->data + link, (void *)(long)skb->data_end, packet))
		return parse(skb, link, packet);
	return is_sound(skb, packet) ? PARSED : MALFORMED;
}

#endif
