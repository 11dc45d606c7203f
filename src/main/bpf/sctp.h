/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * SCTP's checksum is a CRC32c over the whole packet, ports included, and addresses not. A CRC is linear: what the ports'
 * change does to it depends on the change and on how many bytes follow, so the rest of the packet need not be read.
 */
#ifndef SHUNT_SCTP_H
#define SHUNT_SCTP_H

#include "packet.h"

/* The polynomial of RFC 9260, appendix A, lowest power first, as all that follows. */
#define CRC32C 0x82f63b78

/* The product of two polynomials modulo that one. */
__noinline __u32 crc32c_times(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int bit = 31; bit >= 0; bit--) {
		if (a >> bit & 1)
			product ^= b;
		b = b & 1 ? b >> 1 ^ CRC32C : b >> 1;
	}
	return product;
}

/* What becomes of a difference in the first four bytes, once the CRC has gone over `length` bytes in all? */
static __always_inline __u32 crc32c_shift(__u32 difference, __u16 length)
{
	__u32 power = 1 << 23; /* x^8: one byte */

	for (int bit = 0; bit < 16; bit++) {
		if (length >> bit & 1)
			difference = crc32c_times(difference, power);
		power = crc32c_times(power, power);
	}
	return difference;
}

/*
 * Mends the checksum of a packet whose ports change. Zero means that the device will fill it in; a packet whose checksum
 * really is zero, one in four thousand million, gets lost.
 */
static __always_inline bool sctp_mend(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to)
{
	const struct tuple *from = &packet->tuple;
	__u32 at = packet->transport + SCTP_CHECKSUM;
	__u32 difference, checksum;

	difference = (__u32)(from->source_port ^ to->source_port) |
		     (__u32)(from->destination_port ^ to->destination_port) << 16;
	if (!difference)
		return true;
	/* How many bytes follow, nobody knows of a fragment. */
	if (packet->is_fragment || bpf_skb_load_bytes(skb, at, &checksum, sizeof(checksum)))
		return false;
	if (!checksum)
		return true;
	difference = crc32c_shift(difference, packet->length - (packet->transport - packet->ip));
	checksum ^= difference;
	return !bpf_skb_store_bytes(skb, at, &checksum, sizeof(checksum), BPF_F_RECOMPUTE_CSUM);
}

#endif
