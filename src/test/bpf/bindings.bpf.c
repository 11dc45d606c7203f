// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0)
/* One of each kind of map and program, for the tests of the bindings. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct seq_file;
typedef __u16 port_t;

struct key {
	__u8 address[16];
	port_t port;
	const __u8 protocol;
	__u8 flags;
};

enum state { STATE_NONE, STATE_SERVING };

struct value {
	__u64 word;
	enum state state;
	union {
		__u32 low;
		__u8 bytes[4];
	};
	volatile __u16 counts[3];
};

struct three {
	__u32 words[3];
};

struct bits {
	__u32 one : 1;
	__u32 rest : 31;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8);
	__type(key, struct key);
	__type(value, struct value);
} a_table_with_a_long_name SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1000);
	__type(key, __u32);
	__type(value, __u64);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct three);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile __u32 added = 1;
struct bits kept;

/* Puts words[0] + added into words[1] and into the packet's first byte; returns it as well. */
SEC("tc")
int add(struct __sk_buff *skb)
{
	__u32 first = 0, second = 1;
	__u64 *from = bpf_map_lookup_elem(&words, &first);
	__u64 *to = bpf_map_lookup_elem(&words, &second);
	struct three *count = bpf_map_lookup_elem(&counts, &first);
	__u8 low;

	if (!from || !to || !count)
		return -1;
	*to = *from + added;
	count->words[0] += 1;
	kept.one = 1;
	low = *to;
	bpf_skb_store_bytes(skb, 0, &low, 1, 0);
	return *to;
}

/* Sends words[0] as one event. */
SEC("tc")
int tell(struct __sk_buff *skb)
{
	__u32 first = 0;
	__u64 *word = bpf_map_lookup_elem(&words, &first);

	if (!word)
		return -1;
	return bpf_ringbuf_output(&events, word, sizeof(*word), 0);
}

SEC("cgroup/connect4")
int allow(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/connect4")
int refuse(struct bpf_sock_addr *ctx)
{
	return 0;
}

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

/* Writes each word of an array that is not 0. */
SEC("iter/bpf_map_elem")
int say(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *word = ctx->value;

	if (word && *word)
		bpf_seq_write(ctx->meta->seq, word, sizeof(*word));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
