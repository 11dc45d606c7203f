/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Keys and values of the maps. Java writes these bytes too (io.shunt.datapath.Layouts); what the compiler laid out is
 * compared with what Java expects whenever the object is loaded.
 */
#ifndef SHUNT_TYPES_H
#define SHUNT_TYPES_H

#include <linux/types.h>

/* Which host? Network byte order; IPv4 is ::ffff:a.b.c.d, so that there is one path for both families. */
struct address {
	__u32 word[4];
};

/* Which service address did the client ask for? */
struct frontend_key {
	struct address address;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

/*
 * Which service stands behind that address? Its id is also the index of its set. The kernel may give the memory of a
 * deleted element to a new one at once, while a program still looks at it: so the value repeats the key, and has the id
 * last, since the kernel copies it from the beginning.
 */
struct frontend {
	struct frontend_key key;
	__u32 service_id;
};

/*
 * Where in `slots` does the service's run of backends stand, and how long is it? One aligned word, so that one store
 * changes all of it; count 0: the service has no backend.
 */
struct set {
	__u32 base;
	__u32 count;
};

/* Which backend is this, and is it still the one that somebody remembers? */
struct backend {
	struct address address;
	__be16 port;
	__u8 state;
	__u8 pad;
	__u32 generation;
	__u32 service_id;
	__u32 pad2;
};

/* backend.state: what is it good for? */
enum backend_state {
	BACKEND_GONE = 0,     /* nothing: whoever remembers it must choose anew */
	BACKEND_ACTIVE = 1,   /* new connections */
	BACKEND_DRAINING = 2, /* the conversations it has */
};

/* What has the service seen since it was made? */
struct service_stats {
	__u64 connections; /* translated connects, and first datagrams to a backend */
	__u64 refused;     /* attempts while it had no backend */
};

/* Which service address does a peer of this socket stand for? */
struct origin {
	struct address service;
	struct address backend;
	__be16 service_port;
	__be16 backend_port;
	__u32 backend_id;
	__u32 generation;
};

#endif
