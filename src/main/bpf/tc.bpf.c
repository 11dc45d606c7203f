// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Services at the network device, for packets whose sender no socket program saw: clients from elsewhere, pods with
 * kernels of their own, SCTP. A packet to a service address goes on to a backend, straight out of the device that leads
 * there; its replies are translated where they come in first. Neither meets netfilter on its way.
 *
 * from_outside sits where the node hears the network, from_pod where it hears pods, from_host where the node itself
 * speaks, on all of these. A packet that has come in by a device has been seen to there: so from_host looks only at what
 * this node has made itself, and no mark is needed.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "affinity.h"
#include "answer.h"
#include "begin.h"
#include "drop.h"
#include "maps.h"
#include "nat.h"
#include "packet.h"
#include "parse.h"
#include "sctp.h"
#include "service.h"
#include "track.h"
#include "tunnel.h"
#include "write.h"

/* skb->pkt_type: to whom is the frame? */
#define PACKET_HOST_TYPE 0
#define PACKET_OTHER_TYPE 3

/* Of a VLAN tag: which one is it? */
#define VLAN_ID 0xfff

/* A link-layer address that is nobody's, "\x02shunt": what this node sends to itself by another device has it. */
#define DELIVERED_TO bpf_cpu_to_be64(0x027368756e740000)

/* By how many devices can packets leave framed? Of two whose indexes differ by a multiple of it, by one. */
#define EXITS 1024

/*
 * By which devices may a packet leave with a link-layer header that is written here, and by which of them straight into the
 * namespace behind? A device's index is in the element of that number, modulo all; 0: there is none. An array, since looking
 * into a hash takes as long as much of what is saved.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EXITS);
	__type(key, __u32);
	__type(value, struct exit);
} exits SEC(".maps");

/* How often has the daemon looked anew where the node's devices and routes lead? Ways that were found before do not count. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} way_epoch SEC(".maps");

/* How long is the longest packet on the wire that this one stands for? */
static __always_inline __u32 segment_length(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 header = UDP_HEADER;
	__u8 offset;

	if (!skb->gso_size)
		return packet->length;
	if (packet->tuple.protocol == IPPROTO_TCP &&
	    !bpf_skb_load_bytes(skb, packet->transport + TCP_DATA_OFFSET, &offset, 1))
		header = (offset >> 4) * 4;
	return packet->transport - packet->ip + header + skb->gso_size;
}

static __always_inline __u32 length_on_the_wire(struct __sk_buff *skb, const struct packet *packet)
{
	return segment_length(skb, packet) + (packet->is_wrapped ? tunnel_header(packet) : 0);
}

/* Asks the kernel for the way to an address; 0 or one of the BPF_FIB_LKUP_RET_ codes. */
static __always_inline long ask_way(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
				    struct bpf_fib_lookup *way, __u32 flags)
{
	describe_way(packet, to, length_on_the_wire(skb, packet), skb->ifindex, way);
	return bpf_fib_lookup(skb, way, sizeof(*way), flags);
}

/* The same, for whom the call matters less than the stack. */
__noinline long find_way(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
			 struct bpf_fib_lookup *way, __u32 flags)
{
	return packet && to && way ? ask_way(skb, packet, to, way, flags) : -1;
}

static __always_inline const struct exit *exit_by(__u32 device)
{
	__u32 index = device % EXITS;
	const struct exit *exit = bpf_map_lookup_elem(&exits, &index);

	return exit && exit->device == device ? exit : NULL;
}

static __always_inline __u16 current_epoch(void)
{
	__u32 only = 0;
	__u32 *epoch = bpf_map_lookup_elem(&way_epoch, &only);

	return epoch ? *epoch : 0;
}

static __always_inline struct way known_way(const struct bpf_fib_lookup *found, __u32 second, __u16 epoch, __u16 mtu)
{
	struct way way = {.second = second, .device = found->ifindex, .epoch = epoch, .mtu = mtu};

	__builtin_memcpy(way.to, found->dmac, ETH_ALEN);
	__builtin_memcpy(way.from, found->smac, ETH_ALEN);
	return way;
}

/* What every way has to let through (RFC 8200; of IPv4, what everyone has to receive, RFC 791). */
#define LEAST_MTU4 576
#define LEAST_MTU6 1280

