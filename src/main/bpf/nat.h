/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From where does a packet seem to come to its backend? Replies are told apart by backend, address and port: so a
 * port serves as many conversations as there are backends, and is free again as soon as its conversation is over.
 */
#ifndef SHUNT_NAT_H
#define SHUNT_NAT_H

#include "flow.h"

/* How many ports are tried before a new conversation is refused? With nine ports of ten in use one in a thousand fails. */
#define PORT_TRIES 64

/* How long is a port kept, in seconds, for whom the backend has not answered, or who has not answered it? */
#define HALF_OPEN_SECONDS 5

const volatile struct packet_settings packet_settings SEC(".rodata.settings") = {};

enum reserved {
	RESERVED,
	TAKEN,  /* by another conversation */
	NO_ROOM,
};

/*
 * Is its port free for a new conversation? Nobody has come back for one that was silent from the beginning: so a flood
 * keeps no ports. Whoever was only slow begins anew.
 */
static __always_inline bool is_free(const struct flow *flow)
{
	return is_over(flow) || (!is_confirmed(flow) && (__s32)(now_seconds() - flow->seen) > HALF_OPEN_SECONDS);
}

/*
 * Makes both entries of a new flow. The reply's nobody else may have: it stands in flows_new before anyone looks whether it
 * stands in `flows`, and who confirms a flow writes there first.
 */
__noinline int reserve(const struct flow *forward)
{
	struct routed_flow *confirmed;
	struct flow reply, *known;
	bool is_put;

	if (!forward)
		return NO_ROOM;
	turn_flow_round(forward, &reply);
	if (!put_uncounted(&reply)) {
		known = bpf_map_lookup_elem(&flows_new, &reply.from);
		if (!known)
			return NO_ROOM;
		if (!is_free(known))
			return TAKEN;
		/* Or whoever had it could take it back. Where it stands in between is for the sake of the stack. */
		turn_round(&known->to, &reply.to);
		take_new(&reply.to);
		turn_round(&forward->from, &reply.to);
		take_new(&reply.from);
		if (!put_uncounted(&reply))
			return TAKEN;
	}
	confirmed = bpf_map_lookup_elem(&flows, &reply.from);
	if (confirmed && !is_over(&confirmed->flow)) {
		count_put(1);
		take_new(&reply.from);
		return TAKEN;
	}
	if (confirmed) {
		turn_round(&confirmed->flow.to, &reply.to);
		bpf_map_delete_elem(&flows, &reply.to);
		bpf_map_delete_elem(&flows, &reply.from);
	}
	is_put = put_uncounted(forward);
	count_put(is_put ? 2 : 1);
	return is_put || put_new(forward) ? RESERVED : NO_ROOM;
}

/*
 * Finds a source port for a flow whose source address is set: its own if that will do, else any of those set aside. They
 * are tried at random, so that the port of a conversation just over rests for a while.
 */
static __always_inline enum reserved reserve_port(struct flow *flow, bool keeps_port)
{
	enum reserved reserved = TAKEN;
	__u32 offset;

	if (keeps_port)
		reserved = reserve(flow);
	for (int i = 0; i < PORT_TRIES && reserved == TAKEN; i++) {
		offset = ((__u64)bpf_get_prandom_u32() * packet_settings.ports) >> 32;
		flow->to.source_port = bpf_htons(packet_settings.first_port + offset);
		reserved = reserve(flow);
	}
	return reserved;
}

static __always_inline bool is_masquerade_port(__be16 port)
{
	return bpf_ntohs(port) - packet_settings.first_port < packet_settings.ports;
}

#endif
