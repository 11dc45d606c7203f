// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Services at the socket: connect() and sendto() to a service address go to one of its backends, and the socket still
 * believes that it talks to the service. No packet is ever rewritten.
 *
 * Which hook runs is not what the socket's family suggests: an IPv6 socket that sends to a v4-mapped address runs
 * sendmsg4 and gets the reply through recvmsg6, one that connects to it runs connect6, and given a plain IPv4 address
 * connect4. So the two families differ only in how an address is read and written, and share everything else.
 * An MPTCP socket connects through a subflow, a TCP socket of the kernel's own, and that is what the hooks see.
 */
#include <linux/errno.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "affinity.h"
#include "bind.h"
#include "event.h"
#include "maps.h"
#include "peer.h"
#include "service.h"
#include "socket.h"
#include "tcp.h"
#include "udp.h"

/* The hooks that may fail return one of the first two; the others may only return ALLOW. */
enum verdict {
	DENY = 0,
	ALLOW = 1,
	TRANSLATE = 2, /* allow, but with the backend of the origin */
};

/*
 * bpf_set_retval is older (5.18), but these hooks may call it only from 6.1 on, which is also when this came. Without
 * it the call fails with EPERM.
 */
enum bpf_func_id___since_6_1 {
	BPF_FUNC_user_ringbuf_drain___since_6_1 = 209,
};

static __always_inline enum verdict fail(int error)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___since_6_1, BPF_FUNC_user_ringbuf_drain___since_6_1))
		bpf_set_retval(-error);
	return DENY;
}

/* From where a socket would speak that is not bound is not known yet, nor is its port. */
static __always_inline void tell_refused(struct bpf_sock_addr *ctx, const struct origin *origin, __u32 service_id,
					 enum drop_reason reason)
{
	struct drop_event *event = new_event(service_id, reason, TO_BACKEND, 0);

	if (!event)
		return;
	event->tuple.source = bound_address(ctx);
	event->tuple.destination = origin->service;
	event->tuple.source_port = 0;
	event->tuple.destination_port = origin->service_port;
	event->tuple.protocol = ctx->protocol;
	__builtin_memset(event->tuple.pad, 0, sizeof(event->tuple.pad));
	bpf_ringbuf_submit(event, 0);
}

/* Not inlined: the calls that are let through should have the registers. */
__noinline int refuse(struct bpf_sock_addr *ctx, const struct origin *origin, __u32 service_id, __u32 reason)
{
	if (origin) {
		count_refused(service_id);
		tell_refused(ctx, origin, service_id, reason);
	}
	return fail(ECONNREFUSED);
}

static __always_inline void set_service(struct origin *origin, const struct peer *asked)
{
	origin->service = asked->address;
	origin->service_port = asked->port;
}

/* The backend that the client stays with, or else any. */
static __always_inline bool tcp_choose(struct bpf_sock_addr *ctx, const struct service *service, struct origin *origin)
{
	enum reach reach = reach_inside(service);
	struct affinity_key client;
	struct set set;

	if (service->affinity_seconds) {
		client = affinity_of_namespace(ctx, service->id);
		if (affinity_recall(&client, reach, service->affinity_seconds, origin))
			return true;
	}
	set = read_set(set_id(service->id, reach));
	if (!set.count || !take(set.base + random_place(set), origin))
		return false;
	if (service->affinity_seconds)
		affinity_remember(&client, origin);
	return true;
}

static __always_inline enum verdict connect_tcp(struct bpf_sock_addr *ctx, struct peer *asked, struct origin *origin)
{
	struct service service = find_service(ctx, asked, NULL, IPPROTO_TCP);

	if (service.access & ACCESS_RESTRICTED && is_shut_out(ctx, &service, NULL)) {
		set_service(origin, asked);
		return refuse(ctx, origin, service.id, DROP_SOURCE_RANGE);
	}
	if (!service.id) {
		tcp_forget(bpf_get_socket_cookie(ctx));
		return ALLOW;
	}
	set_service(origin, asked);
	if (!tcp_choose(ctx, &service, origin))
		return refuse(ctx, origin, service.id, DROP_REFUSED);
	tcp_remember(ctx, origin);
	count_connection(service.id);
	return TRANSLATE;
}

/* Always a new choice, but for a client that stays: one that connects again hopes for another backend. */
static __always_inline enum verdict connect_udp(struct bpf_sock_addr *ctx, struct peer *asked, struct origin *origin)
{
	struct service service = find_service(ctx, asked, NULL, IPPROTO_UDP);
	struct udp_socket socket = udp_socket(ctx);

	if (service.access & ACCESS_RESTRICTED && is_shut_out(ctx, &service, NULL)) {
		set_service(origin, asked);
		return refuse(ctx, origin, service.id, DROP_SOURCE_RANGE);
	}
	if (!service.id) {
		udp_forget(&socket, asked);
		return ALLOW;
	}
	set_service(origin, asked);
	if (!udp_choose_for_client(ctx, &socket, &service, origin))
		return refuse(ctx, origin, service.id, DROP_REFUSED);
	udp_remember(ctx, &socket, origin);
	count_connection(service.id);
	return TRANSLATE;
}

