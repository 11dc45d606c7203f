// SPDX-License-Identifier: Apache-2.0
/*
 * Makes exactly the system calls it is told to, for tests, demo and benchmark. Commands come a line each from stdin and
 * get a reply of one line each, or they are the arguments, separated by "--":
 *
 *	traffic serve tcp 10.0.0.2 8080 web-1 -- serve udp 10.0.0.2 53 web-1
 *
 * A reply is "ok" and what was asked for, or "error" and the errno's name. The text of an address chooses the sockaddr,
 * whatever the socket is: 10.0.0.1 is AF_INET, ::ffff:10.0.0.1 and fd00::1 are AF_INET6.
 *
 *	socket tcp4|tcp6|udp4|udp6|mptcp4|mptcp6    -> ok ID
 *	bind ID ADDRESS PORT
 *	connect ID ADDRESS PORT
 *	disconnect ID                               connect() to AF_UNSPEC
 *	send ID TEXT
 *	sendto ID ADDRESS PORT TEXT
 *	recv ID [MILLISECONDS]                      -> ok TEXT, each line end a space
 *	recvfrom ID [MILLISECONDS]                  -> ok ADDRESS PORT TEXT; ETIMEDOUT if nothing came (default 10000)
 *	getpeername ID                              -> ok ADDRESS PORT
 *	getsockname ID                              -> ok ADDRESS PORT
 *	close ID
 *	hops ID COUNT                               how far packets may go; from then on ICMP errors are told by recv
 *	serve tcp|udp ADDRESS PORT NAME             -> ok ID: answers HTTP requests, or any datagram, with NAME, and
 *	                                            behind one that ends in @ with the client's address
 *	echo tcp|udp ADDRESS PORT                   -> ok ID: sends back whatever comes
 *	transfer ID BYTES                           sends so many to an echo, by UDP as one datagram, and has them back;
 *	                                            EBADMSG if they are others
 *	tun DEVICE NAMESPACE PEER                   joins a new device here and one in the namespace of that file: what one
 *	                                            sends the other hears, IP packets without a link-layer header
 *	frame DEVICE HEX                            sends this Ethernet frame
 *	flood ADDRESS PORT COUNT                    SYNs from addresses of 100.64.0.0/10 or fd64::/64
 *	request ADDRESS PORT                        -> ok NAME, by one HTTP request
 *	namespace                                   -> ok COOKIE, of the network namespace
 *	load KIND ADDRESS PORT AMOUNT [THREADS]     -> ok SECONDS OUTCOME=COUNT...
 *
 * AMOUNT is a count (10000) or a time (5s). An outcome is "ok", an errno's name, or name:NAME for who answered. KIND:
 *	connect        TCP connect and close, nothing sent. The close resets (SO_LINGER 0), as the ports in TIME_WAIT
 *	               would otherwise run out within a second or two, on either side.
 *	request        like the command: one connection each
 *	udp            one datagram and its reply, from a new socket each
 *	udp-connected  the same, with connect() and send()
 *	udp-stream     the same, all from one socket a thread
 *	udp-flood      datagrams from one connected socket a thread, which waits for no reply
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define NAME_SIZE 64
#define MAX_WORDS 8
#define MAX_NAMES 1024
#define MAX_ERRNO 256
#define MAX_THREADS 64
#define REPLY_MS 10000
#define STALL_MS 10000
#define LARGEST_DATAGRAM 65535

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t size_of(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

static bool parse_address(const char *host, const char *port, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(atoi(port));
		return true;
	}
	if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(atoi(port));
		return true;
	}
	errno = EINVAL;
	return false;
}

static void print_address(const union address *address)
{
	char host[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_INET)
		printf(" %s %u", inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host)),
		       ntohs(address->v4.sin_port));
	else
		printf(" %s %u", inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host)),
		       ntohs(address->v6.sin6_port));
}

/* Writes the address alone, without the port. */
static void host_of(const union address *address, char *host)
{
	if (address->any.sa_family == AF_INET)
		inet_ntop(AF_INET, &address->v4.sin_addr, host, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, INET6_ADDRSTRLEN);
}

static bool same_address(const union address *a, const union address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->v6.sin6_port == b->v6.sin6_port && !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16);
}

/* A reset instead of the four-way close, so that neither side keeps the ports in TIME_WAIT. */
static void reset_on_close(int fd)
{
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
}

