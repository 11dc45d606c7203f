/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A number for each address and port that is the same on all nodes, whatever their byte order and their kernel. */
#ifndef SHUNT_HASH_H
#define SHUNT_HASH_H

#include <bpf/bpf_endian.h>

#include "types.h"

/* Any number but 0. All nodes have to have the same, so it is never another (io.shunt.datapath.PeerHash). */
#define HASH_SEED 0x9e3779b9

/* MurmurHash3's last step, after which each bit has a say in every other. */
static __always_inline __u32 hash_word(__u32 hash, __u32 word)
{
	hash ^= word;
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

static __always_inline __u32 hash_peer(const struct address *address, __be16 port)
{
	__u32 hash = HASH_SEED;

	for (int i = 0; i < 4; i++)
		hash = hash_word(hash, bpf_ntohl(address->word[i]));
	return hash_word(hash, bpf_ntohs(port));
}

#endif
