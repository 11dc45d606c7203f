/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A client stays with its backend. All ports of a service that are one in the table share what is remembered, by
 * whichever address they are asked for. These are global functions, so that the verifier walks each once.
 */
#ifndef SHUNT_AFFINITY_H
#define SHUNT_AFFINITY_H

#include "maps.h"
#include "peer.h"
#include "service.h"

#define SECOND_NS 1000000000ULL

/* Who the client is, the network namespace says: a pod is one, the host is one, whatever addresses they have. */
static __always_inline struct affinity_key affinity_of_namespace(struct bpf_sock_addr *ctx, __u32 service_id)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);

	return (struct affinity_key){
		.client = {{bpf_htonl(0x01000000), 0, bpf_htonl(cookie >> 32), bpf_htonl((__u32)cookie)}},
		.service_id = service_id,
	};
}

/*
 * Writes into the origin the backend that the client used within that time, if it may still be chosen; and from now on
 * the time starts anew.
 */
__noinline bool affinity_recall(const struct affinity_key *key, __u32 reach, __u32 seconds, struct origin *origin)
{
	struct affinity *known;
	struct backend *backend;
	__u64 used, now;
	__u32 id;
	__u8 state;

	if (!key || !origin)
		return false;
	known = bpf_map_lookup_elem(&affinity, key);
	if (!known)
		return false;
	id = *(volatile __u32 *)&known->backend_id;
	origin->backend_id = id;
	origin->generation = *(volatile __u32 *)&known->generation;
	used = *(volatile __u64 *)&known->last_used;
	barrier();
	if (!same_address(&known->key.client, &key->client) || known->key.service_id != key->service_id)
		return false;
	now = bpf_ktime_get_coarse_ns();
	if (now - used >= seconds * SECOND_NS)
		return false;
	backend = bpf_map_lookup_elem(&backends, &id);
	if (!backend)
		return false;
	state = *(volatile __u8 *)&backend->state;
	if (!(state & (reach == REACH_LOCAL ? BACKEND_IN_LOCAL : BACKEND_IN_CLUSTER)) ||
	    backend->generation != origin->generation || backend->service_id != key->service_id)
		return false;
	origin->backend = backend->address;
	origin->backend_port = backend->port;
	known->last_used = now;
	return true;
}

__noinline int affinity_remember(const struct affinity_key *key, const struct origin *origin)
{
	struct affinity now = {.last_used = bpf_ktime_get_coarse_ns()};

	if (!key || !origin)
		return 0;
	now.key = *key;
	now.backend_id = origin->backend_id;
	now.generation = origin->generation;
	if (bpf_map_update_elem(&affinity, &now.key, &now, BPF_ANY))
		count_error(SOCK_AFFINITY_LOST);
	return 0;
}

#endif
