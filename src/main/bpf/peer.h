/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The addresses of a call, read and written in the one form that the maps know. */
#ifndef SHUNT_PEER_H
#define SHUNT_PEER_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

#define AF_INET 2
#define AF_INET6 10
#define LOOPBACK4 bpf_htonl(0x7f000001)

/* Whom does a call name? All in network byte order; port 0 is nobody. */
struct peer {
	struct address address;
	__be16 port;
};

static __always_inline struct address v4_mapped(__be32 address)
{
	return (struct address){{0, 0, bpf_htonl(0xffff), address}};
}

static __always_inline struct peer peer4(const struct bpf_sock_addr *ctx)
{
	return (struct peer){v4_mapped(ctx->user_ip4), ctx->user_port};
}

static __always_inline struct peer peer6(const struct bpf_sock_addr *ctx)
{
	return (struct peer){
		{{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}},
		ctx->user_port,
	};
}

/* From which address is a datagram sent? Unspecified as long as the kernel has not chosen. */
static __always_inline struct address source4(const struct bpf_sock_addr *ctx)
{
	return v4_mapped(ctx->msg_src_ip4);
}

static __always_inline struct address source6(const struct bpf_sock_addr *ctx)
{
	return (struct address){
		{ctx->msg_src_ip6[0], ctx->msg_src_ip6[1], ctx->msg_src_ip6[2], ctx->msg_src_ip6[3]}};
}

static __always_inline void set_peer4(struct bpf_sock_addr *ctx, const struct address *address, __be16 port)
{
	ctx->user_ip4 = address->word[3];
	ctx->user_port = port;
}

static __always_inline void set_peer6(struct bpf_sock_addr *ctx, const struct address *address, __be16 port)
{
	ctx->user_ip6[0] = address->word[0];
	ctx->user_ip6[1] = address->word[1];
	ctx->user_ip6[2] = address->word[2];
	ctx->user_ip6[3] = address->word[3];
	ctx->user_port = port;
}

/*
 * Whom is the socket connected to, while the call is made? Only the port says whether it is: disconnecting leaves the
 * address of an IPv6 socket behind.
 */
static __always_inline struct peer connected_peer(const struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct peer peer = {.port = sk->dst_port};
	__be32 v4 = sk->dst_ip4;

	/* Or clang would load either field through one computed pointer, which the verifier does not allow. */
	barrier_var(v4);
	if (!peer.port)
		return peer;
	if (sk->family == AF_INET)
		peer.address = v4_mapped(v4);
	else
		peer.address = (struct address){{sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]}};
	return peer;
}

/*
 * From which address does the socket speak? Unspecified (of either family) as long as the kernel has not been told and
 * has not chosen.
 */
static __always_inline struct address bound_address(const struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__be32 v4 = sk->src_ip4;

	barrier_var(v4);
	if (sk->family == AF_INET)
		return v4_mapped(v4);
	return (struct address){{sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]}};
}

static __always_inline bool is_v4(const struct address *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_unspecified(const struct address *address)
{
	return !address->word[3] && !address->word[0] && !address->word[1] &&
	       (!address->word[2] || address->word[2] == bpf_htonl(0xffff));
}

static __always_inline bool is_v4_loopback(const struct address *address)
{
	return is_v4(address) && (bpf_ntohl(address->word[3]) >> 24) == 127;
}

static __always_inline bool same_address(const struct address *a, const struct address *b)
{
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

static __always_inline bool is_service(const struct origin *origin, const struct address *address, __be16 port)
{
	return origin->service_port == port && same_address(&origin->service, address);
}

static __always_inline bool is_backend(const struct origin *origin, const struct address *address, __be16 port)
{
	return origin->backend_port == port && same_address(&origin->backend, address);
}

/* Copies what an element of a shared map holds, unless it became another socket's meanwhile. */
static __always_inline bool read_far(const struct far_origin *far, __u64 cookie, struct origin *origin)
{
	if (!far)
		return false;
	*origin = far->origin;
	barrier();
	return *(volatile __u64 *)&far->cookie == cookie;
}

#endif
