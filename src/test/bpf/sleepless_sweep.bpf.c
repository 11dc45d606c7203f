// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The programs that forget flows; of the two no verifier lets the one through that may sleep, as none does before Linux 6.1. */
#define sweep(context) another(context)
#include "../../main/bpf/sweep.bpf.c"
#undef sweep

SEC("syscall")
int sweep(__attribute__((unused)) void *context)
{
	struct tuple nobody = {};
	struct routed_flow *entry = bpf_map_lookup_elem(&flows, &nobody);

	return entry->flow.state;
}
