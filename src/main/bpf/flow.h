/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the packet programs remember of a conversation. Until it is confirmed it stands in `flows_new`, where it may be
 * forgotten under pressure; then in `flows`, which forgets only what has been silent for too long; and once it is over in
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

/* The same, as long as the client has not spoken again after it was answered, and once the conversation is over. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tuple);
	__type(value, struct flow);
} flows_new SEC(".maps");

/* What has become of the entries of `flows_new`? The kernel does not tell of those that it pushes out; they are the rest. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct entry_count);
} flows_new_count SEC(".maps");

/* Between which ports does the rest of a fragmented datagram go? */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

/* From which addresses do masqueraded packets leave? By the device's index, where the kernel cannot tell. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct device_sources);
} device_sources SEC(".maps");

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

static __always_inline struct flow *find_entry(const struct tuple *tuple)
{
	struct routed_flow *confirmed = bpf_map_lookup_elem(&flows, tuple);

	return confirmed ? &confirmed->flow : bpf_map_lookup_elem(&flows_new, tuple);
}

/* An entry of this flow's: where it should be, or else where it has gone. */
static __always_inline struct flow *find_own_entry(const struct flow *flow, const struct tuple *tuple)
{
	struct routed_flow *confirmed;
	struct flow *entry;

	if (is_confirmed(flow))
		return find_entry(tuple);
	entry = bpf_map_lookup_elem(&flows_new, tuple);
	if (entry)
		return entry;
	confirmed = bpf_map_lookup_elem(&flows, tuple);
	return confirmed ? &confirmed->flow : NULL;
}

/*
 * Copies what is known of such a packet's flow. False, and nothing, if there is none, or if it became another's meanwhile. Not
 * inlined, as the copy takes room that its caller has to leave to others.
 */
__noinline bool find_flow(const struct tuple *tuple, struct routed_flow *copy)
{
	struct routed_flow *confirmed;
	struct flow *flow;

	if (!tuple || !copy)
		return false;
	confirmed = bpf_map_lookup_elem(&flows, tuple);
	if (confirmed) {
		*copy = *confirmed;
		flow = &confirmed->flow;
	} else {
		flow = bpf_map_lookup_elem(&flows_new, tuple);
		if (!flow)
			return false;
		copy->flow = *flow;
		copy->way.second = 0;
	}
	barrier();
	if (is_of(&copy->flow, tuple) && is_of(flow, tuple))
		return true;
	__builtin_memset(copy, 0, sizeof(*copy));
	return false;
}

/* Does it go on to another node as it is? Its replies do not come by here. */
static __always_inline bool is_direct(const struct flow *flow)
{
	return flow->tunnel == TUNNEL_INTO;
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

static __always_inline struct entry_count *new_count(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&flows_new_count, &only);
}

static __always_inline void count_put(__u32 entries)
{
	struct entry_count *count = new_count();

	if (count)
		__sync_fetch_and_add(&count->put, entries);
}

/* Puts an entry into `flows_new`, which is still to be counted. False: there is one already, or there is no room. */
static __always_inline bool put_uncounted(const struct flow *flow)
{
	return !bpf_map_update_elem(&flows_new, &flow->from, flow, BPF_NOEXIST);
}

static __always_inline bool put_first(const struct flow *flow)
{
	if (!put_uncounted(flow))
		return false;
	count_put(1);
	return true;
}

/* The same, or in the place of the one that is there; which may just be the one that is pushed out for it. */
static __always_inline bool put_new(const struct flow *flow)
{
	return put_first(flow) || !bpf_map_update_elem(&flows_new, &flow->from, flow, BPF_EXIST) || put_first(flow);
}

/* Takes an entry out of `flows_new`, if it is there. */
static __always_inline void take_new(const struct tuple *key)
{
	struct entry_count *count;

	if (bpf_map_delete_elem(&flows_new, key))
		return;
	count = new_count();
	if (count)
		__sync_fetch_and_add(&count->taken, 1);
}

