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
 * and a conversation that somebody else claimed to break off may go on after a long silence. No lock is taken here, as kernels
 * before Linux 6.6 have none for a program that may sleep. Should a new flow come to the place in the moment between the last
 * look and the store, it is forgotten instead; its other entry, if it has one, makes it anew.
 */
static __always_inline bool is_given_up(const struct flow *flow, __u32 now)
{
	return !is_over(flow) && (__s32)(now - flow->seen) > (__s32)timeout(flow);
}

static long look_at_row(__attribute__((unused)) void *map, __attribute__((unused)) __u32 *key, struct flow_row *row,
			struct look *look)
{
	volatile __u32 *tags = row->tags;

	for (__u32 i = 0; i < ROW_FLOWS; i++) {
		__u32 tag = tags[i];

		if (!tag || !is_given_up(&row->flows[i], look->now) || tags[i] != tag)
			continue;
		tags[i] = 0;
		look->counted.given_up++;
	}
	look->counted.pushed_out += row->pushed_out;
	return 0;
}

/* Read by the daemon after each run, since only one of the two below could hand it over in its context. */
struct sweep counted;

static __always_inline int sweep_all(void)
{
	struct look look = {.now = bpf_ktime_get_ns() / SECOND_NS};

	bpf_for_each_map_elem(&flows, look_at, &look, 0);
	bpf_for_each_map_elem(&flows_new, look_at_row, &look, 0);
	counted = look.counted;
	return 0;
}

/*
 * The daemon loads one of these two. This one may sleep: it can be interrupted for other work, and holds up no RCU grace period
 * for longer than one bucket of `flows` takes. But before Linux 6.1 the verifier refuses it, as programs that may sleep could
 * use no map that takes its memory with each element.
 */
SEC("syscall")
int sweep(__attribute__((unused)) void *ctx)
{
	return sweep_all();
}

/*
 * So for those kernels there is this one, which is of a type that does not sleep, and is given a packet that it does not look at.
 * It stays in one RCU read section, on one CPU, for the whole of a run: tens of milliseconds if the table is full. Packets are
 * served meanwhile also by that CPU, as test runs of those kernels leave softirqs enabled.
 */
SEC("tc")
int sweep_awake(__attribute__((unused)) struct __sk_buff *packet)
{
	return sweep_all();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
