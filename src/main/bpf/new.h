/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Flows that are not confirmed, or over: `flows_new`. Each can stand in one row only, which its key's hash leads to, and if that
 * is full it pushes out another. The kernel's LRU hash would do about the same with all of them together, but is slow at it, as
 * each step leads to memory that nobody has looked at for long. Here the row is all that is looked at.
 */
#ifndef SHUNT_NEW_H
#define SHUNT_NEW_H

#include "flow.h"

const volatile struct packet_settings packet_settings SEC(".rodata.settings") = {};

/*
 * Who may copy or change a row's flows just now? A map of its own, since in kernels before Linux 6.6 a program
 * that may sleep, as sweep.bpf.c does, can have nothing to do with one that has locks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct flow_row_lock);
} flow_row_locks SEC(".maps");

/* Any odd number whose bits look random: this is 2^64 over the golden ratio. */
#define TUPLE_FACTOR 0x9e3779b97f4a7c15ULL

static __always_inline __u64 hash_words(__u64 hash, __u32 one, __u32 other)
{
	hash = (hash ^ (one | (__u64)other << 32)) * TUPLE_FACTOR;
	return hash ^ hash >> 32;
}

static __always_inline __u64 hash_tuple(const struct tuple *tuple)
{
	__u64 hash = packet_settings.seed;

	for (int i = 0; i < 4; i += 2) {
		hash = hash_words(hash, tuple->source.word[i], tuple->source.word[i + 1]);
		hash = hash_words(hash, tuple->destination.word[i], tuple->destination.word[i + 1]);
	}
	return hash_words(hash, ports_of(tuple), tuple->protocol);
}

/* Where does such a flow stand, if it does? */
struct stand {
	struct flow_row *row;
	struct bpf_spin_lock *lock;
	__u32 tag;
};

static __always_inline bool find_row(const struct tuple *key, struct stand *stand)
{
	__u64 hash = hash_tuple(key);
	__u32 number = ((hash >> 32) * packet_settings.rows) >> 32;
	struct flow_row_lock *lock = bpf_map_lookup_elem(&flow_row_locks, &number);
	struct flow_row *row = bpf_map_lookup_elem(&flows_new, &number);

	if (!lock || !row)
		return false;
	stand->row = row;
	stand->lock = &lock->lock;
	stand->tag = (__u32)hash ?: 1;
	return true;
}

/* Its place in the row; ROW_FLOWS: it has none. Who does not have the lock has to look again. */
static __always_inline __u32 find_place(const struct stand *stand)
{
	const volatile __u32 *tags = stand->row->tags;

#pragma unroll
	for (__u32 i = 0; i < ROW_FLOWS; i++) {
		if (tags[i] == stand->tag)
			return i;
	}
	return ROW_FLOWS;
}

/* The row for a flow that seems to be there. False: it is not. */
static __always_inline bool find_known(const struct tuple *key, struct stand *stand)
{
	return find_row(key, stand) && find_place(stand) < ROW_FLOWS;
}

/* What stands at that place, if it has that key. For who has the lock. */
static __always_inline struct flow *flow_at(const struct stand *stand, __u32 place, const struct tuple *key)
{
	struct flow *flow;

	if (place >= ROW_FLOWS)
		return NULL;
	flow = &stand->row->flows[place];
	return is_of(flow, key) ? flow : NULL;
}

/*
 * A place for one more: a free one, else that of a flow that is over, else any; of several the next, but first of those that are
 * not in use. If most flows are not over, as in a flood of first packets, those that are have as much time as the others.
 */
static __always_inline __u32 find_room(struct flow_row *row)
{
	__u32 places = 0, place = row->next;

#pragma unroll
	for (__u32 i = 0; i < ROW_FLOWS; i++)
		places |= !row->tags[i] << i;
	if (!places)
		places = __builtin_popcount(row->over) >= ROW_FLOWS / 2 ? row->over : (1 << ROW_FLOWS) - 1;
	for (__u32 i = 0; i < 2 * ROW_FLOWS; i++) {
		place = (row->next + i) % ROW_FLOWS;
		if (!(places >> place & 1))
			continue;
		if (!(row->used >> place & 1))
			break;
		row->used &= ~(1 << place);
	}
	row->next = (place + 1) % ROW_FLOWS;
	return place;
}