static __always_inline void forget_entries(const struct tuple *one, const struct tuple *other)
{
	bpf_map_delete_elem(&flows, one);
	bpf_map_delete_elem(&flows, other);
	take_new(one);
	take_new(other);
}

/* Not inlined, for the sake of the stack. */
__noinline int forget_flow(const struct flow *flow)
{
	struct tuple other;

	if (!flow)
		return 0;
	other = flow->from;
	if (!is_direct(flow))
		turn_round(&flow->to, &other);
	forget_entries(&flow->from, &other);
	return 0;
}

/* Is its port free for a new conversation? */
static __always_inline bool is_over(const struct flow *flow)
{
	return flow->state >= FLOW_CLOSED;
}

/* Who goes on with a conversation of which only his side is seen here has been answered. */
static __always_inline bool is_answered_elsewhere(const struct flow *flow, const struct packet *packet)
{
	if (!is_direct(flow) || packet->is_later_fragment)
		return false;
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return !(packet->flags & TCP_SYN);
	case IPPROTO_SCTP:
		return packet->flags != SCTP_INIT;
	default:
		return true;
	}
}

/* Is it the last word of either? SCTP's shutdown is complete when both know of it. */
static __always_inline bool breaks_off(const struct packet *packet)
{
	if (packet->is_later_fragment)
		return false;
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return packet->flags & TCP_RST;
	case IPPROTO_SCTP:
		return packet->flags == SCTP_ABORT || packet->flags == SCTP_SHUTDOWN_COMPLETE;
	default:
		return false;
	}
}

/* How far has the conversation come with this packet? Of the backend's end of a direct one nothing is seen. */
static __always_inline void advance(struct flow *flow, const struct packet *packet)
{
	bool tcp = packet->tuple.protocol == IPPROTO_TCP && !packet->is_later_fragment;
	__u8 flags = tcp ? packet->flags : 0;

	if (breaks_off(packet)) {
		flow->state = FLOW_RESET;
		return;
	}
	/* Who speaks on was not broken off: anyone can send a reset that its receiver does not believe. */
	if (flow->state == FLOW_RESET)
		flow->state = is_confirmed(flow) ? FLOW_CONFIRMED : FLOW_OPENING;
	if (flow->state == FLOW_OPENING && (is_reply(flow) || is_answered_elsewhere(flow, packet)))
		flow->state = FLOW_ANSWERED;
	if (flow->state == FLOW_ANSWERED && !is_reply(flow) && !(flags & TCP_SYN))
		flow->state = FLOW_CONFIRMED;
	if (flags & TCP_FIN && (is_reply(flow) || is_direct(flow)))
		flow->flags |= FLOW_BACKEND_CLOSED;
	if (flags & TCP_FIN && !is_reply(flow))
		flow->flags |= FLOW_CLIENT_CLOSED;
	if ((flow->flags & FLOW_ENDS) == FLOW_ENDS)
		flow->state = FLOW_CLOSED;
	else if (flow->state == FLOW_CONFIRMED && flow->flags & FLOW_ENDS)
		flow->state = FLOW_HALF_CLOSED;
}

/* Moves both entries to `flows`. They are never in neither. */
static __always_inline bool confirm(struct routed_flow *one, struct routed_flow *other)
{
	const struct tuple *key = &one->flow.from, *other_key = &other->flow.from;

	one->flow.flags |= FLOW_IS_CONFIRMED;
	other->flow.flags |= FLOW_IS_CONFIRMED;
	if (bpf_map_update_elem(&flows, key, one, BPF_ANY))
		return false;
	if (bpf_map_update_elem(&flows, other_key, other, BPF_ANY)) {
		bpf_map_delete_elem(&flows, key);
		return false;
	}
	take_new(key);
	take_new(other_key);
	return true;
}

/*
 * Makes room for others. What still comes of a conversation that is over, last acknowledgements and what is sent again,
 * finds it until it is pushed out.
 */
static __always_inline bool retire(struct flow *flow, struct flow *other)
{
	flow->flags &= ~FLOW_IS_CONFIRMED;
	other->flags &= ~FLOW_IS_CONFIRMED;
	if (!put_new(flow) || !put_new(other))
		return true;
	bpf_map_delete_elem(&flows, &flow->from);
	bpf_map_delete_elem(&flows, &other->from);
	return true;
}

