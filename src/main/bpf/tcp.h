/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A TCP socket has one peer in its life, or none: what did it ask for? */
#ifndef SHUNT_TCP_H
#define SHUNT_TCP_H

#include <bpf/bpf_core_read.h>

#include "maps.h"
#include "peer.h"

struct sock___kern {
	__u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));

/*
 * Sockets of the kernel's own (NFS, Ceph, subflows of MPTCP) run no release hook and would leave their origin behind.
 * Nobody asks them for their peer.
 */
static __always_inline bool is_kernel_socket(struct bpf_sock *sk)
{
	struct sock___kern *tcp = (void *)bpf_skc_to_tcp_sock(sk);

	return tcp && BPF_CORE_READ_BITFIELD(tcp, sk_kern_sock);
}

static __always_inline void tcp_remember(struct bpf_sock_addr *ctx, const struct origin *origin)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);

	if (is_kernel_socket(ctx->sk))
		return;
	if (bpf_map_update_elem(&tcp_origins, &cookie, origin, BPF_ANY))
		count_error(SOCK_TCP_ORIGIN_LOST);
}

/* The look-up takes no lock, and most sockets have no origin. */
static __always_inline void tcp_forget(__u64 cookie)
{
	if (bpf_map_lookup_elem(&tcp_origins, &cookie))
		bpf_map_delete_elem(&tcp_origins, &cookie);
}

static __always_inline bool tcp_recall(struct bpf_sock_addr *ctx, const struct peer *backend, struct origin *origin)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct origin *known = bpf_map_lookup_elem(&tcp_origins, &cookie);

	if (!known || !is_backend(known, &backend->address, backend->port))
		return false;
	*origin = *known;
	return true;
}

#endif
