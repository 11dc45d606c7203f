/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A client stays with its backend. Who the client is, the network namespace says: a pod is one, the host is one, whatever
 * addresses they have. All ports of a service that are one in the table share what is remembered, by whichever address
 * they are asked for. These are global functions, so that the verifier walks each once.
 */
#ifndef SHUNT_AFFINITY_H
#define SHUNT_AFFINITY_H

#include "maps.h"
#include "peer.h"
#include "service.h"

#define SECOND_NS 1000000000ULL

static __always_inline struct affinity_key affinity_key(struct bpf_sock_addr *ctx, __u32 service_id)
{
	return (struct affinity_key){.client = bpf_get_netns_cookie(ctx), .service_id = service_id};
}

/*
 * Writes into the origin the backend that the client used within that time, if it may still be chosen; and from now on
 * the time starts anew.
 */
__noinline bool affinity_recall(struct bpf_sock_addr *ctx, __u32 service_id, __u32 reach, __u32 seconds,
				struct origin *origin)
{
	struct affinity_key key = affinity_key(ctx, service_id);
	struct affinity *known = bpf_map_lookup_elem(&affinity, &key);
	struct backend *backend;
	__u64 used, now;
	__u32 id;
	__u8 state;

	if (!known || !origin)
		return false;
	id = *(volatile __u32 *)&known->backend_id;
	origin->backend_id = id;
	origin->generation = *(volatile __u32 *)&known->generation;
	used = *(volatile __u64 *)&known->last_used;
	barrier();
	if (known->key.client != key.client || known->key.service_id != service_id)
		return false;
	now = bpf_ktime_get_coarse_ns();
	if (now - used >= seconds * SECOND_NS)
		return false;
	backend = bpf_map_lookup_elem(&backends, &id);
	if (!backend)
		return false;
	state = *(volatile __u8 *)&backend->state;
	if (!(state & (reach == REACH_LOCAL ? BACKEND_IN_LOCAL : BACKEND_IN_CLUSTER)) ||
	    backend->generation != origin->generation || backend->service_id != service_id)
		return false;
	origin->backend = backend->address;
	origin->backend_port = backend->port;
	known->last_used = now;
	return true;
}

__noinline int affinity_remember(struct bpf_sock_addr *ctx, __u32 service_id, const struct origin *origin)
{
	struct affinity now = {.key = affinity_key(ctx, service_id), .last_used = bpf_ktime_get_coarse_ns()};

	if (!origin)
		return 0;
	now.backend_id = origin->backend_id;
	now.generation = origin->generation;
	if (bpf_map_update_elem(&affinity, &now.key, &now, BPF_ANY))
		count_error(SOCK_AFFINITY_LOST);
	return 0;
}

#endif
