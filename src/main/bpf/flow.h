/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the packet programs remember of a conversation, and where. Until it is confirmed it stands in `flows_new`, where it may be
 * pushed out by others; then in `flows`, which forgets only what has been silent for too long; and once it is over in
 * `flows_new` again. So a flood of first packets pushes out its like, and no conversation that works.
 */
#ifndef SHUNT_FLOW_H
#define SHUNT_FLOW_H

#include "affinity.h"
#include "maps.h"
#include "packet.h"

/* What becomes of a packet of a confirmed conversation? Emptied by sweep.bpf.c. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct tuple);
	__type(value, struct routed_flow);
} flows SEC(".maps");

/* The same, as long as the client has not spoken again after it was answered, and once the conversation is over. See new.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct flow_row);
} flows_new SEC(".maps");

static __always_inline __u32 now_seconds(void)
{
	return bpf_ktime_get_coarse_ns() / SECOND_NS;
}

static __always_inline bool is_reply(const struct flow *flow)
{
	return flow->flags & FLOW_IS_REPLY;
}

static __always_inline bool is_confirmed(const struct flow *flow)
{
	return flow->flags & FLOW_IS_CONFIRMED;
}

static __always_inline bool is_of(const struct flow *flow, const struct tuple *tuple)
{
	return same_tuple(&flow->from, tuple);
}

/* Does it go on to another node as it is? Its replies do not come by here. */
static __always_inline bool is_direct(const struct flow *flow)
{
	return flow->tunnel == TUNNEL_INTO;
}

/* Is its port free for a new conversation? */
static __always_inline bool is_over(const struct flow *flow)
{
	return flow->state >= FLOW_CLOSED;
}

/* The entry of the other direction; its own of a flow that has no other. */
static __always_inline void turn_flow_round(const struct flow *flow, struct flow *other)
{
	*other = *flow;
	if (is_direct(flow))
		return;
	turn_round(&flow->to, &other->from);
	turn_round(&flow->from, &other->to);
	other->flags ^= FLOW_IS_REPLY;
}

#endif