/* Fails with ETIMEDOUT if nothing can be read in time. */
static bool await_input(int fd, int milliseconds)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};
	int ready = poll(&input, 1, milliseconds);

	if (!ready)
		errno = ETIMEDOUT;
	return ready > 0;
}

/* ---- Servers: one thread waits for all of them. ---- */

struct server {
	int fd;
	bool tcp;
	bool accepted; /* a connection, not a listener */
	bool echo;
	char name[NAME_SIZE];
};

static int server_poll = -1;
static pthread_mutex_t serving = PTHREAD_MUTEX_INITIALIZER;
static struct server *listeners[MAX_NAMES];
static int listener_count;

static bool watch(struct server *server)
{
	return !epoll_ctl(server_poll, EPOLL_CTL_ADD, server->fd,
			  &(struct epoll_event){.events = EPOLLIN, .data.ptr = server});
}

static bool send_all(int fd, const char *bytes, ssize_t size)
{
	ssize_t sent = 0;

	for (ssize_t done = 0; done < size; done += sent) {
		sent = send(fd, bytes + done, size - done, MSG_NOSIGNAL);
		if (sent < 0)
			return false;
	}
	return true;
}

static void *echo_stream(void *argument)
{
	int fd = (int)(long)argument;
	char bytes[65536];
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0 && send_all(fd, bytes, got))
		;
	close(fd);
	return NULL;
}

/* A thread for each: who sends back waits for who reads. */
static void start_echo(int fd)
{
	pthread_t thread;

	fcntl(fd, F_SETFL, 0);
	if (pthread_create(&thread, NULL, echo_stream, (void *)(long)fd))
		close(fd);
	else
		pthread_detach(thread);
}

/* The server's name as this client is told it. */
static int name_for(const struct server *server, const union address *client, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";
	size_t length = strlen(server->name);

	if (length && server->name[length - 1] == '@')
		host_of(client, host);
	return snprintf(text, size, "%s%s", server->name, host);
}

static void accept_all(struct server *listener)
{
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct server *connection;

		if (listener->echo) {
			start_echo(fd);
			continue;
		}
		connection = malloc(sizeof(*connection));
		*connection = *listener;
		connection->fd = fd;
		connection->accepted = true;
		if (!watch(connection)) {
			close(fd);
			free(connection);
		}
	}
}

static void answer_request(struct server *connection)
{
	char request[4096], reply[256], name[2 * NAME_SIZE];
	union address from = {.any.sa_family = AF_UNSPEC};
	socklen_t length = sizeof(from);

	if (read(connection->fd, request, sizeof(request)) > 0 && !getpeername(connection->fd, &from.any, &length)) {
		int named = name_for(connection, &from, name, sizeof(name));
		int size = snprintf(reply, sizeof(reply),
				    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
				    "Connection: close\r\n\r\n%s\n",
				    named + 1, name);

		send(connection->fd, reply, size, MSG_NOSIGNAL);
	}
	close(connection->fd);
	free(connection);
}

static void answer_datagrams(struct server *server)
{
	static char datagram[LARGEST_DATAGRAM]; /* there is one thread */
	char name[2 * NAME_SIZE];
	union address from;
	socklen_t size = sizeof(from);
	ssize_t got;

	while ((got = recvfrom(server->fd, datagram, sizeof(datagram), MSG_DONTWAIT, &from.any, &size)) >= 0) {
		if (server->echo)
			sendto(server->fd, datagram, got, 0, &from.any, size);
		else
			sendto(server->fd, name, name_for(server, &from, name, sizeof(name)), 0, &from.any, size);
		size = sizeof(from);
	}
}

static void *serve_all(void *unused)
{
	struct epoll_event event;

	(void)unused;
	for (;;) {
		if (epoll_wait(server_poll, &event, 1, -1) < 1)
			continue;
		struct server *server = event.data.ptr;

		if (server->accepted) {
			answer_request(server);
			continue;
		}
		/* A listener may be closed by a command at the same time. */
		pthread_mutex_lock(&serving);
		if (server->fd >= 0 && server->tcp)
			accept_all(server);
		else if (server->fd >= 0)
			answer_datagrams(server);
		pthread_mutex_unlock(&serving);
	}
	return NULL;
}

