/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The maps of the socket programs: each says which question it answers. The sizes here are small defaults; the daemon
 * sets its own before it loads the object.
 */
#ifndef SHUNT_MAPS_H
#define SHUNT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

/* Which service, if any, stands behind an address, port and protocol? */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct frontend_key);
	__type(value, struct frontend);
} frontends SEC(".maps");

/* Which addresses take node ports? */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, __u32);
} node_addresses SEC(".maps");

/* From where may clients come in by a service's restricted frontends? */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct source_range);
	__type(value, __u8);
} source_ranges SEC(".maps");

/* Where in `slots` does a run of the service's backends stand? Its id times two, plus the reach. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct set);
} sets SEC(".maps");

/* Which backend has this place in a run? Half its number is the key. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct slot_pair);
} slots SEC(".maps");

/* Where does this backend listen, and does it still serve? */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

/* Which backend of a service is meant by its address alone? Only of services that have ACCESS_DIRECT, on this node. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct local_backend);
	__type(value, __u32);
} local_backends SEC(".maps");

/* How much is the service used? The daemon makes the entries; the programs only add to them. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct service_stats);
} service_stats SEC(".maps");

/* Which service address did this TCP socket (by cookie) connect to? Emptied as sockets close, so it is exact. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, __u64);
	__type(value, struct origin);
} tcp_origins SEC(".maps");

/* How many origins does a UDP socket carry itself, before it uses the shared maps? */
#define UDP_NEAR_ORIGINS 4

struct udp_origins {
	struct origin near[UDP_NEAR_ORIGINS]; /* at most one a backend; backend_port 0: free */
	__u32 overflowed;                     /* not 0: there may be more in udp_by_service and udp_by_backend */
};

/* Which service addresses does this UDP socket talk to, and through which backends? */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_origins);
} udp_origins SEC(".maps");

/* A service address or a backend, as one socket knows it. */
struct origin_key {
	__u64 cookie;
	struct address address;
	__be16 port;
	__u16 pad[3];
};

/* The rest of udp_origins: through which backend does this socket talk to a service address? */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct origin_key);
	__type(value, struct far_origin);
} udp_by_service SEC(".maps");

/* The same, the other way round: for which service address does this backend stand? */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct origin_key);
	__type(value, struct far_origin);
} udp_by_backend SEC(".maps");

/* With which backend does a client stay? Full, it forgets who has been away for longest. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct affinity_key);
	__type(value, struct affinity);
} affinity SEC(".maps");

/* Index of sock_errors. */
enum sock_error {
	SOCK_TCP_ORIGIN_LOST, /* tcp_origins is full: getpeername() will name the backend */
	SOCK_UDP_ORIGIN_LOST, /* no memory: replies will come from the backend's address */
	SOCK_BAD_SET,         /* a set or slot points at nothing: the attempt was refused */
	SOCK_AFFINITY_LOST,   /* no memory: the client's next connection may go elsewhere */
	SOCK_TUNNEL_NARROW,   /* too little of the way would be left in a tunnel: the node spoke for the client instead */
	SOCK_ERRORS,
};

/* What could the programs not do, and how often? */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SOCK_ERRORS);
	__type(key, __u32);
	__type(value, __u64);
} sock_errors SEC(".maps");

/* A task may be preempted within a program, so even a per-CPU counter has two writers. */
static __always_inline void count_error(__u32 error)
{
	__u64 *count = bpf_map_lookup_elem(&sock_errors, &error);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#endif
