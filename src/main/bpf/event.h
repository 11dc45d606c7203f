/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is told of drops, one by one, while somebody reads. */
#ifndef SHUNT_EVENT_H
#define SHUNT_EVENT_H

#include <bpf/bpf_core_read.h>

#include "maps.h"

/* What has been dropped or refused? Read by the daemon; whole pages of any machine. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 131072);
} events SEC(".maps");

/*
 * How many more events may be told? Who reads grants some each second: so a flood costs no more than that, and nothing is
 * told for long to a reader that is gone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} event_credit SEC(".maps");

/* Room for an event, to be filled in and submitted; null if nobody wants it. */
static __always_inline struct drop_event *new_event(__u32 service_id, __u8 reason, __u8 direction, __u32 device)
{
	struct drop_event *event;
	__s64 *credit, left;
	__u32 zero = 0, type;

	credit = bpf_map_lookup_elem(&event_credit, &zero);
	if (!credit || *(volatile __s64 *)credit <= 0)
		return NULL;
	left = __sync_fetch_and_add(credit, -1);
	if (left <= 0)
		return NULL;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return NULL;
	/* Or the object would not say how the struct is laid out, which no map and no function names. */
	type = bpf_core_type_id_local(struct drop_event);
	barrier_var(type);
	event->time = bpf_ktime_get_ns();
	event->service_id = service_id;
	event->device = device;
	event->reason = reason;
	event->direction = direction;
	event->is_last = left == 1;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	return event;
}

#endif
