// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/* Programs for a driver that do nothing. Where there is one a veth takes whole frames, which else it drops. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(__attribute__((unused)) struct xdp_md *xdp)
{
	return XDP_PASS;
}

/* By the names of those that are tested. */
SEC("xdp")
int driver_native(__attribute__((unused)) struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("xdp")
int driver_generic(__attribute__((unused)) struct xdp_md *xdp)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
