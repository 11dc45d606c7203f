/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Packets that do not go on: all are counted, some are told of. */
#ifndef SHUNT_DROP_H
#define SHUNT_DROP_H

#include <linux/pkt_cls.h>

#include "event.h"
#include "flow.h"
#include "packet.h"

/* What has been dropped or refused, and why? */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct drop_key);
	__type(value, __u64);
} drops SEC(".maps");

/* Counts a packet at that device that goes no further as it is. */
__noinline int count_drop(__u32 device, const struct packet *packet, const struct flow *flow, __u32 reason)
{
	struct drop_key key = {.reason = reason};
	struct drop_event *event;
	__u64 *count, one = 1;

	if (!packet || !flow)
		return 0;
	key.service_id = flow->service_id;
	key.direction = is_reply(flow) ? TO_CLIENT : TO_BACKEND;
	count = bpf_map_lookup_elem(&drops, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&drops, &key, &one, BPF_ANY);
	event = new_event(key.service_id, reason, key.direction, device);
	if (event) {
		event->tuple = packet->tuple;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

static __always_inline int dropped(struct __sk_buff *skb, const struct packet *packet, const struct flow *flow,
				   enum drop_reason reason)
{
	count_drop(skb->ifindex, packet, flow, reason);
	return TC_ACT_SHOT;
}

#endif
