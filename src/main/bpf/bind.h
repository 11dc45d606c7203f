/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who listens on a port that is a node port would not be heard: connections to it go to the service. So nobody may bind
 * it on the host, on an address that takes node ports. The kernel has chosen the port by now, also where 0 was asked for.
 */
#ifndef SHUNT_BIND_H
#define SHUNT_BIND_H

#include "maps.h"
#include "peer.h"
#include "service.h"
#include "socket.h"

static __always_inline bool is_node_port(struct bpf_sock *ctx, const struct address *any)
{
	return find_node_port(any, bpf_htons(ctx->src_port), ctx->protocol).id;
}

static __always_inline bool guard_bind4(struct bpf_sock *ctx)
{
	struct address address = v4_mapped(ctx->src_ip4);

	return is_host(ctx) && (is_unspecified(&address) || node_address(&address)) && is_node_port(ctx, &address);
}

/* A socket on :: hears IPv4 too unless it was told not to, which cannot be seen here; so either family's port is taken. */
static __always_inline bool guard_bind6(struct bpf_sock *ctx)
{
	struct address address = {{ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]}};
	struct address any4 = v4_mapped(0);

	if (!is_host(ctx))
		return false;
	if (!is_unspecified(&address))
		return node_address(&address) && is_node_port(ctx, &address);
	return is_node_port(ctx, &any4) || (!is_v4(&address) && is_node_port(ctx, &address));
}

#endif
