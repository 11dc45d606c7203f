// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The packet programs, and beside them one that no verifier lets through. */
#include "../../main/bpf/tc.bpf.c"

SEC("tc")
int careless(struct __sk_buff *skb)
{
	struct tuple nobody = {};
	struct flow *flow = bpf_map_lookup_elem(&flows, &nobody);

	return skb->len + flow->state;
}
