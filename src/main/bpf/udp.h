/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A UDP socket has many peers: for which service address does each stand?
 *
 * The kernel holds the socket's lock while these hooks run. connect() may still fail after its hook, and the socket then
 * keeps its old peer: so origins are looked up by the address the kernel reports, a new one is put beside the old ones,
 * and an old one goes only when it would be wrong or when its room is needed.
 */
#ifndef SHUNT_UDP_H
#define SHUNT_UDP_H

#include "affinity.h"
#include "maps.h"
#include "peer.h"
#include "service.h"

/* How many backends are tried to find one that stands for no other service address on the socket? */
#define UDP_PROBES 128

/* What the socket knows while a call is made. */
struct udp_socket {
	struct udp_origins *origins; /* null: it never used a service */
	struct peer peer;            /* whom it is connected to */
	__u64 cookie;
};

static __always_inline struct udp_socket udp_socket(struct bpf_sock_addr *ctx)
{
	return (struct udp_socket){
		.origins = bpf_sk_storage_get(&udp_origins, ctx->sk, 0, 0),
		.peer = connected_peer(ctx),
		.cookie = bpf_get_socket_cookie(ctx),
	};
}

static __always_inline struct origin_key origin_key(__u64 cookie, const struct address *address, __be16 port)
{
	return (struct origin_key){.cookie = cookie, .address = *address, .port = port};
}

static __always_inline bool far_by_service(__u64 cookie, const struct address *address, __be16 port,
					   struct origin *origin)
{
	struct origin_key key = origin_key(cookie, address, port);

	return read_far(bpf_map_lookup_elem(&udp_by_service, &key), cookie, origin) &&
	       is_service(origin, address, port);
}

static __always_inline bool far_by_backend(__u64 cookie, const struct address *address, __be16 port,
					   struct origin *origin)
{
	struct origin_key key = origin_key(cookie, address, port);

	return read_far(bpf_map_lookup_elem(&udp_by_backend, &key), cookie, origin) &&
	       is_backend(origin, address, port);
}

static __always_inline void put_by_service(__u64 cookie, const struct origin *origin)
{
	struct origin_key key = origin_key(cookie, &origin->service, origin->service_port);
	struct far_origin far = {.cookie = cookie, .origin = *origin};

	if (bpf_map_update_elem(&udp_by_service, &key, &far, BPF_ANY))
		count_error(SOCK_UDP_ORIGIN_LOST);
}

static __always_inline void put_by_backend(__u64 cookie, const struct origin *origin)
{
	struct origin_key key = origin_key(cookie, &origin->backend, origin->backend_port);
	struct far_origin far = {.cookie = cookie, .origin = *origin};

	if (bpf_map_update_elem(&udp_by_backend, &key, &far, BPF_ANY))
		count_error(SOCK_UDP_ORIGIN_LOST);
}

static __always_inline void drop_by_service(__u64 cookie, const struct address *address, __be16 port)
{
	struct origin_key key = origin_key(cookie, address, port);

	bpf_map_delete_elem(&udp_by_service, &key);
}

static __always_inline void drop_by_backend(__u64 cookie, const struct address *address, __be16 port)
{
	struct origin_key key = origin_key(cookie, address, port);

	bpf_map_delete_elem(&udp_by_backend, &key);
}

/* For which service address does the peer stand? */
static __always_inline bool udp_recall(const struct udp_socket *socket, const struct peer *peer, struct origin *origin)
{
	struct udp_origins *origins = socket->origins;
	struct origin other;

	if (!origins)
		return false;
	for (int i = 0; i < UDP_NEAR_ORIGINS; i++) {
		if (is_backend(&origins->near[i], &peer->address, peer->port)) {
			*origin = origins->near[i];
			return true;
		}
	}
	if (!origins->overflowed)
		return false;
	if (!far_by_backend(socket->cookie, &peer->address, peer->port, origin))
		return false;
	if (!far_by_service(socket->cookie, &origin->service, origin->service_port, &other))
		put_by_service(socket->cookie, origin);
	return true;
}

/* For whom does the backend of an origin stand on this socket? */
enum standing {
	STANDS_FOR_NONE,
	STANDS_FOR_SERVICE, /* the origin's own */
	STANDS_FOR_OTHER,   /* another service address, or itself: replies could not be told apart */
};

static __always_inline enum standing standing_of(const struct origin *known, const struct origin *origin)
{
	return is_service(known, &origin->service, origin->service_port) ? STANDS_FOR_SERVICE : STANDS_FOR_OTHER;
}

static __always_inline enum standing standing(const struct udp_socket *socket, const struct origin *origin)
{
	struct udp_origins *origins = socket->origins;
	struct origin far;

	if (origins) {
		for (int i = 0; i < UDP_NEAR_ORIGINS; i++) {
			if (is_backend(&origins->near[i], &origin->backend, origin->backend_port))
				return standing_of(&origins->near[i], origin);
		}
		if (origins->overflowed) {
			if (far_by_backend(socket->cookie, &origin->backend, origin->backend_port, &far))
				return standing_of(&far, origin);
		}
	}
	if (is_backend(origin, &socket->peer.address, socket->peer.port))
		return STANDS_FOR_OTHER;
	return STANDS_FOR_NONE;
}

