// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Ends the conversations that a backend leaves behind: connected UDP sockets and TCP connections that were translated to
 * it. Without this a UDP client would send into the void for ever, since nobody answers that the backend is gone.
 *
 * An object of its own, as bpf_sock_destroy came with Linux 6.5: older kernels run the rest. It shares the maps of
 * sock.bpf.c and asks them in the moment that it looks at a socket, with the socket's lock held: so nothing that a
 * client did since the backend left can be mistaken.
 *
 * A socket iterator sees the network namespace alone in which it was made, and there may be hundreds. So one pass over
 * the origins, which know no namespaces, tells whether there is anything to end, and for UDP also where.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "peer.h"
#include "service.h"

/* The kernel's own structs, as far as they are read here. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct net {
	struct {
		unsigned int inum;
	} ns;
};

struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	unsigned short skc_family;
	unsigned char skc_state;
	struct {
		struct net *net;
	} skc_net;
	struct address skc_v6_daddr;
	struct {
		__s64 counter;
	} skc_cookie;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct sock_common *sk;
	void *value;
};

struct bpf_iter__tcp {
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct sock_common *udp_sk;
};

#pragma clang attribute pop

extern int bpf_sock_destroy(struct sock_common *sk) __ksym;

/* skc_state: from SYN_SENT on until the connection is closed on both sides; what is left in TIME_WAIT harms nobody. */
enum tcp_state {
	STATE_ESTABLISHED = 1,
	STATE_SYN_SENT = 2,
	STATE_FIN_WAIT1 = 4,
	STATE_FIN_WAIT2 = 5,
	STATE_CLOSE_WAIT = 8,
	STATE_LAST_ACK = 9,
	STATE_CLOSING = 11,
};

#define CONNECTED                                                                                                      \
	(1 << STATE_ESTABLISHED | 1 << STATE_SYN_SENT | 1 << STATE_FIN_WAIT1 | 1 << STATE_FIN_WAIT2 |                  \
	 1 << STATE_CLOSE_WAIT | 1 << STATE_LAST_ACK | 1 << STATE_CLOSING)

/* Index of stale_ended, for IPv4; IPv6's is one more. */
enum stale_kind {
	STALE_UDP = 0,
	STALE_TCP = 2,
	STALE_KINDS = 4,
};

/* How many sockets were ended, by protocol and the family that they spoke? */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STALE_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} stale_ended SEC(".maps");