/* Without a name it is an echo. */
static int serve(const char *protocol, const union address *address, const char *name)
{
	bool tcp = !strcmp(protocol, "tcp");
	int fd = socket(address->any.sa_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct server *server;
	pthread_t thread;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (address->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	if (listener_count == MAX_NAMES)
		errno = ENOSPC;
	if (listener_count == MAX_NAMES || bind(fd, &address->any, size_of(address)) || (tcp && listen(fd, 4096))) {
		close(fd);
		return -1;
	}
	if (server_poll < 0) {
		server_poll = epoll_create1(EPOLL_CLOEXEC);
		pthread_create(&thread, NULL, serve_all, NULL);
	}
	server = calloc(1, sizeof(*server));
	server->fd = fd;
	server->tcp = tcp;
	server->echo = !name;
	snprintf(server->name, sizeof(server->name), "%s", name ? name : "");
	listeners[listener_count++] = server;
	watch(server);
	return fd;
}

static int close_socket(int fd)
{
	int result;

	pthread_mutex_lock(&serving);
	for (int i = 0; i < listener_count; i++) {
		if (listeners[i]->fd == fd)
			listeners[i]->fd = -1;
	}
	result = close(fd);
	pthread_mutex_unlock(&serving);
	return result;
}

/* ---- One conversation each; 0 or an errno, and who answered. ---- */

static int errno_and_close(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	return error;
}

static int connect_once(const union address *to)
{
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	reset_on_close(fd);
	if (connect(fd, &to->any, size_of(to)))
		return errno_and_close(fd);
	close(fd);
	return 0;
}

static int request_once(const union address *to, char *name)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: traffic\r\nConnection: close\r\n\r\n";
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reply[1024], *body = NULL;
	size_t got = 0;

	if (fd < 0)
		return errno;
	reset_on_close(fd);
	if (connect(fd, &to->any, size_of(to)) || send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return errno_and_close(fd);
	while (!body || !strchr(body, '\n')) {
		ssize_t size;

		if (!await_input(fd, REPLY_MS) || (size = read(fd, reply + got, sizeof(reply) - 1 - got)) < 0)
			return errno_and_close(fd);
		if (size == 0) {
			errno = EPIPE;
			return errno_and_close(fd);
		}
		got += size;
		reply[got] = 0;
		body = strstr(reply, "\r\n\r\n");
		if (body)
			body += 4;
	}
	close(fd);
	*strchr(body, '\n') = 0;
	snprintf(name, NAME_SIZE, "%s", body);
	return 0;
}

/* A reply from another address than was asked is EADDRNOTAVAIL here: the client would not know whom it heard. */
static int exchange(int fd, const union address *to, bool connected, char *name)
{
	union address from;
	socklen_t size = sizeof(from);
	ssize_t got;

	if (connected ? send(fd, "?", 1, 0) < 0 : sendto(fd, "?", 1, 0, &to->any, size_of(to)) < 0)
		return errno;
	if (!await_input(fd, REPLY_MS))
		return errno;
	got = recvfrom(fd, name, NAME_SIZE - 1, 0, &from.any, &size);
	if (got < 0)
		return errno;
	name[got] = 0;
	return same_address(to, &from) ? 0 : EADDRNOTAVAIL;
}

static int datagram_once(const union address *to, bool connected, char *name)
{
	int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return errno;
	if (connected && connect(fd, &to->any, size_of(to)))
		return errno_and_close(fd);
	error = exchange(fd, to, connected, name);
	close(fd);
	return error;
}

/* ---- Load: many conversations, counted by outcome. ---- */

enum kind { CONNECT, REQUEST, UDP, UDP_CONNECTED, UDP_STREAM, UDP_FLOOD, KINDS };

static const char *const kind_names[KINDS] = {"connect", "request", "udp", "udp-connected", "udp-stream",
					       "udp-flood"};

struct outcomes {
	unsigned long by_errno[MAX_ERRNO];
	unsigned long by_name[MAX_NAMES];
	char names[MAX_NAMES][NAME_SIZE];
	int name_count;
};

struct load {
	enum kind kind;
	union address to;
	atomic_long left; /* conversations still to begin */
	double until;     /* or, if not 0, when to stop */
};

struct loader {
	pthread_t thread;
	struct load *load;
	struct outcomes outcomes;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static bool go_on(struct load *load)
{
	return load->until > 0 ? now() < load->until : atomic_fetch_sub(&load->left, 1) > 0;
}

static void count_name(struct outcomes *outcomes, const char *name, unsigned long times)
{
	int i;

	for (i = 0; i < outcomes->name_count && strcmp(outcomes->names[i], name); i++)
		;
	if (i == MAX_NAMES)
		return;
	if (i == outcomes->name_count)
		strcpy(outcomes->names[outcomes->name_count++], name);
	outcomes->by_name[i] += times;
}

static int converse(struct load *load, int stream, char *name)
{
	switch (load->kind) {
	case CONNECT:
		return connect_once(&load->to);
	case REQUEST:
		return request_once(&load->to, name);
	case UDP:
		return datagram_once(&load->to, false, name);
	case UDP_CONNECTED:
		return datagram_once(&load->to, true, name);
	case UDP_FLOOD:
		return send(stream, "?", 1, 0) < 0 ? errno : 0;
	default:
		return exchange(stream, &load->to, false, name);
	}
}

static int open_stream(const struct load *load)
{
	int fd;

	if (load->kind != UDP_STREAM && load->kind != UDP_FLOOD)
		return -1;
	fd = socket(load->to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (load->kind == UDP_FLOOD && connect(fd, &load->to.any, size_of(&load->to)))
		return errno_and_close(fd), -1;
	return fd;
}

static void *run_load(void *argument)
{
	struct loader *loader = argument;
	struct load *load = loader->load;
	int stream = open_stream(load);

	while (go_on(load)) {
		char name[NAME_SIZE] = "";
		int error = converse(load, stream, name);

		loader->outcomes.by_errno[error < MAX_ERRNO ? error : 0]++;
		if (!error && name[0])
			count_name(&loader->outcomes, name, 1);
	}
	if (stream >= 0)
		close(stream);
	return NULL;
}

static void print_load(struct load *load, int threads)
{
	struct loader *loaders = calloc(threads, sizeof(*loaders));
	struct outcomes *sum = &loaders[0].outcomes;
	double start = now();

	for (int i = 0; i < threads; i++) {
		loaders[i].load = load;
		pthread_create(&loaders[i].thread, NULL, run_load, &loaders[i]);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(loaders[i].thread, NULL);
	printf("ok %.6f", now() - start);
	for (int i = 1; i < threads; i++) {
		for (int error = 0; error < MAX_ERRNO; error++)
			sum->by_errno[error] += loaders[i].outcomes.by_errno[error];
		for (int name = 0; name < loaders[i].outcomes.name_count; name++)
			count_name(sum, loaders[i].outcomes.names[name], loaders[i].outcomes.by_name[name]);
	}
	for (int error = 0; error < MAX_ERRNO; error++) {
		if (sum->by_errno[error])
			printf(" %s=%lu", error ? strerrorname_np(error) : "ok", sum->by_errno[error]);
	}
	for (int name = 0; name < sum->name_count; name++)
		printf(" name:%s=%lu", sum->names[name], sum->by_name[name]);
	free(loaders);
}

static bool load(char **words, int count)
{
	struct load load = {.kind = KINDS};
	int threads = count > 5 ? atoi(words[5]) : 1;

	for (int kind = 0; kind < KINDS; kind++) {
		if (!strcmp(words[1], kind_names[kind]))
			load.kind = kind;
	}
	if (load.kind == KINDS || threads < 1 || threads > MAX_THREADS) {
		errno = EINVAL;
		return false;
	}
	if (!parse_address(words[2], words[3], &load.to))
		return false;
	if (strchr(words[4], 's'))
		load.until = now() + atof(words[4]);
	else
		load.left = atol(words[4]);
	print_load(&load, threads);
	return true;
}

/* ---- Bytes there and back ---- */

/* The bytes of a transfer from a place on: no packet is like another. */
static void fill(unsigned char *bytes, size_t size, size_t place)
{
	for (size_t i = 0; i < size; i++, place++) {
		unsigned long long mixed = (place >> 3) * 0x9e3779b97f4a7c15;

		mixed ^= mixed >> 29;
		bytes[i] = mixed >> (8 * (place & 7));
	}
}

static bool is_filled(const unsigned char *bytes, size_t size, size_t place)
{
	unsigned char expected[LARGEST_DATAGRAM];

	fill(expected, size, place);
	return !memcmp(bytes, expected, size);
}

static bool transfer_datagram(int fd, size_t size)
{
	unsigned char bytes[LARGEST_DATAGRAM];
	ssize_t got;

	if (size > sizeof(bytes)) {
		errno = EMSGSIZE;
		return false;
	}
	fill(bytes, size, 0);
	if (send(fd, bytes, size, 0) < 0 || !await_input(fd, REPLY_MS))
		return false;
	got = recv(fd, bytes, sizeof(bytes), 0);
	if (got >= 0 && ((size_t)got != size || !is_filled(bytes, size, 0))) {
		errno = EBADMSG;
		return false;
	}
	return got >= 0;
}

/* Sends and reads at once: else both sides would wait for the other to read. */
static bool transfer_stream(int fd, size_t size)
{
	unsigned char bytes[LARGEST_DATAGRAM];
	size_t sent = 0, had = 0;

	while (had < size) {
		struct pollfd ready = {.fd = fd, .events = POLLIN | (sent < size ? POLLOUT : 0)};
		ssize_t moved;

		if (poll(&ready, 1, STALL_MS) < 1) {
			errno = ETIMEDOUT;
			return false;
		}
		if (ready.revents & POLLOUT) {
			size_t chunk = size - sent < sizeof(bytes) ? size - sent : sizeof(bytes);

			fill(bytes, chunk, sent);
			moved = send(fd, bytes, chunk, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (moved < 0 && errno != EAGAIN)
				return false;
			sent += moved > 0 ? moved : 0;
		}
		if (ready.revents & ~POLLOUT) {
			moved = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
			if (moved > 0 && !is_filled(bytes, moved, had))
				errno = EBADMSG;
			else if (moved == 0)
				errno = EPIPE;
			else if (moved > 0 || errno == EAGAIN)
				errno = 0;
			if (errno)
				return false;
			had += moved > 0 ? moved : 0;
		}
	}
	return true;
}

static bool transfer(int fd, size_t size)
{
	int type;
	socklen_t length = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length))
		return false;
	return type == SOCK_DGRAM ? transfer_datagram(fd, size) : transfer_stream(fd, size);
}

/* ---- Flood ---- */

struct syn4 {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct syn6 {
	struct ip6_hdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* The Internet checksum, RFC 1071. */
static unsigned int add_words(unsigned int sum, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += 2) {
		unsigned short word;

		memcpy(&word, (const char *)bytes + i, 2);
		sum += word;
	}
	return sum;
}

static unsigned short folded(unsigned int sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static struct tcphdr syn(const union address *to)
{
	return (struct tcphdr){
		.source = htons(1024 + random() % 64000),
		.dest = to->v4.sin_port, /* which stands in the same place for both families */
		.seq = random(),
		.doff = sizeof(struct tcphdr) / 4,
		.syn = 1,
		.window = htons(64240),
	};
}

static bool send_syn4(int fd, const union address *to)
{
	struct syn4 packet = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
		       .saddr = htonl(0x64400000 | (random() & 0x3fffff)), .daddr = to->v4.sin_addr.s_addr},
		.tcp = syn(to),
	};

	packet.tcp.check = folded(add_words(add_words(htons(IPPROTO_TCP) + htons(sizeof(packet.tcp)), &packet.ip.saddr, 8),
					    &packet.tcp, sizeof(packet.tcp)));
	return sendto(fd, &packet, sizeof(packet), 0, &to->any, sizeof(to->v4)) >= 0;
}

static bool send_syn6(int fd, const union address *to)
{
	union address host = *to;
	struct syn6 packet = {
		.ip = {.ip6_flow = htonl(6 << 28), .ip6_plen = htons(sizeof(struct tcphdr)), .ip6_nxt = IPPROTO_TCP,
		       .ip6_hlim = 64, .ip6_dst = to->v6.sin6_addr},
		.tcp = syn(to),
	};

	packet.ip.ip6_src.s6_addr16[0] = htons(0xfd64);
	packet.ip.ip6_src.s6_addr32[2] = random();
	packet.ip.ip6_src.s6_addr32[3] = random();
	packet.tcp.check = folded(add_words(add_words(htons(IPPROTO_TCP) + htons(sizeof(packet.tcp)), &packet.ip.ip6_src, 32),
					    &packet.tcp, sizeof(packet.tcp)));
	host.v6.sin6_port = 0;
	return sendto(fd, &packet, sizeof(packet), 0, &host.any, sizeof(host.v6)) >= 0;
}

static bool flood(const union address *to, long count)
{
	bool v4 = to->any.sa_family == AF_INET, done = true;
	int fd = socket(to->any.sa_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0)
		return false;
	for (long i = 0; i < count && done; i++)
		done = (v4 ? send_syn4(fd, to) : send_syn6(fd, to)) || errno == ENOBUFS;
	errno = errno_and_close(fd);
	return done;
}

/* ---- Devices ---- */

static int open_tun(const char *device)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, TUNSETIFF, &request)) {
		errno = errno_and_close(fd);
		return -1;
	}
	return fd;
}

/* Whoever opens a device opens it in his own namespace. */
static int open_tun_in(const char *namespace, const char *device)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int other = open(namespace, O_RDONLY | O_CLOEXEC);
	int fd = -1, error = errno;

	if (own >= 0 && other >= 0 && !setns(other, CLONE_NEWNET)) {
		fd = open_tun(device);
		error = errno;
		if (setns(own, CLONE_NEWNET))
			abort();
	}
	close(own);
	close(other);
	errno = error;
	return fd;
}