/*
 * Takes the backend of a slot if it stands for no other service address. This and the next are global functions, so
 * that the verifier walks each once, and not for every way that leads there.
 */
__noinline bool udp_take_unused(struct bpf_sock_addr *ctx, __u32 slot, struct origin *origin)
{
	struct udp_socket socket = udp_socket(ctx);

	return origin && take(slot, origin) && standing(&socket, origin) != STANDS_FOR_OTHER;
}

/* Any backend, but one that stands for no other service address if there is one. The origin's service is set. */
__noinline bool udp_choose(struct bpf_sock_addr *ctx, __u32 set_id, struct origin *origin)
{
	struct set set = read_set(set_id);
	__u32 start = random_place(set);

	if (!origin || !set.count)
		return false;
	for (__u32 i = 0; i < UDP_PROBES && i < set.count; i++) {
		if (udp_take_unused(ctx, set.base + (start + i) % set.count, origin))
			return true;
	}
	return take(set.base + start, origin);
}

/*
 * The backend that the client stays with, unless it stands for another service address on this socket: to tell replies
 * apart comes first. Else any.
 */
static __always_inline bool udp_choose_for_client(struct bpf_sock_addr *ctx, const struct udp_socket *socket,
						  const struct service *service, struct origin *origin)
{
	enum reach reach = reach_inside(service);
	struct affinity_key client;
	bool known = false;

	if (service->affinity_seconds) {
		client = affinity_of_namespace(ctx, service->id);
		known = affinity_recall(&client, reach, service->affinity_seconds, origin);
		if (known && standing(socket, origin) != STANDS_FOR_OTHER)
			return true;
	}
	if (!udp_choose(ctx, set_id(service->id, reach), origin))
		return false;
	if (service->affinity_seconds && !known)
		affinity_remember(&client, origin);
	return true;
}

/*
 * The backend through which the socket already talks to the service address, if that still serves. A connected socket
 * hears only its peer, so that comes first. The origin's service is set.
 */
static __always_inline bool udp_stick(const struct udp_socket *socket, __u32 service_id, struct origin *origin)
{
	struct udp_origins *origins = socket->origins;
	struct origin known;

	if (!origins)
		return false;
	if (socket->peer.port && udp_recall(socket, &socket->peer, &known) &&
	    is_service(&known, &origin->service, origin->service_port) && still_serves(&known, service_id)) {
		*origin = known;
		return true;
	}
	for (int i = 0; i < UDP_NEAR_ORIGINS; i++) {
		struct origin *near = &origins->near[i];

		if (is_service(near, &origin->service, origin->service_port) && still_serves(near, service_id)) {
			*origin = *near;
			return true;
		}
	}
	if (!origins->overflowed)
		return false;
	if (!far_by_service(socket->cookie, &origin->service, origin->service_port, &known) ||
	    !still_serves(&known, service_id))
		return false;
	switch (standing(socket, &known)) {
	case STANDS_FOR_OTHER:
		return false;
	case STANDS_FOR_NONE:
		put_by_backend(socket->cookie, &known);
		break;
	case STANDS_FOR_SERVICE:
		break;
	}
	*origin = known;
	return true;
}

static __always_inline void udp_remember(struct bpf_sock_addr *ctx, const struct udp_socket *socket,
					 const struct origin *origin)
{
	struct udp_origins *origins =
		bpf_sk_storage_get(&udp_origins, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	__u32 room = UDP_NEAR_ORIGINS;
	bool free = false;

	if (!origins) {
		count_error(SOCK_UDP_ORIGIN_LOST);
		return;
	}
	for (__u32 i = 0; i < UDP_NEAR_ORIGINS; i++) {
		struct origin *near = &origins->near[i];

		if (is_backend(near, &origin->backend, origin->backend_port)) {
			room = i;
			break;
		}
		if (free)
			continue;
		if (!near->backend_port) {
			room = i;
			free = true;
		} else if (is_service(near, &origin->service, origin->service_port) &&
			   !is_backend(near, &socket->peer.address, socket->peer.port)) {
			room = i;
		}
	}
	if (room < UDP_NEAR_ORIGINS) {
		origins->near[room] = *origin;
		return;
	}
	origins->overflowed = 1;
	put_by_service(socket->cookie, origin);
	put_by_backend(socket->cookie, origin);
}

/* The socket now talks to the peer itself, so the peer stands for no service any more. */
static __always_inline void udp_forget(const struct udp_socket *socket, const struct peer *peer)
{
	struct udp_origins *origins = socket->origins;
	struct origin far;

	if (!origins)
		return;
	for (int i = 0; i < UDP_NEAR_ORIGINS; i++) {
		if (is_backend(&origins->near[i], &peer->address, peer->port))
			origins->near[i] = (struct origin){};
	}
	if (!origins->overflowed)
		return;
	if (!far_by_backend(socket->cookie, &peer->address, peer->port, &far))
		return;
	drop_by_service(socket->cookie, &far.service, far.service_port);
	drop_by_backend(socket->cookie, &peer->address, peer->port);
}

#endif