/* Writes how far the flow has come into an entry that it has. False: it is none, or not in the map where it should be. */
static __always_inline bool write_progress(struct flow *known, const struct tuple *key, const struct flow *flow)
{
	if (!known || !is_of(known, key) || is_confirmed(known) != is_confirmed(flow))
		return false;
	known->flags = (known->flags & ~FLOW_ENDS) | (flow->flags & FLOW_ENDS);
	known->state = flow->state;
	/* Whose port it is, the reply's entry tells: so while nothing is sure it has to know of both. */
	if (is_reply(known) == is_reply(flow) || !is_confirmed(flow))
		known->seen = flow->seen;
	return true;
}

/* Makes the entry anew that got lost. */
static __always_inline bool restore(const struct routed_flow *lost)
{
	const struct flow *flow = &lost->flow;

	return is_confirmed(flow) ? !bpf_map_update_elem(&flows, &flow->from, lost, BPF_ANY) : put_new(flow);
}

/*
 * Writes how far the conversation has come into both entries, and makes one anew that got lost. False: there is no place
 * for it.
 */
__noinline bool save(struct routed_flow *one)
{
	struct routed_flow other = {};
	struct flow *flow, *known;

	if (!one)
		return false;
	flow = &one->flow;
	turn_flow_round(flow, &other.flow);
	known = find_own_entry(flow, &other.flow.from);
	/* It may have been forgotten alone, and another conversation have its place since. */
	if (known && !same_tuple(&known->to, &other.flow.to)) {
		bpf_map_delete_elem(&flows, &flow->from);
		take_new(&flow->from);
		return false;
	}
	if (!is_confirmed(flow) && flow->state >= FLOW_CONFIRMED && !is_over(flow))
		return confirm(one, &other);
	if (is_confirmed(flow) && is_over(flow))
		return retire(flow, &other.flow);
	if (!write_progress(known, &other.flow.from, flow) && !restore(&other))
		return false;
	return write_progress(find_own_entry(flow, &flow->from), &flow->from, flow) || restore(one);
}

/*
 * Keeps the flow in step with its packet. Most packets change nothing, and once a second one tells that the flow lives,
 * and looks after the other entry. False: there was no room to confirm it.
 */
static __always_inline bool keep_up(struct routed_flow *routed, const struct packet *packet)
{
	struct flow *flow = &routed->flow;
	__u8 state = flow->state, flags = flow->flags;
	__u32 now = now_seconds();

	advance(flow, packet);
	if (state == flow->state && flags == flow->flags && now == flow->seen)
		return true;
	flow->seen = now;
	return save(routed);
}

static __always_inline struct fragment_key fragment_key(const struct packet *packet)
{
	return (struct fragment_key){
		.source = packet->tuple.source,
		.destination = packet->tuple.destination,
		.id = packet->fragment_id,
		.protocol = packet->tuple.protocol,
	};
}

/* A first fragment tells the ports to those that follow. */
__noinline int remember_fragment(const struct packet *packet)
{
	struct fragment fragment;

	if (!packet)
		return 0;
	fragment = (struct fragment){
		.key = fragment_key(packet),
		.source_port = packet->tuple.source_port,
		.destination_port = packet->tuple.destination_port,
	};
	bpf_map_update_elem(&fragments, &fragment.key, &fragment, BPF_ANY);
	return 0;
}

__noinline bool recall_fragment(struct packet *packet)
{
	struct fragment_key key;
	struct fragment *known;

	if (!packet)
		return false;
	key = fragment_key(packet);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known)
		return false;
	packet->tuple.source_port = known->source_port;
	packet->tuple.destination_port = known->destination_port;
	barrier();
	return known->key.id == key.id && known->key.protocol == key.protocol &&
	       same_address(&known->key.source, &key.source) &&
	       same_address(&known->key.destination, &key.destination);
}

#endif
