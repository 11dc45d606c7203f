/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which service does a socket's call name, and may the socket use it? */
#ifndef SHUNT_SOCKET_H
#define SHUNT_SOCKET_H

#include "maps.h"
#include "peer.h"
#include "service.h"

/* In a section of its own, so that the daemon knows where it is. */
const volatile struct settings settings SEC(".rodata.settings") = {};

/* Is the call made in the daemon's own network namespace? */
static __always_inline bool is_host(void *ctx)
{
	return bpf_get_netns_cookie(ctx) == settings.host_namespace;
}

/*
 * The service behind the address that a call names, if any. An address of the node's may have it by its port alone; its
 * loopback only on the host, for every network namespace has one of its own. A call to 0.0.0.0 goes to the address that
 * the socket speaks from, else to 127.0.0.1, and the socket then believes that it asked for that. One to :: goes to ::1,
 * which takes no node ports.
 */
static __always_inline struct service find_service(struct bpf_sock_addr *ctx, struct peer *asked,
						   const struct address *source, __u8 protocol)
{
	struct frontend_key key = {.address = asked->address, .port = asked->port, .protocol = protocol};
	struct service service;
	__u32 flags;

	if (settings.host_namespace_only && !is_host(ctx))
		return (struct service){};
	service = find_frontend(&key);
	if (service.id && !(service.access & ACCESS_OF_NODE))
		return service;
	if (service.id) {
		struct address from = source ? *source : bound_address(ctx);

		if (!is_v4(&asked->address))
			return (struct service){};
		asked->address.word[3] = is_v4(&from) && from.word[3] ? from.word[3] : LOOPBACK4;
	}
	flags = node_address(&asked->address);
	if (!flags || (flags & NODE_ADDRESS_LOOPBACK && !is_host(ctx)))
		return (struct service){};
	return find_node_port(&asked->address, asked->port, protocol);
}

/*
 * Does the socket speak from an address that may not come in by this restricted frontend? As long as the kernel has not
 * chosen one it cannot be known, and no hook of ours can ask afterwards: then the call is none to a service, and goes out
 * as it is, for whoever translates packets.
 */
static __always_inline bool is_shut_out(struct bpf_sock_addr *ctx, struct service *service, const struct address *source)
{
	struct source_range range = {
		.prefix_length = 8 * (sizeof(range) - sizeof(range.prefix_length)),
		.service_id = service->id,
		.address = source ? *source : bound_address(ctx),
	};

	if (is_unspecified(&range.address)) {
		*service = (struct service){};
		return false;
	}
	return !bpf_map_lookup_elem(&source_ranges, &range);
}

#endif