static void *carry(void *argument)
{
	int *ends = argument;
	char packet[LARGEST_DATAGRAM];

	for (;;) {
		struct pollfd ready[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLIN}};

		if (poll(ready, 2, -1) < 1 || (ready[0].revents | ready[1].revents) & ~POLLIN)
			return NULL;
		for (int i = 0; i < 2; i++) {
			ssize_t got = ready[i].revents ? read(ends[i], packet, sizeof(packet)) : 0;

			/* What a device that is down does not take is lost, as on any wire. */
			if (got > 0 && write(ends[!i], packet, got) < 0)
				continue;
		}
	}
}

static bool join(const char *device, const char *namespace, const char *peer)
{
	int *ends = malloc(2 * sizeof(*ends));
	pthread_t thread;

	ends[0] = open_tun(device);
	ends[1] = ends[0] < 0 ? -1 : open_tun_in(namespace, peer);
	return ends[1] >= 0 && !pthread_create(&thread, NULL, carry, ends);
}

static bool send_frame(const char *device, const char *hex)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(device)};
	unsigned char frame[1514];
	unsigned int byte;
	size_t size = 0;
	bool sent;
	int fd;

	while (size < sizeof(frame) && sscanf(hex + 2 * size, "%2x", &byte) == 1)
		frame[size++] = byte;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	sent = sendto(fd, frame, size, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)size;
	errno = errno_and_close(fd);
	return sent;
}

