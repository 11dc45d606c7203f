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
 * Which service stands behind that address, and how do its clients come in? The service's id says where its sets and
 * source ranges are. The kernel may give the memory of a deleted element to a new one at once, while a program still
 * looks at it: so the value repeats the key, and has the id last, since the kernel copies it from the beginning.
 */
struct frontend {
	struct frontend_key key;
	__u8 access;
	__u8 pad[3];
	__u32 affinity_seconds; /* how long a client stays with its backend after its last connection; 0: not at all */
	__u32 service_id;
};

/* frontend.access: who may go where? */
enum frontend_access {
	ACCESS_INSIDE_LOCAL = 1,  /* clients on this node: to backends on this node only */
	ACCESS_OUTSIDE_LOCAL = 2, /* clients from elsewhere: the same */
	ACCESS_RESTRICTED = 4,    /* only from the service's source ranges */
	ACCESS_OF_NODE = 8,       /* the unspecified address: each of the node's addresses, and itself none */
};

/* Each service has a set for each. */
enum reach {
	REACH_CLUSTER = 0,
	REACH_LOCAL = 1,
	REACHES,
};

/* Is this an address that takes node ports? */
enum node_address {
	NODE_ADDRESS_TAKES = 1,
	NODE_ADDRESS_LOOPBACK = 2, /* in the daemon's own network namespace only; stands for all of 127.0.0.0/8 */
};

/* Which address of which service's client is it? As the kernel's longest-prefix match wants it. */
struct source_range {
	__u32 prefix_length; /* that of the address, and 32 */
	__u32 service_id;
	struct address address;
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

/* backend.state: what is it good for? 0: nothing, it is gone, and whoever remembers it must choose anew. */
enum backend_state {
	BACKEND_SERVES = 1,     /* the conversations it has */
	BACKEND_IN_CLUSTER = 2, /* new connections that may go anywhere */
	BACKEND_IN_LOCAL = 4,   /* new connections that have to stay on this node */
	BACKEND_UNREADY = 8,    /* alone: nothing now, but it is still there, and its TCP connections are its own affair */
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

/*
 * An origin in a map of many sockets. Such a map uses an element again at once, while a program may still look at it; for
 * another socket's, since this one is locked. So whose it is stands first.
 */
struct far_origin {
	__u64 cookie;
	struct origin origin;
};

/* Which client of which service? All sockets of one network namespace are one client. */
struct affinity_key {
	__u64 client;
	__u32 service_id;
	__u32 pad;
};

/* With which backend does the client stay? Repeats the key, first, as a frontend does. */
struct affinity {
	struct affinity_key key;
	__u32 backend_id;
	__u32 generation;
	__u64 last_used; /* nanoseconds since the machine started */
};

/* What the daemon says to the programs as it loads them. */
struct settings {
	__u64 host_namespace; /* cookie of the daemon's own network namespace */
	__u32 host_namespace_only;
	__u32 pad;
};

#endif