static __always_inline void count_ended(enum stale_kind kind, const struct peer *peer)
{
	__u32 index = kind + !is_v4(&peer->address);
	__u64 *count = bpf_map_lookup_elem(&stale_ended, &index);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline struct peer peer_of(struct sock_common *sk)
{
	struct peer peer = {.port = sk->skc_dport};

	if (sk->skc_family == AF_INET)
		peer.address = v4_mapped(sk->skc_daddr);
	else
		peer.address = sk->skc_v6_daddr;
	return peer;
}

/* Which backend is looked for, and from which slot on? */
struct search {
	struct address address;
	__be16 port;
	__u32 base;
	bool found;
};

/* A bpf_loop callback: 1 ends the loop. */
static long look_at_slot(__u32 index, struct search *search)
{
	__u32 *id = backend_at(search->base + index);
	struct backend *backend = id ? bpf_map_lookup_elem(&backends, id) : NULL;

	search->found = backend && backend->state && backend->port == search->port &&
			same_address(&backend->address, &search->address);
	return search->found;
}

/*
 * Is the backend of this origin, which has left, among those that new connections get again? It is, under another id, if
 * it came back, if its service was made anew, or if the service's port got another name: then the conversation goes on as
 * well as ever.
 */
static __always_inline bool is_back(const struct origin *origin, __u8 protocol)
{
	struct search search = {.address = origin->backend, .port = origin->backend_port};
	struct frontend_key key = {.address = origin->service, .port = origin->service_port, .protocol = protocol};
	struct service service = find_frontend(&key);
	struct set set;

	if (!service.id && node_address(&origin->service))
		service = find_node_port(&origin->service, origin->service_port, protocol);
	if (!service.id)
		return false;
	set = read_set(set_id(service.id, reach_inside(&service)));
	search.base = set.base;
	bpf_loop(set.count, look_at_slot, &search, 0);
	return search.found;
}

/*
 * Does it keep the conversations it has? Who talks UDP to one that does not serve now had better talk to another; a TCP
 * connection tells for itself, and may well go on when it serves again.
 */
static __always_inline bool keeps(const struct backend *backend, __u8 protocol)
{
	__u8 state = *(volatile __u8 *)&backend->state;

	return protocol == IPPROTO_UDP ? state & BACKEND_SERVES : state;
}

/* A global function, so that the verifier walks it once. */
__noinline bool is_stale(const struct origin *origin, __u8 protocol)
{
	struct backend *backend;
	__u32 id;

	if (!origin)
		return false;
	id = origin->backend_id;
	backend = bpf_map_lookup_elem(&backends, &id);
	if (backend && keeps(backend, protocol) && backend->generation == origin->generation)
		return false;
	return !is_back(origin, protocol);
}

/* Is the socket connected through a service to a backend that has left? */
static __always_inline bool is_stale_udp(struct sock_common *sk, struct udp_origins *origins)
{
	struct peer peer = peer_of(sk);
	struct origin origin = {};

	if (!peer.port)
		return false;
	for (int i = 0; i < UDP_NEAR_ORIGINS; i++) {
		if (is_backend(&origins->near[i], &peer.address, peer.port)) {
			origin = origins->near[i];
			return is_stale(&origin, IPPROTO_UDP);
		}
	}
	if (!origins->overflowed)
		return false;
	struct origin_key key = {.cookie = sk->skc_cookie.counter, .address = peer.address, .port = peer.port};

	return read_far(bpf_map_lookup_elem(&udp_by_backend, &key), key.cookie, &origin) &&
	       is_stale(&origin, IPPROTO_UDP);
}

/* Writes the inode number of each network namespace that has something for end_udp: once a socket, 32 bits. */
SEC("iter/bpf_sk_storage_map")
int find_udp(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct udp_origins *origins = ctx->value;
	struct sock_common *sk = ctx->sk;
	__u32 namespace;

	if (!sk || !origins || !is_stale_udp(sk, origins))
		return 0;
	namespace = sk->skc_net.net->ns.inum;
	bpf_seq_write(ctx->meta->seq, &namespace, sizeof(namespace));
	return 0;
}

SEC("iter/udp")
int end_udp(struct bpf_iter__udp *ctx)
{
	struct sock_common *sk = ctx->udp_sk;
	struct udp_origins *origins;
	struct peer peer;

	if (!sk || !sk->skc_dport)
		return 0;
	peer = peer_of(sk);
	origins = bpf_sk_storage_get(&udp_origins, sk, 0, 0);
	if (origins && is_stale_udp(sk, origins) && !bpf_sock_destroy(sk))
		count_ended(STALE_UDP, &peer);
	return 0;
}

/* Which connection of which socket? */
struct stale_connection {
	__u64 cookie;
	__u32 backend_id;
	__u32 generation;
};

/* Writes each connection that may be one for end_tcp; where it is, and whether it still lives, only the socket knows. */
SEC("iter/bpf_map_elem")
int find_tcp(struct bpf_iter__bpf_map_elem *ctx)
{
	struct stale_connection connection;
	struct origin *value = ctx->value;
	__u64 *cookie = ctx->key;
	struct origin origin;

	if (!cookie || !value)
		return 0;
	origin = *value;
	if (!is_stale(&origin, IPPROTO_TCP))
		return 0;
	connection = (struct stale_connection){*cookie, origin.backend_id, origin.generation};
	bpf_seq_write(ctx->meta->seq, &connection, sizeof(connection));
	return 0;
}

SEC("iter/tcp")
int end_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct origin *known;
	struct origin origin;
	struct peer peer;
	__u64 cookie;

	if (!sk || !(1 << sk->skc_state & CONNECTED))
		return 0;
	cookie = sk->skc_cookie.counter;
	known = bpf_map_lookup_elem(&tcp_origins, &cookie);
	if (!known)
		return 0;
	origin = *known;
	peer = peer_of(sk);
	if (is_backend(&origin, &peer.address, peer.port) && is_stale(&origin, IPPROTO_TCP) && !bpf_sock_destroy(sk)) {
		/* It has no peer any more. The entry would make find_tcp believe that there is work. */
		bpf_map_delete_elem(&tcp_origins, &cookie);
		count_ended(STALE_TCP, &peer);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