/* ---- Commands ---- */

static int open_socket(const char *kind)
{
	bool v6 = strchr(kind, '6');
	int protocol = !strncmp(kind, "mptcp", 5) ? IPPROTO_MPTCP : 0;

	return socket(v6 ? AF_INET6 : AF_INET, (strstr(kind, "udp") ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, protocol);
}

static bool print_name(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
	union address address;
	socklen_t size = sizeof(address);

	if (name(fd, &address.any, &size))
		return false;
	printf("ok");
	print_address(&address);
	return true;
}

static bool print_received(int fd, const char *milliseconds, bool with_source)
{
	union address from = {.any.sa_family = AF_UNSPEC};
	socklen_t size = sizeof(from);
	char text[2048];
	ssize_t got;

	if (!await_input(fd, milliseconds ? atoi(milliseconds) : REPLY_MS))
		return false;
	got = recvfrom(fd, text, sizeof(text), 0, with_source ? &from.any : NULL, with_source ? &size : NULL);
	if (got < 0)
		return false;
	printf("ok");
	if (with_source)
		print_address(&from);
	/* A reply is one line, whatever came. */
	for (int i = 0; i < got; i++) {
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ' ';
	}
	printf(" %.*s", (int)got, text);
	return true;
}

static bool print_id(int fd)
{
	if (fd >= 0)
		printf("ok %d", fd);
	return fd >= 0;
}

static bool print_ok(long result)
{
	if (result >= 0)
		printf("ok");
	return result >= 0;
}

static bool print_request(const union address *to)
{
	char name[NAME_SIZE];

	errno = request_once(to, name);
	if (!errno)
		printf("ok %s", name);
	return !errno;
}

static bool print_namespace(void)
{
	unsigned long long cookie;
	socklen_t size = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);

	if (done)
		printf("ok %llu", cookie);
	close(fd);
	return done;
}

