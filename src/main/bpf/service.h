/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a service address to one of its backends. */
#ifndef SHUNT_SERVICE_H
#define SHUNT_SERVICE_H

#include "maps.h"
#include "peer.h"

/* What is known of the service behind an address. */
struct service {
	__u32 id; /* 0: there is none */
	__u32 affinity_seconds;
	__u8 access;
};

static __always_inline bool is_frontend(const struct frontend *frontend, const struct frontend_key *key)
{
	const struct frontend_key *found = &frontend->key;

	return found->port == key->port && found->protocol == key->protocol &&
	       same_address(&found->address, &key->address);
}

static __always_inline struct service find_frontend(const struct frontend_key *key)
{
	struct frontend *frontend;
	struct service service;

	/* Its element may have been another's by the time it was read: once more, for it may only have been replaced. */
	for (int i = 0; i < 2; i++) {
		frontend = bpf_map_lookup_elem(&frontends, key);
		if (!frontend)
			break;
		service.id = *(volatile __u32 *)&frontend->service_id;
		service.affinity_seconds = *(volatile __u32 *)&frontend->affinity_seconds;
		service.access = *(volatile __u8 *)&frontend->access;
		barrier();
		if (is_frontend(frontend, key))
			return service;
	}
	return (struct service){};
}

/* Flags of enum node_address; 0: the address takes no node ports. */
static __always_inline __u32 node_address(const struct address *address)
{
	struct address known = *address;
	__u32 *flags;

	if (is_v4_loopback(&known))
		known.word[3] = LOOPBACK4;
	flags = bpf_map_lookup_elem(&node_addresses, &known);
	return flags ? *flags : 0;
}

static __always_inline struct service find_node_port(const struct address *address, __be16 port, __u8 protocol)
{
	struct frontend_key key = {.port = port, .protocol = protocol};

	if (is_v4(address))
		key.address = v4_mapped(0);
	return find_frontend(&key);
}

/* Which set does a connection from this node choose from? */
static __always_inline enum reach reach_inside(const struct service *service)
{
	return service->access & ACCESS_INSIDE_LOCAL ? REACH_LOCAL : REACH_CLUSTER;
}

static __always_inline __u32 set_id(__u32 service_id, enum reach reach)
{
	return service_id * REACHES + reach;
}

/* Base and count have to be of the same moment: the daemon may flip the set between two loads, so there is one. */
static __always_inline struct set read_set(__u32 id)
{
	union {
		__u64 word;
		struct set set;
	} now = {.word = 0};
	volatile __u64 *word = bpf_map_lookup_elem(&sets, &id);

	if (word)
		now.word = *word;
	else
		count_error(SOCK_BAD_SET);
	return now.set;
}

/* Spreads all numbers evenly over the places of a run. */
static __always_inline __u32 place(struct set set, __u32 number)
{
	return ((__u64)number * set.count) >> 32;
}

static __always_inline __u32 random_place(struct set set)
{
	return place(set, bpf_get_prandom_u32());
}

static __always_inline __u32 *backend_at(__u32 slot)
{
	__u32 number = slot / 2;
	struct slot_pair *pair = bpf_map_lookup_elem(&slots, &number);

	return pair ? &pair->backend_id[slot % 2] : NULL;
}

/*
 * Writes the backend of a slot into the origin. Its state does not matter: the run was whole when the set was read,
 * and the bytes it leads to are not used again before this program has ended.
 */
static __always_inline bool take(__u32 slot, struct origin *origin)
{
	__u32 *id = backend_at(slot);
	struct backend *backend;

	if (!id)
		goto bad;
	origin->backend_id = *id;
	backend = bpf_map_lookup_elem(&backends, &origin->backend_id);
	if (!backend)
		goto bad;
	origin->backend = backend->address;
	origin->backend_port = backend->port;
	origin->generation = backend->generation;
	return true;
bad:
	count_error(SOCK_BAD_SET);
	return false;
}

/*
 * Is the backend of this origin still what it was, and good for the conversations it has? State first: it is written
 * last when an entry is used again.
 */
static __always_inline bool still_serves(const struct origin *origin, __u32 service_id)
{
	__u32 id = origin->backend_id;
	struct backend *backend = bpf_map_lookup_elem(&backends, &id);

	return backend && *(volatile __u8 *)&backend->state & BACKEND_SERVES &&
	       backend->generation == origin->generation &&
	       backend->service_id == service_id;
}

static __always_inline void count_connection(__u32 service_id)
{
	struct service_stats *stats = bpf_map_lookup_elem(&service_stats, &service_id);

	if (stats)
		__sync_fetch_and_add(&stats->connections, 1);
}

static __always_inline void count_refused(__u32 service_id)
{
	struct service_stats *stats = bpf_map_lookup_elem(&service_stats, &service_id);

	if (stats)
		__sync_fetch_and_add(&stats->refused, 1);
}

#endif