/*
 * Makes the node speak for the client, from the address that speaks on the way to the backend. A TCP connection's first
 * packet goes the way that was found for that; the next one asks again, and for the neighbour too.
 */
__noinline int masquerade(struct __sk_buff *skb, const struct packet *packet, struct routed_flow *routed)
{
	struct bpf_fib_lookup way = {};
	struct address client;
	__u16 epoch = current_epoch();
	struct flow *flow;
	long found;

	if (!packet || !routed)
		return 0;
	flow = &routed->flow;
	client = flow->to.source;
	flow->to.source = unspecified(packet->is_v4);
	found = find_way(skb, packet, &flow->to, &way, source_flags());
	flow->to.source = speaker(packet, found, &way, &client);
	if (found == BPF_FIB_LKUP_RET_SUCCESS && packet->tuple.protocol == IPPROTO_TCP && exit_by(way.ifindex))
		routed->way = known_way(&way, flow->seen, epoch, packet->is_v4 ? LEAST_MTU4 : LEAST_MTU6);
	return 0;
}

/* Nobody sends less for being told that less is let through: a tunnel that takes too much of the way is of no use. */
__noinline bool has_room(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to)
{
	struct bpf_fib_lookup way = {};
	struct packet least = {};

	if (!packet || !to)
		return false;
	least.is_v4 = packet->is_v4;
	least.length = packet->is_v4 ? LEAST_MTU4 : LEAST_MTU6;
	least.is_wrapped = true;
	if (find_way(skb, &least, to, &way, 0) != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return true;
	count_error(SOCK_TUNNEL_NARROW);
	return false;
}

/*
 * A conversation that asks for no service may run between the same ends as one that does, once that is translated: its
 * replies would be taken for the other's.
 */
__noinline int make_way(const struct packet *packet, struct routed_flow *routed)
{
	struct tuple reply, forward;
	struct flow *flow;

	if (!packet || !routed)
		return PASS;
	flow = &routed->flow;
	/* For datagrams, which all look like the first, it would cost more than it is worth. */
	if (packet->tuple.protocol == IPPROTO_UDP)
		return PASS;
	turn_round(&packet->tuple, &reply);
	if (!find_flow(&reply, routed) || !is_reply(flow))
		return PASS;
	if (is_over(flow)) {
		turn_round(&flow->to, &forward);
		forget_entries(&reply, &forward);
		return PASS;
	}
	__builtin_memset(routed, 0, sizeof(*routed));
	flow->from = packet->tuple;
	flow->to = packet->tuple;
	flow->seen = now_seconds();
	return EVADE;
}

/* Is its backend one on this node? */
static __always_inline bool is_here(const struct flow *flow)
{
	__u32 id = flow->backend_id;
	struct backend *backend = bpf_map_lookup_elem(&backends, &id);

	return backend && backend->state & BACKEND_IN_LOCAL;
}

/* Which service does a client ask by another node? That one's own addresses are not known here: any may have node ports. */
static __always_inline struct service find_asked_elsewhere(const struct tuple *tuple)
{
	struct frontend_key key = {
		.address = tuple->destination,
		.port = tuple->destination_port,
		.protocol = tuple->protocol,
	};
	struct service service = find_frontend(&key);

	return service.id ? service : find_node_port(&tuple->destination, tuple->destination_port, tuple->protocol);
}

/*
 * Is a packet that another node has sent on for a backend here? flow->to.destination says for which; that node has chosen
 * it, by what it knows: so it may be one that has ceased to take new connections. It knows the flow too: where this one
 * has forgotten it, any of its packets will do.
 */
__noinline int receive(const struct packet *packet, struct routed_flow *routed)
{
	struct local_backend receiver = {};
	struct service service;
	struct backend *backend;
	struct flow *flow;
	bool is_known;
	__u32 id, *found;

	if (!packet || !routed)
		return PASS;
	flow = &routed->flow;
	receiver.address = flow->to.destination;
	is_known = find_flow(&packet->tuple, routed);
	if (is_known && flow->service_id && !is_reply(flow) && !is_direct(flow) &&
	    same_address(&flow->to.destination, &receiver.address) &&
	    (packet->quoted_ip || !is_outlived(flow, packet)))
		return PROCEED;
	if (packet->quoted_ip || packet->is_later_fragment)
		return PASS;
	service = find_asked_elsewhere(&packet->tuple);
	if (!(service.access & ACCESS_DIRECT))
		return PASS;
	receiver.service_id = service.id;
	found = bpf_map_lookup_elem(&local_backends, &receiver);
	if (!found)
		return PASS;
	id = *found;
	backend = bpf_map_lookup_elem(&backends, &id);
	if (!backend || !(backend->state & BACKEND_SERVES) || backend->service_id != service.id ||
	    !same_address(&backend->address, &receiver.address))
		return PASS;
	if (is_known)
		forget_flow(flow);
	__builtin_memset(routed, 0, sizeof(*routed));
	flow->from = packet->tuple;
	flow->to = packet->tuple;
	flow->to.destination = receiver.address;
	flow->to.destination_port = backend->port;
	flow->service_id = service.id;
	flow->backend_id = id;
	flow->generation = backend->generation;
	flow->seen = now_seconds();
	flow->tunnel = TUNNEL_OUT_OF;
	return service.access & ACCESS_RESTRICTED && !is_in_range(service.id, &packet->tuple.source) ? DROP : FOLLOW;
}

/* Mends a checksum that covers addresses too. Of these it is said by how much their sum has changed. */
static __always_inline bool mend_checksum(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to,
					  __s64 change)
{
	const struct tuple *from = &packet->tuple;
	__u32 checksum = packet->transport + checksum_offset(from->protocol);
	__u64 may_be_absent = from->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	if (change < 0 || bpf_l4_csum_replace(skb, checksum, 0, change, BPF_F_PSEUDO_HDR | may_be_absent))
		return false;
	return ports_of(from) == ports_of(to) ||
	       !bpf_l4_csum_replace(skb, checksum, ports_of(from), ports_of(to), sizeof(__u32) | may_be_absent);
}

/* Writes the packet as the flow says, to live for so long. */
__noinline bool rewrite(struct __sk_buff *skb, const struct packet *packet, const struct tuple *to, __u32 ttl)
{
	__s64 change;

	if (!packet || !to)
		return false;
	change = write_header(skb, packet, to, ttl);
	if (change < 0)
		return false;
	if (packet->is_later_fragment)
		return true;
	if (packet->tuple.protocol == IPPROTO_SCTP)
		return sctp_mend(skb, packet, to) && write_ports(skb, packet->transport, to, BPF_F_RECOMPUTE_CSUM);
	return mend_checksum(skb, packet, to, change) && write_ports(skb, packet->transport, to, 0);
}

/*
 * Writes an ICMP error and the packet that it quotes, which is one of the other direction. Who reports it stays visible,
 * unless it is the end of the conversation that is hidden, or the node speaks for the client.
 */
__noinline bool rewrite_error(struct __sk_buff *skb, const struct packet *packet, const struct flow *flow)
{
	struct address from[2], to[2];
	__u32 checksum;
	__be32 ports[2];
	__s64 change;

	if (!packet || !flow)
		return false;
	checksum = packet->transport + offsetof(struct icmp_header, checksum);
	from[0] = to[0] = packet->reporter;
	from[1] = flow->from.destination;
	to[1] = flow->to.destination;
	if (same_address(&packet->reporter, &flow->from.source) ||
	    (!is_reply(flow) && !same_address(&flow->from.source, &flow->to.source)))
		to[0] = flow->to.source;
	change = write_addresses(skb, packet->ip, packet->is_v4, from, to, false);
	/* ICMP's checksum covers no addresses, ICMPv6's does. */
	if (change < 0 || (!packet->is_v4 && bpf_l4_csum_replace(skb, checksum, 0, change, BPF_F_PSEUDO_HDR)))
		return false;
	from[0] = flow->from.destination;
	from[1] = flow->from.source;
	to[0] = flow->to.destination;
	to[1] = flow->to.source;
	change = write_addresses(skb, packet->quoted_ip, packet->is_v4, from, to, true);
	/* The quoted header's checksum outweighs its addresses, where it has one. */
	if (change < 0 || (!packet->is_v4 && bpf_l4_csum_replace(skb, checksum, 0, change, 0)))
		return false;
	ports[0] = (__u32)flow->from.destination_port | (__u32)flow->from.source_port << 16;
	ports[1] = (__u32)flow->to.destination_port | (__u32)flow->to.source_port << 16;
	return !bpf_l4_csum_replace(skb, checksum, ports[0], ports[1], sizeof(ports[0])) &&
	       !bpf_skb_store_bytes(skb, packet->quoted_transport, &ports[1], sizeof(ports[1]), 0);
}

/* Is it one that can be written at once? SCTP's checksum tells what its ports were. */
static __always_inline bool is_simple(const struct packet *packet)
{
	return packet->is_plain && packet->tuple.protocol != IPPROTO_SCTP;
}

static __always_inline bool write(struct __sk_buff *skb, const struct packet *packet, const struct flow *flow, __u8 ttl,
				  bool simple)
{
	if (simple)
		return mend_checksum(skb, packet, &flow->to, write_plain(skb, packet, &flow->to, ttl));
	if (!packet->quoted_ip)
		return rewrite(skb, packet, &flow->to, ttl);
	return rewrite_error(skb, packet, flow) && (ttl == packet->ttl || set_ttl(skb, packet, ttl));
}

/* The kernel redirects nothing without a link-layer header; what it says, nobody reads. */
static __always_inline bool has_link_header(struct __sk_buff *skb, const struct packet *packet)
{
	return packet->ip || !bpf_skb_change_head(skb, ETH_HLEN, 0);
}

static __always_inline int redirect(struct __sk_buff *skb, const struct packet *packet,
				    const struct bpf_fib_lookup *way)
{
	struct bpf_redir_neigh next = {.nh_family = way->family};

	if (!has_link_header(skb, packet) || (skb->vlan_present && bpf_skb_vlan_pop(skb)))
		return TC_ACT_SHOT;
	if (way->family == AF_INET)
		next.ipv4_nh = way->ipv4_dst;
	else
		__builtin_memcpy(next.ipv6_nh, way->ipv6_dst, sizeof(next.ipv6_nh));
	return bpf_redirect_neigh(way->ifindex, &next, sizeof(next), 0);
}

/* Behind a pair of veth the kernel takes the packet for what it was taken for here. */
static __always_inline bool goes_by_shortcut(struct __sk_buff *skb, const struct way *way)
{
	const struct exit *exit = exit_by(way->device);

	return exit && exit->is_shortcut && skb->pkt_type == PACKET_HOST_TYPE;
}

/* Can it go on with a link-layer header that is written here? A tag would have to be taken off. */
static __always_inline bool may_be_framed(struct __sk_buff *skb, const struct packet *packet, enum origin_of_packet from,
					  const struct flow *flow)
{
	return from != FROM_HOST && packet->ip && !skb->vlan_present && flow->tunnel == TUNNEL_NONE;
}

/*
 * Sends a packet by a device as it has to be there. By a shortcut it goes into the namespace behind the pair of veth at once,
 * and in the state in which the pair would have handed it over.
 */
static __always_inline int send_by(struct __sk_buff *skb, const struct way *way)
{
	struct {
		__u8 to[ETH_ALEN];
		__u8 from[ETH_ALEN];
	} link;

	__builtin_memcpy(link.to, way->to, ETH_ALEN);
	__builtin_memcpy(link.from, way->from, ETH_ALEN);
	if (bpf_skb_store_bytes(skb, 0, &link, sizeof(link), 0))
		return TC_ACT_SHOT;
	if (!goes_by_shortcut(skb, way))
		return bpf_redirect(way->device, 0);
	skb->mark = 0;
	skb->priority = 0;
	return bpf_redirect_peer(way->device, 0);
}

/*
 * Does the way that the flow's packets took just now do for this one? To ask the kernel takes as long as much of the rest
 * together. Once a second a packet asks, and goes by the kernel's neighbour, which has to be seen to be still there; but for
 * shortcuts, whose other end has nobody behind it.
 */
static __always_inline bool knows_way(struct __sk_buff *skb, const struct packet *packet,
					const struct routed_flow *routed)
{
	const struct way *way = &routed->way;

	return way->second && way->second == routed->flow.seen && way->epoch == current_epoch() && packet->ttl > 1 &&
	       segment_length(skb, packet) <= way->mtu;
}

/* Two may write at a time: what they write is alike, unless the way changes in that moment, and good for a second at the most. */
static __always_inline void remember_way(const struct flow *flow, const struct way *way)
{
	struct routed_flow *entry = bpf_map_lookup_elem(&flows, &flow->from);

	if (!entry || !is_of(&entry->flow, &flow->from))
		return;
	entry->way.second = 0;
	barrier();
	entry->way.device = way->device;
	entry->way.epoch = way->epoch;
	entry->way.mtu = way->mtu;
	__builtin_memcpy(entry->way.to, way->to, ETH_ALEN);
	__builtin_memcpy(entry->way.from, way->from, ETH_ALEN);
	barrier();
	entry->way.second = way->second;
}

/*
 * To a client on this node itself, by the device that it spoke on: there, and maybe nowhere else, the kernel lets a
 * packet in whose source it would reach that way. It takes the frame for somebody else's, until take_in() says otherwise.
 */
static __always_inline int deliver(struct __sk_buff *skb, const struct packet *packet, const struct flow *flow)
{
	__u64 to = DELIVERED_TO;

	if (!is_reply(flow) || !flow->host_device || flow->host_device == skb->ifindex)
		return TC_ACT_UNSPEC;
	if (!has_link_header(skb, packet) || bpf_skb_store_bytes(skb, 0, &to, ETH_ALEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect(flow->host_device, BPF_F_INGRESS);
}

/*
 * Up the stack with what has come within another packet: as if by the way that leads to its sender, or the kernel would not
 * let it in (rp_filter) where the tunnel's packets come by another.
 */
__noinline int hand_up(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_fib_lookup way = {};
	struct tuple back = {};
	__u64 to = DELIVERED_TO;

	if (!packet)
		return TC_ACT_SHOT;
	back.source = unspecified(packet->is_v4);
	back.destination = packet->tuple.source;
	if (!is_on_the_way(find_way(skb, packet, &back, &way, 0)) || way.ifindex == skb->ifindex)
		return TC_ACT_UNSPEC;
	if (!has_link_header(skb, packet) || bpf_skb_store_bytes(skb, 0, &to, ETH_ALEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect(way.ifindex, BPF_F_INGRESS);
}

/* Is it what deliver() or hand_up() has sent? Then it is for this node, and needs no more. */
static __always_inline bool take_in(struct __sk_buff *skb)
{
	__u64 to = 0;

	if (skb->pkt_type != PACKET_OTHER_TYPE || bpf_skb_load_bytes(skb, 0, &to, ETH_ALEN) || to != DELIVERED_TO)
		return false;
	bpf_skb_change_type(skb, PACKET_HOST_TYPE);
	return true;
}

static __always_inline enum drop_reason why_not_written(const struct packet *packet)
{
	return packet->is_fragment && packet->tuple.protocol == IPPROTO_SCTP ? DROP_FRAGMENT : DROP_NOT_WRITTEN;
}

/*
 * What keeps a packet from going on? 0: nothing. Only the kernel's forwarding can divide a packet that is too large, and it
 * takes none that seems to come from this node or by the wrong way: the sender of such a one is told the size, even if it
 * did not ask for that. It tells the senders of what came within another packet: those are not behind this device, and what
 * was joined out of several cannot be cut here once it was in a tunnel (bpf_skb_change_tail, of skb->encapsulation).
 */
static __always_inline enum drop_reason obstacle(const struct packet *packet, enum origin_of_packet from, long found,
						 const struct flow *flow)
{
	bool for_kernel = from != FROM_HOST && same_address(&flow->to.source, &packet->tuple.source);

	if (!is_on_the_way(found) || packet->was_wrapped)
		return 0;
	if (from != FROM_HOST && packet->ttl <= 1)
		return DROP_TTL;
	return found == BPF_FIB_LKUP_RET_FRAG_NEEDED && (packet->may_not_fragment || !for_kernel) ? DROP_TOO_BIG : 0;
}

/* Who has the next hop's link-layer address is looked up as the packet leaves. */
static __always_inline __u32 way_flags(void)
{
	return packet_settings.fib_tells_source ? BPF_FIB_LOOKUP_SKIP_NEIGH : 0;
}

static __always_inline bool leads_somewhere(long found)
{
	return found == BPF_FIB_LKUP_RET_SUCCESS || found == BPF_FIB_LKUP_RET_NO_NEIGH;
}

/* Does it tell a client, whose packets come within others, how long these may be? */
static __always_inline bool answers_with_syn(const struct packet *packet, const struct flow *flow)
{
	return flow->tunnel == TUNNEL_OUT_OF && is_reply(flow) && packet->tuple.protocol == IPPROTO_TCP &&
	       !packet->quoted_ip && !packet->is_later_fragment && packet->flags & TCP_SYN;
}

/* Sends a packet as it is to the node where its backend is. */
__noinline int send_across(struct __sk_buff *skb, struct packet *packet, const struct flow *flow)
{
	struct bpf_fib_lookup way = {};
	long found;

	if (!packet || !flow)
		return TC_ACT_SHOT;
	packet->is_wrapped = true;
	/* What is in a tunnel cannot be parted on the way: whoever hears of it parts it himself. */
	packet->may_not_fragment = true;
	found = find_way(skb, packet, &flow->to, &way, way_flags());
	packet->obstacle = obstacle(packet, FROM_OUTSIDE, found, flow);
	if (packet->obstacle) {
		packet->mtu = packet->obstacle == DROP_TOO_BIG ? way.mtu_result - tunnel_header(packet) : 0;
		return dropped(skb, packet, flow, packet->obstacle);
	}
	if (!leads_somewhere(found))
		return dropped(skb, packet, flow, DROP_NO_SOURCE);
	if (!set_ttl(skb, packet, packet->ttl - 1) || !wrap(skb, packet, &flow->to))
		return dropped(skb, packet, flow, DROP_NOT_WRITTEN);
	return redirect(skb, packet, &way);
}

/*
 * Sends a packet on as its flow says, and does for it what the kernel's forwarding would have done. What keeps it from
 * going on is left to the caller to answer.
 */
static __always_inline int send_on(struct __sk_buff *skb, struct packet *packet, enum origin_of_packet from,
				   const struct routed_flow *routed, bool simple)
{
	const struct flow *flow = &routed->flow;
	struct bpf_fib_lookup way = {};
	bool forwards, framed;
	__u16 epoch;
	long found;

	/* What the node itself has made is on its way already, unless the way leads elsewhere now. */
	if (from == FROM_HOST && same_address(&flow->to.destination, &packet->tuple.destination))
		return write(skb, packet, flow, packet->ttl, simple)
			       ? TC_ACT_UNSPEC
			       : dropped(skb, packet, flow, why_not_written(packet));
	framed = simple && may_be_framed(skb, packet, from, flow);
	if (framed && knows_way(skb, packet, routed))
		return write(skb, packet, flow, packet->ttl - 1, simple)
			       ? send_by(skb, &routed->way)
			       : dropped(skb, packet, flow, why_not_written(packet));
	epoch = current_epoch();
	framed = framed && (is_confirmed(flow) || (!is_reply(flow) && is_here(flow)));
	found = simple ? ask_way(skb, packet, &flow->to, &way, framed ? 0 : way_flags())
		       : find_way(skb, packet, &flow->to, &way, way_flags());
	/* To itself the node cannot speak by a device: the kernel takes in nothing that seems to come from here. */
	if (from == FROM_HOST && !is_on_the_way(found))
		return dropped(skb, packet, flow, DROP_NO_SOURCE);
	packet->obstacle = obstacle(packet, from, found, flow);
	if (packet->obstacle) {
		/* Of any other error this would be something else. */
		packet->mtu = packet->obstacle == DROP_TOO_BIG ? way.mtu_result : 0;
		return dropped(skb, packet, flow, packet->obstacle);
	}
	/* Who has to ask for the neighbour too, and it is not known yet, is told nothing of the way. */
	if (answers_with_syn(packet, flow) && found == BPF_FIB_LKUP_RET_SUCCESS &&
	    !limit_segments(skb, packet, way.mtu_result))
		return dropped(skb, packet, flow, DROP_NOT_WRITTEN);
	forwards = leads_somewhere(found) && !(packet->was_wrapped && packet->ttl <= 1);
	if (!write(skb, packet, flow, packet->ttl - (forwards && from != FROM_HOST), simple))
		return dropped(skb, packet, flow, why_not_written(packet));
	if (!forwards)
		return deliver(skb, packet, flow);
	/* To whom the neighbour is not known yet, the kernel has to find it out. */
	if (framed && found == BPF_FIB_LKUP_RET_SUCCESS && exit_by(way.ifindex)) {
		struct way known = known_way(&way, flow->seen, epoch, way.mtu_result);

		if (is_confirmed(flow))
			remember_way(flow, &known);
		if (goes_by_shortcut(skb, &known))
			return send_by(skb, &known);
	}
	return redirect(skb, packet, &way);
}

__noinline int forward(struct __sk_buff *skb, struct packet *packet, __u32 from, const struct routed_flow *routed)
{
	return packet && routed ? send_on(skb, packet, from, routed, false) : TC_ACT_SHOT;
}

/* The same, for nearly all packets, with the fewest calls. */
__noinline int forward_simple(struct __sk_buff *skb, struct packet *packet, __u32 from, const struct routed_flow *routed)
{
	return packet && routed ? send_on(skb, packet, from, routed, true) : TC_ACT_SHOT;
}

static __always_inline __u16 icmp4_error(enum drop_reason reason)
{
	switch (reason) {
	case DROP_TTL:
		return ICMP4_TIME_EXCEEDED << 8;
	case DROP_TOO_BIG:
		return ICMP4_UNREACHABLE << 8 | 4;
	default:
		return ICMP4_UNREACHABLE << 8 | 3;
	}
}

static __always_inline __u16 icmp6_error(enum drop_reason reason)
{
	switch (reason) {
	case DROP_TTL:
		return ICMP6_TIME_EXCEEDED << 8;
	case DROP_TOO_BIG:
		return ICMP6_TOO_BIG << 8;
	default:
		return ICMP6_UNREACHABLE << 8 | 4;
	}
}

static __always_inline int send_back(struct __sk_buff *skb, enum origin_of_packet from)
{
	return bpf_redirect(skb->ifindex, from == FROM_HOST ? BPF_F_INGRESS : 0);
}

/* Turns the packet into the answer to itself: its sender should not have to wait. */
static __always_inline int answer(struct __sk_buff *skb, const struct packet *packet, enum origin_of_packet from)
{
	enum drop_reason reason = packet->obstacle;
	bool made;

	/* Who asks by a fragment that is not the first has been told, and nobody is told about an error. */
	if (packet->is_later_fragment || packet->quoted_ip)
		return TC_ACT_SHOT;
	if (packet->tuple.protocol == IPPROTO_TCP && (reason == DROP_REFUSED || reason == DROP_NO_SERVICE))
		made = make_reset(skb, packet);
	else if (packet->is_v4)
		made = make_icmp4_error(skb, packet, icmp4_error(reason), packet->mtu);
	else
		made = make_icmp6_error(skb, packet, icmp6_error(reason), packet->mtu);
	return made ? send_back(skb, from) : TC_ACT_SHOT;
}

/*
 * A ping to a service is answered by the first node that sees it. An external address may be another machine's, so there
 * only where nobody else can answer: who comes from elsewhere has been sent to this node.
 */
static __always_inline int answer_echo(struct __sk_buff *skb, const struct packet *packet, enum origin_of_packet from)
{
	struct service service;

	if (!find_address(&packet->tuple.destination, &service) ||
	    (service.access & ACCESS_EXTERNAL && from != FROM_OUTSIDE))
		return TC_ACT_UNSPEC;
	return make_echo_reply(skb, packet) ? send_back(skb, from) : TC_ACT_SHOT;
}

/* link: how long is the link-layer header? */
static __always_inline int translate(struct __sk_buff *skb, enum origin_of_packet from, __u32 link)
{
	struct packet packet = {};
	struct routed_flow routed = {};
	struct flow *flow = &routed.flow;
	enum verdict verdict;
	enum parsed parsed;
	__u32 at;
	int action;

	/*
	 * On its way to or from a virtual LAN's own device, where it is seen without its tag. VLAN 0 is none: such a tag says
	 * how urgent the frame is, and the kernel does without it.
	 */
	if (skb->vlan_present && skb->vlan_tci & VLAN_ID)
		return TC_ACT_UNSPEC;
	parsed = parse_frame(skb, link, &packet);
	if (parsed != PARSED) {
		if (from != FROM_OUTSIDE || parsed != NOT_OURS || !is_tunnel(&packet))
			return TC_ACT_UNSPEC;
		/* Of other tunnels every packet stays as it is. */
		flow->to.destination = packet.tuple.destination;
		at = packet.transport;
		packet = (struct packet){};
		if (parse(skb, at, &packet) != PARSED || packet.is_echo ||
		    (packet.is_later_fragment && !recall_fragment(&packet)))
			return TC_ACT_UNSPEC;
		verdict = receive(&packet, &routed);
		if (verdict == PASS)
			return TC_ACT_UNSPEC;
		if (verdict == DROP)
			return dropped(skb, &packet, flow, DROP_SOURCE_RANGE);
		flow->host_device = skb->ifindex;
		if (!unwrap(skb, &packet))
			return dropped(skb, &packet, flow, DROP_NOT_WRITTEN);
		goto decided;
	}
	if (packet.is_later_fragment && !recall_fragment(&packet))
		return TC_ACT_UNSPEC;
	if (packet.is_echo)
		return answer_echo(skb, &packet, from);
	if (find_flow(&packet.tuple, &routed)) {
		if (packet.quoted_ip)
			goto known;
		if (!is_outlived(flow, &packet)) {
			if (!keep_up(&routed, &packet))
				return dropped(skb, &packet, flow, DROP_FLOWS_FULL);
			goto known;
		}
		forget_flow(flow);
		routed = (struct routed_flow){};
	}
	if (packet.is_later_fragment || packet.quoted_ip || !is_new_connection(&packet))
		return TC_ACT_UNSPEC;
	verdict = begin(&packet, from, skb->ifindex, flow);
	/* What the node itself says is seen again, translated, by the device that it leaves. */
	if (verdict == PASS && from != FROM_HOST)
		verdict = make_way(&packet, &routed);
decided:
	switch (verdict) {
	case DROP:
		goto drop;
	case PROCEED:
		if (!packet.quoted_ip && !keep_up(&routed, &packet))
			return dropped(skb, &packet, flow, DROP_FLOWS_FULL);
		break;
	case REFUSE:
		if (flow->service_id)
			count_refused(flow->service_id);
		dropped(skb, &packet, flow, packet.obstacle);
		return answer(skb, &packet, from);
	case DIRECT:
		if (!is_here(flow)) {
			masquerade(skb, &packet, &routed);
			if (!same_address(&flow->to.source, &flow->from.source) && has_room(skb, &packet, &flow->to))
				flow->tunnel = TUNNEL_INTO;
		}
		if (!remember(&packet, flow, verdict))
			goto drop;
		break;
	case MASQUERADE:
		masquerade(skb, &packet, &routed);
		__attribute__((fallthrough));
	case FOLLOW:
	case EVADE:
		if (!remember(&packet, flow, verdict))
			goto drop;
		break;
	default:
		return TC_ACT_UNSPEC;
	}
known:
	if (packet.is_fragment && !packet.is_later_fragment)
		remember_fragment(&packet);
	if (is_direct(flow))
		action = send_across(skb, &packet, flow);
	else if (is_simple(&packet))
		action = forward_simple(skb, &packet, from, &routed);
	else
		action = forward(skb, &packet, from, &routed);
	if (packet.obstacle)
		return answer(skb, &packet, from);
	return packet.was_wrapped && action == TC_ACT_UNSPEC ? hand_up(skb, &packet) : action;
drop:
	return dropped(skb, &packet, flow, packet.obstacle);
}

/* Frames for others that a switch has flooded, or that somebody only listens to, are not for us. */
static __always_inline int see_from_outside(struct __sk_buff *skb, __u32 link)
{
	if ((link && take_in(skb)) || skb->pkt_type != PACKET_HOST_TYPE)
		return TC_ACT_UNSPEC;
	return translate(skb, FROM_OUTSIDE, link);
}

static __always_inline int see_from_pod(struct __sk_buff *skb, __u32 link)
{
	return link && take_in(skb) ? TC_ACT_UNSPEC : translate(skb, FROM_POD, link);
}

static __always_inline int see_from_host(struct __sk_buff *skb, __u32 link)
{
	return skb->ingress_ifindex ? TC_ACT_UNSPEC : translate(skb, FROM_HOST, link);
}

SEC("tc")
int from_outside(struct __sk_buff *skb)
{
	return see_from_outside(skb, ETH_HLEN);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	return see_from_pod(skb, ETH_HLEN);
}

SEC("tc")
int from_host(struct __sk_buff *skb)
{
	return see_from_host(skb, ETH_HLEN);
}

/* The same for tunnels and the like, whose packets have no link-layer header. */
SEC("tc")
int from_outside_l3(struct __sk_buff *skb)
{
	return see_from_outside(skb, 0);
}

SEC("tc")
int from_pod_l3(struct __sk_buff *skb)
{
	return see_from_pod(skb, 0);
}

SEC("tc")
int from_host_l3(struct __sk_buff *skb)
{
	return see_from_host(skb, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