/* Puts a flow where one with its tag is, or if there is none, where room is. For who has the lock. */
static __always_inline void put_at(const struct stand *stand, __u32 place, const struct flow *flow)
{
	bool stays = flow_at(stand, place, &flow->from);
	struct flow_row *row = stand->row;
	__u8 bit, over;

	if (place >= ROW_FLOWS)
		place = find_room(row) % ROW_FLOWS;
	bit = 1 << place;
	over = is_over(flow) ? bit : 0;
	if (!stays && row->tags[place] && !(row->over & bit))
		row->pushed_out++;
	if (!stays || (row->over & bit) != over)
		row->used &= ~bit;
	row->over = (row->over & ~bit) | over;
	/* Who looks without the lock should never miss a flow that stays, nor take a new one for the old. */
	if (!stays)
		row->tags[place] = 0;
	barrier();
	row->flows[place] = *flow;
	barrier();
	row->tags[place] = stand->tag;
}

/* What is to be done if the key is there already? */
enum put_how {
	PUT_ALWAYS, /* that one is overwritten */
	PUT_OWN,    /* the same, if it is of the same conversation */
};

/* False: another conversation has that key. */
__noinline bool put_new(const struct flow *flow, __u32 how)
{
	struct stand stand;
	struct flow *known;
	bool puts = true;
	__u32 place;

	if (!flow || !find_row(&flow->from, &stand))
		return false;
	bpf_spin_lock(stand.lock);
	place = find_place(&stand);
	known = flow_at(&stand, place, &flow->from);
	if (how == PUT_OWN && known)
		puts = same_tuple(&known->to, &flow->to);
	if (puts)
		put_at(&stand, place, flow);
	bpf_spin_unlock(stand.lock);
	return puts;
}

/* Copies what is known of such a packet's flow. */
__noinline bool find_new(const struct tuple *key, struct flow *copy)
{
	struct stand stand;
	struct flow *known;
	__u32 place;

	if (!key || !copy || !find_known(key, &stand))
		return false;
	bpf_spin_lock(stand.lock);
	place = find_place(&stand);
	known = flow_at(&stand, place, key);
	if (known) {
		*copy = *known;
		stand.row->used |= 1 << place;
	}
	bpf_spin_unlock(stand.lock);
	return known;
}

/* Takes one out, if it is there. */
__noinline int take_new(const struct tuple *key)
{
	struct stand stand;
	__u32 place;

	if (!key || !find_known(key, &stand))
		return 0;
	bpf_spin_lock(stand.lock);
	place = find_place(&stand);
	if (flow_at(&stand, place, key))
		stand.row->tags[place % ROW_FLOWS] = 0;
	bpf_spin_unlock(stand.lock);
	return 0;
}

/* Has another conversation this entry's key? */
__noinline bool is_taken_new(const struct flow *entry)
{
	struct stand stand;
	struct flow *known;
	bool taken;

	if (!entry || !find_known(&entry->from, &stand))
		return false;
	bpf_spin_lock(stand.lock);
	known = flow_at(&stand, find_place(&stand), &entry->from);
	taken = known && !same_tuple(&known->to, &entry->to);
	bpf_spin_unlock(stand.lock);
	return taken;
}

/* How long is a port kept, in seconds, for whom the backend has not answered, or who has not answered it? */
#define HALF_OPEN_SECONDS 5

/*
 * Is its port free for a new conversation? Nobody has come back for one that was silent from the beginning: so a flood
 * keeps no ports. Whoever was only slow begins anew.
 */
static __always_inline bool is_free(const struct flow *flow, __u32 now)
{
	return is_over(flow) || (__s32)(now - flow->seen) > HALF_OPEN_SECONDS;
}

enum claimed {
	CLAIMED,
	TAKEN, /* by a conversation that needs it */
	FREED, /* of one that did not */
};

/*
 * Puts the reply's entry of a conversation that begins, if nobody has its key (enum claimed). Whoever does not need it any more
 * loses it; reply->to then tells the other key that he had, and has to be set again for another claim.
 */
__noinline int claim(struct flow *reply)
{
	enum claimed claimed = CLAIMED;
	struct stand stand;
	struct flow *known;
	__u32 place, now;

	if (!reply || !find_row(&reply->from, &stand))
		return TAKEN;
	now = now_seconds();
	bpf_spin_lock(stand.lock);
	place = find_place(&stand);
	known = flow_at(&stand, place, &reply->from);
	if (!known) {
		put_at(&stand, place, reply);
	} else if (is_free(known, now)) {
		turn_round(&known->to, &reply->to);
		stand.row->tags[place % ROW_FLOWS] = 0;
		claimed = FREED;
	} else {
		claimed = TAKEN;
	}
	bpf_spin_unlock(stand.lock);
	return claimed;
}

#endif
