/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How far has a conversation come, and who remembers it? Each packet tells. */
#ifndef SHUNT_TRACK_H
#define SHUNT_TRACK_H

#include "flow.h"
#include "new.h"

/* Between which ports does the rest of a fragmented datagram go? */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

/*
 * Copies what is known of such a packet's flow. False, and nothing, if there is none, or if it became another's meanwhile. Not
 * inlined, as the copy takes room that its caller has to leave to others.
 */
__noinline bool find_flow(const struct tuple *tuple, struct routed_flow *copy)
{
	struct routed_flow *confirmed;

	if (!tuple || !copy)
		return false;
	confirmed = bpf_map_lookup_elem(&flows, tuple);
	if (!confirmed) {
		copy->way.second = 0;
		return find_new(tuple, &copy->flow);
	}
	*copy = *confirmed;
	barrier();
	if (is_of(&copy->flow, tuple) && is_of(&confirmed->flow, tuple))
		return true;
	__builtin_memset(copy, 0, sizeof(*copy));
	return false;
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
	/* Who has claimed its port meanwhile, since it was silent for long, may not have seen it there. */
	if (bpf_map_update_elem(&flows, other_key, other, BPF_ANY) || is_taken_new(&other->flow)) {
		bpf_map_delete_elem(&flows, other_key);
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
	put_new(flow, PUT_ALWAYS);
	put_new(other, PUT_ALWAYS);
	bpf_map_delete_elem(&flows, &flow->from);
	bpf_map_delete_elem(&flows, &other->from);
	return true;
}

/* Writes how far a confirmed flow has come into an entry that it has, or makes the entry anew that got lost. */
static __always_inline bool write_progress(struct routed_flow *known, const struct routed_flow *entry, bool is_own)
{
	const struct flow *flow = &entry->flow;

	if (!known || !is_of(&known->flow, &flow->from))
		return !bpf_map_update_elem(&flows, &flow->from, entry, BPF_ANY);
	known->flow.flags |= flow->flags & FLOW_ENDS;
	known->flow.state = flow->state;
	if (is_own)
		known->flow.seen = flow->seen;
	return true;
}

/* It may have been forgotten alone, and another conversation have its place since. */
static __always_inline bool is_anothers(const struct routed_flow *known, const struct flow *entry)
{
	return known ? !same_tuple(&known->flow.to, &entry->to) : is_taken_new(entry);
}

/*
 * Writes how far the conversation has come into both entries, and makes one anew that got lost. False: there is no place
 * for it.
 */
__noinline bool save(struct routed_flow *one)
{
	struct routed_flow other = {}, *known;
	struct flow *flow;

	if (!one)
		return false;
	flow = &one->flow;
	turn_flow_round(flow, &other.flow);
	known = bpf_map_lookup_elem(&flows, &other.flow.from);
	if (is_anothers(known, &other.flow)) {
		bpf_map_delete_elem(&flows, &flow->from);
		take_new(&flow->from);
		return false;
	}
	if (is_confirmed(flow)) {
		if (is_over(flow))
			return retire(flow, &other.flow);
		return write_progress(known, &other, false) &&
		       write_progress(bpf_map_lookup_elem(&flows, &flow->from), one, true);
	}
	if (flow->state >= FLOW_CONFIRMED && !is_over(flow))
		return confirm(one, &other);
	/* Whose port it is, the reply's entry tells: so while nothing is sure both have to know when either has spoken. */
	return put_new(&other.flow, PUT_OWN) && put_new(flow, PUT_OWN);
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