static __always_inline enum verdict connect_any(struct bpf_sock_addr *ctx, struct peer *asked, struct origin *origin)
{
	switch (ctx->protocol) {
	case IPPROTO_TCP:
		return connect_tcp(ctx, asked, origin);
	case IPPROTO_UDP:
		return connect_udp(ctx, asked, origin);
	default:
		return ALLOW;
	}
}

static __always_inline enum verdict send_udp(struct bpf_sock_addr *ctx, struct peer *asked,
					     const struct address *source, struct origin *origin)
{
	struct service service;
	struct udp_socket socket;

	if (ctx->protocol != IPPROTO_UDP)
		return ALLOW;
	service = find_service(ctx, asked, source, IPPROTO_UDP);
	if (service.access & ACCESS_RESTRICTED && is_shut_out(ctx, &service, source)) {
		set_service(origin, asked);
		return refuse(ctx, origin, service.id, DROP_SOURCE_RANGE);
	}
	socket = udp_socket(ctx);
	if (!service.id) {
		/* A plain send() on a connected IPv6 socket comes here too, if its peer is v4-mapped. */
		if (asked->port != socket.peer.port || !same_address(&asked->address, &socket.peer.address))
			udp_forget(&socket, asked);
		return ALLOW;
	}
	set_service(origin, asked);
	if (udp_stick(&socket, service.id, origin))
		return TRANSLATE;
	if (!udp_choose_for_client(ctx, &socket, &service, origin))
		return refuse(ctx, origin, service.id, DROP_REFUSED);
	udp_remember(ctx, &socket, origin);
	count_connection(service.id);
	return TRANSLATE;
}

static __always_inline bool recall(struct bpf_sock_addr *ctx, const struct peer *peer, struct origin *origin)
{
	struct udp_socket socket;

	switch (ctx->protocol) {
	case IPPROTO_TCP:
		return tcp_recall(ctx, peer, origin);
	case IPPROTO_UDP:
		socket = udp_socket(ctx);
		return udp_recall(&socket, peer, origin);
	default:
		return false;
	}
}

/* The address that the call goes to becomes the backend's. */
static __always_inline int translate4(struct bpf_sock_addr *ctx, enum verdict verdict, const struct origin *origin)
{
	if (verdict == TRANSLATE)
		set_peer4(ctx, &origin->backend, origin->backend_port);
	return verdict == DENY ? DENY : ALLOW;
}

static __always_inline int translate6(struct bpf_sock_addr *ctx, enum verdict verdict, const struct origin *origin)
{
	if (verdict == TRANSLATE)
		set_peer6(ctx, &origin->backend, origin->backend_port);
	return verdict == DENY ? DENY : ALLOW;
}

/* The address that the kernel reports becomes the service's again. */
static __always_inline int restore4(struct bpf_sock_addr *ctx)
{
	struct peer peer = peer4(ctx);
	struct origin origin;

	if (recall(ctx, &peer, &origin))
		set_peer4(ctx, &origin.service, origin.service_port);
	return ALLOW;
}

static __always_inline int restore6(struct bpf_sock_addr *ctx)
{
	struct peer peer = peer6(ctx);
	struct origin origin;

	if (recall(ctx, &peer, &origin))
		set_peer6(ctx, &origin.service, origin.service_port);
	return ALLOW;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct peer asked = peer4(ctx);
	struct origin origin = {};

	return translate4(ctx, connect_any(ctx, &asked, &origin), &origin);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct peer asked = peer6(ctx);
	struct origin origin = {};

	return translate6(ctx, connect_any(ctx, &asked, &origin), &origin);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct peer asked = peer4(ctx);
	struct address source = source4(ctx);
	struct origin origin = {};

	return translate4(ctx, send_udp(ctx, &asked, &source, &origin), &origin);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct peer asked = peer6(ctx);
	struct address source = source6(ctx);
	struct origin origin = {};

	return translate6(ctx, send_udp(ctx, &asked, &source, &origin), &origin);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return restore4(ctx);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return restore6(ctx);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return restore4(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return restore6(ctx);
}

SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	if (ctx->protocol == IPPROTO_TCP)
		tcp_forget(bpf_get_socket_cookie(ctx));
	return ALLOW;
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *ctx)
{
	return guard_bind4(ctx) ? fail(EADDRINUSE) : ALLOW;
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *ctx)
{
	return guard_bind6(ctx) ? fail(EADDRINUSE) : ALLOW;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
