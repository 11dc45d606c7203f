/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How a conversation with a service begins: who asks, for what, and which backend it is. The same at every kind of hook. */
#ifndef SHUNT_BEGIN_H
#define SHUNT_BEGIN_H

#include "affinity.h"
#include "hash.h"
#include "maps.h"
#include "nat.h"
#include "packet.h"
#include "service.h"
#include "track.h"

/* Where has the packet come from? */
enum origin_of_packet {
	FROM_OUTSIDE,
	FROM_POD,
	FROM_HOST,
};

/* What becomes of it? */
enum verdict {
	PASS,       /* untouched, to whoever comes next */
	FOLLOW,     /* as the flow says */
	EVADE,      /* as the flow says, from another port */
	MASQUERADE, /* as the flow says, in the name of the node */
	DIRECT,     /* if the backend is on another node, as it is to there, which answers the client itself; else FOLLOW */
	PROCEED,    /* as the flow says, which is known */
	DROP,       /* silently, and counted */
	REFUSE,     /* with a reset or an ICMP error */
};

static __always_inline bool is_new_connection(const struct packet *packet)
{
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
	case IPPROTO_SCTP:
		return packet->flags == SCTP_INIT;
	default:
		return true;
	}
}

static __always_inline bool is_in_range(__u32 service_id, const struct address *address)
{
	struct source_range range = {
		.prefix_length = 8 * (sizeof(range) - sizeof(range.prefix_length)),
		.service_id = service_id,
		.address = *address,
	};

	return bpf_map_lookup_elem(&source_ranges, &range);
}

static __always_inline bool holds(const volatile struct range *range, const struct address *address)
{
	for (int i = 0; i < 4; i++) {
		if ((address->word[i] & range->mask.word[i]) != range->address.word[i])
			return false;
	}
	return true;
}

/* With ranges of one family only, nobody of the other is told from anybody. */
static __always_inline bool detects_local(const struct packet *packet)
{
	return packet_settings.detects_local & (packet->is_v4 ? DETECTS_V4 : DETECTS_V6);
}

/* Inside is who is on this node, by what the operator says tells its pods. */
static __always_inline bool is_inside(const struct packet *packet, enum origin_of_packet from)
{
	if (from == FROM_HOST)
		return true;
	if (detects_local(packet) && packet_settings.local_by_range)
		return holds(&packet_settings.local[0], &packet->tuple.source) ||
		       holds(&packet_settings.local[1], &packet->tuple.source);
	return from == FROM_POD;
}

/* Is it a service's address, whatever the port? */
static __always_inline bool find_address(const struct address *address, struct service *service)
{
	struct frontend_key key = {.address = *address};

	*service = find_frontend(&key);
	return service->id;
}

/*
 * The service that a packet asks for, else SERVICE_OF_ADDRESS if the port is one that must be refused: nobody else has the
 * cluster's own addresses, so there kube-proxy refuses what no service has (pkg/proxy/nftables/proxier.go,
 * cluster-ips-check). Other addresses may have ports that are none of ours. Loopback is never on the wire.
 */
static __always_inline struct service find_asked(const struct tuple *tuple)
{
	struct frontend_key key = {
		.address = tuple->destination,
		.port = tuple->destination_port,
		.protocol = tuple->protocol,
	};
	struct service of_address, service = {};
	__u32 flags;

	if (find_address(&tuple->destination, &of_address))
		service = find_frontend(&key);
	if (service.id)
		return service;
	flags = node_address(&tuple->destination);
	if (flags && !(flags & NODE_ADDRESS_LOOPBACK))
		service = find_node_port(&tuple->destination, tuple->destination_port, tuple->protocol);
	if (!service.id && of_address.id && !(of_address.access & ACCESS_EXTERNAL))
		return of_address;
	return service;
}

/* Does kube-proxy hide the client from the backend? (pkg/proxy/iptables/proxier.go, writeServiceToEndpointRules) */
static __always_inline bool masquerades(const struct packet *packet, const struct service *service, bool inside,
					enum origin_of_packet from)
{
	/* The node speaks from the address that it would have, had it asked the backend itself. */
	if (from == FROM_HOST)
		return true;
	if (service->access & ACCESS_EXTERNAL)
		return !(service->access & ACCESS_OUTSIDE_LOCAL);
	return packet_settings.masquerade_all || (detects_local(packet) && !inside);
}

/*
 * What chooses the place of the backend. Of a client that stays with its backend all ports are one: so another node, which
 * does not remember it, sends it to the same.
 */
static __always_inline __u32 lot(const struct packet *packet, const struct service *service)
{
	if (!(service->access & ACCESS_HASHED))
		return bpf_get_prandom_u32();
	return hash_peer(&packet->tuple.source, service->affinity_seconds ? 0 : packet->tuple.source_port);
}

static __always_inline bool choose(const struct packet *packet, const struct service *service, enum reach reach,
				   struct origin *origin)
{
	struct affinity_key client = {.client = packet->tuple.source, .service_id = service->id};
	struct set set;

	if (service->affinity_seconds &&
	    affinity_recall(&client, reach, service->affinity_seconds, origin))
		return true;
	set = read_set(set_id(service->id, reach));
	if (!set.count || !take(set.base + place(set, lot(packet, service)), origin))
		return false;
	if (service->affinity_seconds)
		affinity_remember(&client, origin);
	return true;
}

/*
 * What the kernel is asked for the way: for packets so long, that come in at a device. Who does not know yet from where
 * to speak asks for no length: of what is too long the kernel tells nothing else.
 */