static bool disconnect(int fd)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	return print_ok(connect(fd, &nobody, sizeof(nobody)));
}

static bool set_hops(int fd, int hops)
{
	union address own;
	socklen_t size = sizeof(own);

	if (getsockname(fd, &own.any, &size))
		return false;
	if (own.any.sa_family == AF_INET)
		return !setsockopt(fd, IPPROTO_IP, IP_TTL, &hops, sizeof(hops)) &&
		       !setsockopt(fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int));
	return !setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof(hops)) &&
	       !setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &(int){1}, sizeof(int));
}

/* Prints the reply without its end, or returns false with errno set. */
static bool run(char **words, int count)
{
	const char *command = words[0];
	int id = count > 1 ? atoi(words[1]) : -1;
	union address address;

#define IS(text, least) (!strcmp(command, text) && count > (least))
	if (IS("socket", 1))
		return print_id(open_socket(words[1]));
	if (IS("close", 1))
		return print_ok(close_socket(id));
	if (IS("disconnect", 1))
		return disconnect(id);
	if (IS("send", 2))
		return print_ok(send(id, words[2], strlen(words[2]), MSG_NOSIGNAL));
	if (IS("recv", 1))
		return print_received(id, words[2], false);
	if (IS("recvfrom", 1))
		return print_received(id, words[2], true);
	if (IS("hops", 2))
		return print_ok(set_hops(id, atoi(words[2])) ? 0 : -1);
	if (IS("transfer", 2))
		return print_ok(transfer(id, atol(words[2])) ? 0 : -1);
	if (IS("getpeername", 1))
		return print_name(id, getpeername);
	if (IS("getsockname", 1))
		return print_name(id, getsockname);
	if (IS("namespace", 0))
		return print_namespace();
	if (IS("load", 4))
		return load(words, count);
	if (IS("bind", 3))
		return parse_address(words[2], words[3], &address) &&
		       print_ok(bind(id, &address.any, size_of(&address)));
	if (IS("connect", 3))
		return parse_address(words[2], words[3], &address) &&
		       print_ok(connect(id, &address.any, size_of(&address)));
	if (IS("sendto", 4))
		return parse_address(words[2], words[3], &address) &&
		       print_ok(sendto(id, words[4], strlen(words[4]), 0, &address.any, size_of(&address)));
	if (IS("serve", 4))
		return parse_address(words[2], words[3], &address) &&
		       print_id(serve(words[1], &address, words[4]));
	if (IS("echo", 3))
		return parse_address(words[2], words[3], &address) && print_id(serve(words[1], &address, NULL));
	if (IS("tun", 3))
		return print_ok(join(words[1], words[2], words[3]) ? 0 : -1);
	if (IS("frame", 2))
		return print_ok(send_frame(words[1], words[2]) ? 0 : -1);
	if (IS("flood", 3))
		return parse_address(words[1], words[2], &address) &&
		       print_ok(flood(&address, atol(words[3])) ? 0 : -1);
	if (IS("request", 2))
		return parse_address(words[1], words[2], &address) && print_request(&address);
#undef IS
	errno = EINVAL;
	return false;
}

static bool reply_to(char **words, int count)
{
	bool done;

	errno = 0;
	words[count] = NULL;
	done = run(words, count);
	if (!done)
		printf("error %s", strerrorname_np(errno));
	putchar('\n');
	fflush(stdout);
	return done;
}

static int run_arguments(char **arguments)
{
	bool serving_on = false;

	while (*arguments) {
		char *words[MAX_WORDS + 1];
		int count = 0;

		while (*arguments && strcmp(*arguments, "--")) {
			if (count < MAX_WORDS)
				words[count++] = *arguments;
			arguments++;
		}
		if (*arguments)
			arguments++;
		if (!count)
			continue;
		if (!reply_to(words, count))
			return 1;
		serving_on |= !strcmp(words[0], "serve");
	}
	while (serving_on)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	char line[4096];

	if (argc > 1)
		return run_arguments(argv + 1);
	while (fgets(line, sizeof(line), stdin)) {
		char *words[MAX_WORDS + 1], *rest = NULL;
		int count = 0;

		for (char *word = strtok_r(line, " \n", &rest); word && count < MAX_WORDS;
		     word = strtok_r(NULL, " \n", &rest))
			words[count++] = word;
		if (count)
			reply_to(words, count);
	}
	return 0;
}
