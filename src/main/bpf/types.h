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

/* Which service address did the client ask for? Port and protocol 0: any, the address itself is looked for. */
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

/* frontend.service_id of an address itself. */
#define SERVICE_OF_ADDRESS 0xffffffff

/* frontend.access: who may go where? */
enum frontend_access {
	ACCESS_INSIDE_LOCAL = 1,  /* clients on this node: to backends on this node only */
	ACCESS_OUTSIDE_LOCAL = 2, /* clients from elsewhere: the same */
	ACCESS_RESTRICTED = 4,    /* only from the service's source ranges */
	ACCESS_OF_NODE = 8,       /* the unspecified address: each of the node's addresses, and itself none */
	ACCESS_EXTERNAL = 16,     /* not a cluster IP: clients from elsewhere may come by it as a matter of course */
	ACCESS_HASHED = 32,       /* a client's address and port choose the backend, the same on each node */
	ACCESS_DIRECT = 64,       /* clients from elsewhere: a backend on another node hears and answers them itself */
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

/* Whose are two neighbouring slots? The kernel puts the elements of an array 8 bytes apart or more, so one holds both. */
struct slot_pair {
	__u32 backend_id[2];
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

/* Which backends of a service, on this node, have that address? */
struct local_backend {
	__u32 service_id;
	struct address address;
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

/*
 * Which client of which service? To the socket programs all sockets of one network namespace are one client, whose
 * address is its cookie behind 100::/64, which nobody sends from (RFC 6666); to the packet programs each address is one.
 */
struct affinity_key {
	struct address client;
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

/* Who speaks to whom, and how? Ports are 0 where the protocol has none. */
struct tuple {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 pad[3];
};

/* How far has a conversation come? In the order in which it goes. */
enum flow_state {
	FLOW_OPENING,     /* the client has spoken */
	FLOW_ANSWERED,    /* the backend too */
	FLOW_CONFIRMED,   /* and the client again: it is who it says it is */
	FLOW_HALF_CLOSED, /* TCP: one of them has sent its last */
	FLOW_CLOSED,      /* TCP: both have */
	FLOW_RESET,       /* TCP, SCTP: one of them has broken it off; SCTP: or both have ended it */
	FLOW_STATES,
};

/* By which device, and from whom to whom on its link, does a packet go on? */
struct way {
	__u32 second; /* in which it was found out, since the machine started; 0: it is not known */
	__u32 device;
	__u16 epoch; /* in which it was found out, modulo 65,536 */
	__u16 mtu;   /* bytes, from the IP header on */
	__u8 to[6];
	__u8 from[6];
};

/* By which device may a packet leave framed, and does it go straight into the namespace behind? */
struct exit {
	__u32 device; /* 0: by none */
	__u32 is_shortcut;
};

/* flow.tunnel: do its packets go through one? */
enum tunnel {
	TUNNEL_NONE,
	TUNNEL_INTO,   /* to another node, to->source to to->destination, as they are; replies do not come by here */
	TUNNEL_OUT_OF, /* they come so from another node; replies do not go by there */
};

/* flow.flags */
enum flow_flag {
	FLOW_IS_REPLY = 1,
	FLOW_IS_CONFIRMED = 2,
	FLOW_CLIENT_CLOSED = 4,
	FLOW_BACKEND_CLOSED = 8,
	FLOW_ENDS = FLOW_CLIENT_CLOSED | FLOW_BACKEND_CLOSED,
};

/*
 * What becomes of a packet from one to another? One entry for each direction; the reply's is the same turned round, so
 * that either tells all that the other does. But for TUNNEL_INTO, which has one only. It repeats its key, as a frontend
 * does.
 */
struct flow {
	struct tuple from;
	struct tuple to;
	__u32 service_id;
	__u32 backend_id;
	__u32 generation;
	__u32 seen; /* seconds since the machine started */
	__u32 host_device; /* by which a client on this node spoke, and wants to be answered; 0: it is none */
	__u8 state;        /* enum flow_state */
	__u8 flags;        /* enum flow_flag */
	__u8 tunnel;       /* enum tunnel */
	__u8 pad;
};

/* And which way has its last packet in this direction taken? Good for the second in which the flow was seen. */
struct routed_flow {
	struct flow flow;
	struct way way;
};

/* How many new flows stand in a row? */
#define ROW_FLOWS 8

/* New flows whose keys' hashes lead to the same row. */
struct flow_row {
	__u32 pushed_out; /* how many flows have been that were not over */
	__u8 next;        /* at which place the search for room begins */
	__u8 over;        /* a bit for each flow that is_over() */
	__u8 used;        /* a bit for each that packets have come for since it stands here, or is over */
	__u8 pad;
	__u32 tags[ROW_FLOWS]; /* of each flow's hash, no two alike; 0: there is none */
	struct flow flows[ROW_FLOWS];
};

/* Who writes or copies a flow of the row has it, but for sweep.bpf.c. */
struct flow_row_lock {
	struct bpf_spin_lock lock;
};

/* Which datagram is this a fragment of? */
struct fragment_key {
	struct address source;
	struct address destination;
	__u32 id;
	__u8 protocol;
	__u8 pad[3];
};

/* Between which ports does a fragmented datagram go? Repeats its key, as a frontend does. */
struct fragment {
	struct fragment_key key;
	__be16 source_port;
	__be16 destination_port;
};

/* Why, for which service, and on which way? */
struct drop_key {
	__u32 service_id; /* 0: it was not known yet */
	__u8 reason;      /* enum drop_reason */
	__u8 direction;   /* enum direction */
	__u8 pad[2];
};

enum drop_reason {
	DROP_NO_LOCAL_BACKEND = 1, /* the traffic policy is Local, and there are backends elsewhere only */
	DROP_SOURCE_RANGE,         /* the client is in none of the service's source ranges */
	DROP_FLOWS_FULL,           /* no room to confirm the flow */
	DROP_NO_PORT,              /* no source port was free towards the backend */
	DROP_NO_SOURCE,            /* no way on which the node could speak to the backend */
	DROP_FRAGMENT,             /* of SCTP: its checksum cannot be mended */
	DROP_NOT_WRITTEN,          /* the kernel did not let the packet be changed: no memory */
	DROP_REFUSED,              /* answered with RST or an ICMP error: no backend */
	DROP_NO_SERVICE,           /* the same: a cluster IP, but none of its ports */
	DROP_TOO_BIG,              /* the same: larger than the way to the backend or back lets through */
	DROP_TTL,                  /* the same: it has been forwarded too often */
};

/* Whither does a packet go? */
enum direction {
	TO_BACKEND,
	TO_CLIENT,
	DIRECTIONS,
};

/* What was dropped or refused, when, and where? */
struct drop_event {
	struct tuple tuple; /* as its sender had it; of a socket's call without the source's port */
	__u64 time;         /* nanoseconds since the machine started */
	__u32 service_id;   /* 0: it was not known yet */
	__u32 device;       /* its index; 0: a socket's call */
	__u8 reason;        /* enum drop_reason */
	__u8 direction;     /* enum direction */
	__u8 is_last;       /* of what may be told for now: others may follow that are not */
	__u8 pad[5];
};

/* Which address of the node's speaks on a device? Unspecified: it has none. */
struct device_sources {
	struct address v4;
	struct address v6;
};

/* What of a device matters at its driver? */
struct driver {
	__u8 address[6];   /* of its link layer */
	__u8 takes_others; /* it sends what came in by another device */
	__u8 pad;
};

/* Which addresses? Those that are `address` under `mask`. */
struct range {
	struct address address;
	struct address mask;
};

/* Of which families? */
enum detects {
	DETECTS_V4 = 1,
	DETECTS_V6 = 2,
};

/* What the daemon says to the packet programs as it loads them. */
struct packet_settings {
	__u32 first_port;      /* of those that masqueraded packets come from, in host byte order */
	__u32 ports;           /* how many there are, not 0 */
	__u8 masquerade_all;   /* also what goes to a cluster IP from inside */
	__u8 detects_local;    /* enum detects: clients are told apart; if not, nobody who asks a cluster IP is from outside */
	__u8 local_by_range;   /* by their address; else by the device that they come in by */
	__u8 fib_tells_source; /* the kernel has BPF_FIB_LOOKUP_SRC, and what came before it */
	struct range local[2]; /* who is inside, then: one for each family */
	__u32 rows;            /* how many flows_new has */
	__u64 seed;            /* of their hash: so nobody can choose his row, or another's */
};

/* After how many seconds of silence is a flow forgotten? By its state. */
struct timeouts {
	__u32 tcp[FLOW_STATES];
	__u32 udp[FLOW_STATES];
	__u32 sctp[FLOW_STATES];
};

/* What has one run of the sweep found? Entries: two a flow. */
struct sweep {
	__u32 kept;
	__u32 forgotten;
	__u32 given_up;   /* unconfirmed, and forgotten now */
	__u32 pushed_out; /* unconfirmed, by others, since there are rows; modulo 2^32 */
};

/* What the daemon says to the socket programs as it loads them. */
struct settings {
	__u64 host_namespace; /* cookie of the daemon's own network namespace */
	__u32 host_namespace_only;
	__u32 pad;
};

#endif
