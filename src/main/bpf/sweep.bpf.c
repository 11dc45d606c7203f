// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Forgets conversations that have ended, or in which nobody has spoken for too long, and counts the rest. The daemon runs
 * it every few seconds: so nothing is copied out of the kernel, however many flows there are.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#include "flow.h"

/* After how many seconds of silence is a flow of that protocol and state forgotten? */
const volatile struct timeouts timeouts SEC(".rodata.settings") = {};

static __always_inline __u32 timeout(const struct flow *flow)
{
	__u32 state = flow->state;

	if (state >= FLOW_STATES)
		return 0;
	switch (flow->from.protocol) {
	case IPPROTO_TCP:
		return timeouts.tcp[state];
	case IPPROTO_UDP:
		return timeouts.udp[state];
	default:
		return timeouts.sctp[state];
	}
}

struct look {
	__u32 now; /* seconds since the machine started */
	struct sweep counted;
};

/* Each direction knows when it spoke last; a flow lives as long as either does. */
static long look_at(__attribute__((unused)) void *map, struct tuple *key, struct routed_flow *entry, struct look *look)
{
	const struct flow *flow = &entry->flow;
	__u32 seen = flow->seen;
	struct routed_flow *other;
	struct tuple turned;

	turn_round(&flow->to, &turned);
	other = is_direct(flow) ? NULL : bpf_map_lookup_elem(&flows, &turned);
	if (other && is_of(&other->flow, &turned) && (__s32)(other->flow.seen - seen) > 0)
		seen = other->flow.seen;
	/* The clock that packets read may be a tick behind this one, never before it. */
	if ((__s32)(look->now - seen) <= (__s32)timeout(flow)) {
		look->counted.kept++;
		return 0;
	}
	bpf_map_delete_elem(&flows, key);
	look->counted.forgotten++;
	return 0;
}

/*
 * Here both entries know when either has spoken. What is over stays until it is pushed out: it takes nothing from anybody,
 * and a conversation that somebody else claimed to break off may go on after a long silence.
 */
static long look_at_new(__attribute__((unused)) void *map, struct tuple *key, struct flow *flow, struct look *look)
{
	if (is_over(flow) || (__s32)(look->now - flow->seen) <= (__s32)timeout(flow)) {
		look->counted.unconfirmed++;
		return 0;
	}
	if (!bpf_map_delete_elem(&flows_new, key))
		look->counted.given_up++;
	return 0;
}

SEC("syscall")
int sweep(struct sweep *ctx)
{
	struct look look = {.now = bpf_ktime_get_ns() / SECOND_NS};

	bpf_for_each_map_elem(&flows, look_at, &look, 0);
	bpf_for_each_map_elem(&flows_new, look_at_new, &look, 0);
	*ctx = look.counted;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