static __always_inline void describe_way(const struct packet *packet, const struct tuple *to, __u32 length,
					 __u32 device, struct bpf_fib_lookup *way)
{
	*way = (struct bpf_fib_lookup){
		.family = packet->is_v4 ? AF_INET : AF_INET6,
		.l4_protocol = to->protocol,
		.sport = to->source_port,
		.dport = to->destination_port,
		.tot_len = is_unspecified(&to->source) ? 0 : length,
		.ifindex = device,
	};
	if (packet->is_v4) {
		way->ipv4_src = to->source.word[3];
		way->ipv4_dst = to->destination.word[3];
	} else {
		__builtin_memcpy(way->ipv6_src, &to->source, sizeof(way->ipv6_src));
		__builtin_memcpy(way->ipv6_dst, &to->destination, sizeof(way->ipv6_dst));
	}
}

static __always_inline bool is_on_the_way(long result)
{
	return result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_NO_NEIGH ||
	       result == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

static __always_inline struct address unspecified(bool v4)
{
	return v4 ? v4_mapped(0) : (struct address){};
}

/*
 * Who speaks on a way that was asked for with source_flags() and found so: an address of the node's. If the backend is
 * the node itself, from which no masquerading hides clients, or if only the kernel's stack knows the way, the client does.
 */
static __always_inline struct address speaker(const struct packet *packet, long found, const struct bpf_fib_lookup *way,
					      const struct address *client)
{
	struct address source = {};
	struct device_sources *device;
	__u32 ifindex = way->ifindex;

	if (!is_on_the_way(found))
		return *client;
	if (packet_settings.fib_tells_source && packet->is_v4)
		source = v4_mapped(way->ipv4_src);
	else if (packet_settings.fib_tells_source)
		__builtin_memcpy(&source, way->ipv6_src, sizeof(source));
	else if ((device = bpf_map_lookup_elem(&device_sources, &ifindex)))
		source = packet->is_v4 ? device->v4 : device->v6;
	return is_unspecified(&source) ? *client : source;
}

static __always_inline __u32 source_flags(void)
{
	return packet_settings.fib_tells_source ? BPF_FIB_LOOKUP_SRC : 0;
}

/*
 * Begins a flow to a backend of the service, for a packet at that device. Its source port is still to be found. What goes
 * no further has an obstacle.
 */
__noinline int begin(struct packet *packet, __u32 from, __u32 device, struct flow *flow)
{
	struct origin origin = {};
	struct service service;
	enum reach reach;
	bool inside;

	if (!packet || !flow)
		return PASS;
	service = find_asked(&packet->tuple);
	if (service.id == SERVICE_OF_ADDRESS) {
		packet->obstacle = DROP_NO_SERVICE;
		return REFUSE;
	}
	if (!service.id)
		return PASS;
	flow->service_id = service.id;
	if (service.access & ACCESS_RESTRICTED && !is_in_range(service.id, &packet->tuple.source)) {
		packet->obstacle = DROP_SOURCE_RANGE;
		return DROP;
	}
	inside = is_inside(packet, from);
	reach = service.access & (inside ? ACCESS_INSIDE_LOCAL : ACCESS_OUTSIDE_LOCAL) ? REACH_LOCAL : REACH_CLUSTER;
	if (!choose(packet, &service, reach, &origin)) {
		if (reach == REACH_LOCAL && read_set(set_id(service.id, REACH_CLUSTER)).count) {
			packet->obstacle = DROP_NO_LOCAL_BACKEND;
			return DROP;
		}
		packet->obstacle = DROP_REFUSED;
		return REFUSE;
	}
	flow->from = packet->tuple;
	flow->to = packet->tuple;
	flow->to.destination = origin.backend;
	flow->to.destination_port = origin.backend_port;
	flow->backend_id = origin.backend_id;
	flow->generation = origin.generation;
	flow->seen = now_seconds();
	flow->host_device = from == FROM_HOST ? device : 0;
	if (same_address(&packet->tuple.source, &origin.backend))
		return MASQUERADE;
	if (service.access & ACCESS_DIRECT && from == FROM_OUTSIDE)
		return DIRECT;
	return masquerades(packet, &service, inside, from) ? MASQUERADE : FOLLOW;
}

/* Not inlined, for the sake of the stack. */
__noinline int remember_direct(const struct flow *flow)
{
	if (flow && put_new(flow, PUT_ALWAYS))
		count_connection(flow->service_id);
	return 0;
}

/* Finds the source port of a flow just begun, and remembers it. False: the packet has an obstacle. */
static __always_inline bool remember(struct packet *packet, struct flow *flow, enum verdict verdict)
{
	bool keeps_port = verdict != EVADE && (same_address(&flow->from.source, &flow->to.source) ||
					       is_masquerade_port(flow->from.source_port));

	/* Nobody speaks from a port here, and nothing is wrong if it gets chosen again. */
	if (is_direct(flow)) {
		remember_direct(flow);
		return true;
	}
	if (!reserve_port(flow, keeps_port)) {
		packet->obstacle = DROP_NO_PORT;
		return false;
	}
	/* The other node has counted those that it has sent here. */
	if (flow->tunnel != TUNNEL_OUT_OF)
		count_connection(flow->service_id);
	return true;
}

static __always_inline bool backend_serves(const struct flow *flow)
{
	struct origin origin = {.backend_id = flow->backend_id, .generation = flow->generation};

	return still_serves(&origin, flow->service_id);
}

/* A client that begins anew, or sends datagrams, need not go to a backend that is gone. */
static __always_inline bool is_outlived(const struct flow *flow, const struct packet *packet)
{
	if (is_reply(flow) || !is_new_connection(packet))
		return false;
	if (packet->tuple.protocol != IPPROTO_UDP && is_over(flow))
		return true;
	/* One that only evades another asks for no service, and says its SYN again from the port that it has. */
	return flow->service_id && !backend_serves(flow);
}

#endif
