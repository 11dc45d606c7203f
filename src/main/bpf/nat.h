/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From where does a packet seem to come to its backend? Replies are told apart by backend, address and port: so a
 * port serves as many conversations as there are backends, and is free again as soon as its conversation is over.
 */
#ifndef SHUNT_NAT_H
#define SHUNT_NAT_H

#include "track.h"

/* From which addresses do masqueraded packets leave? By the device's index, where the kernel cannot tell. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct device_sources);
} device_sources SEC(".maps");

/* How many ports are tried before a new conversation is refused? With nine ports of ten in use one in a thousand fails. */
#define PORT_TRIES 64

/*
 * Makes both entries of a new flow. The reply's nobody else may have: it stands in flows_new before anyone looks whether it
 * stands in `flows`, and who confirms a flow writes there first. False: it is another's.
 */
__noinline bool reserve(const struct flow *forward)
{
	struct routed_flow *confirmed;
	enum claimed claimed;
	struct flow reply;

	if (!forward)
		return false;
	turn_flow_round(forward, &reply);
	claimed = claim(&reply);
	if (claimed == FREED) {
		/* Or whoever had it could take it back. */
		take_new(&reply.to);
		turn_round(&forward->from, &reply.to);
		claimed = claim(&reply);
	}
	if (claimed != CLAIMED)
		return false;
	confirmed = bpf_map_lookup_elem(&flows, &reply.from);
	if (confirmed && !is_over(&confirmed->flow)) {
		take_new(&reply.from);
		return false;
	}
	if (confirmed) {
		turn_round(&confirmed->flow.to, &reply.to);
		bpf_map_delete_elem(&flows, &reply.to);
		bpf_map_delete_elem(&flows, &reply.from);
	}
	return put_new(forward, PUT_ALWAYS);
}

/*
 * Finds a source port for a flow whose source address is set: its own if that will do, else any of those set aside. They
 * are tried at random, so that the port of a conversation just over rests for a while.
 */
static __always_inline bool reserve_port(struct flow *flow, bool keeps_port)
{
	bool reserved = keeps_port && reserve(flow);
	__u32 offset;

	for (int i = 0; i < PORT_TRIES && !reserved; i++) {
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
