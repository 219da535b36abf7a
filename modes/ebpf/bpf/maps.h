/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The maps that user space fills and the programs read, and those that the programs
 * keep for themselves. Sizes are set by the loader. The file is compiled once for each
 * address family: an address is one word, or four with -DIPV6. */
#ifndef VIPLAB_MAPS_H
#define VIPLAB_MAPS_H

#include "abi.h"

#ifdef IPV6
#define WORDS 4
#else
#define WORDS 1
#endif

struct addr {
	be32 word[WORDS];
};

/* Set by the loader before the programs are checked. */
volatile const u64 node_netns;    /* cookie of the node's network namespace */
volatile const u32 by_maglev;     /* choose by Maglev's table, not at random */
volatile const u32 table_size;    /* of Maglev's tables */

/* What clients dial. Slot 0 holds the Service port, slots 1 to count its endpoints. */
struct front {
	struct addr addr; /* zero for a node port */
	be16 port;
	u8 proto;
	u8 scope; /* INSIDE: as senders of the cluster see it, where that differs */
	u32 slot;
};
enum { INSIDE = 1 };

struct service {
	u32 id;       /* of the Service port; in slots from 1, of the backend */
	u16 count;    /* of endpoints */
	u16 flags;    /* below */
	u32 affinity; /* seconds, 0 for none */
};
enum {
	CLUSTER_IP = 1, /* senders from outside of the cluster are masqueraded */
	MASQUERADE = 2, /* everybody is */
	SCOPED = 4,     /* there is an INSIDE twin */
	SOURCES = 8,    /* only sources in the map of that name are served */
	SILENT = 16,    /* without an endpoint packets are dropped, not refused */
	LOCAL = 32,     /* it leads to this node's endpoints */
};

struct backend {
	struct addr addr;
	be16 port;
	u16 fronts; /* which lead there: below */
};
enum {
	BY_CLUSTER = 1, /* those without LOCAL */
	BY_LOCAL = 2,   /* those with it */
};

struct source {
	u32 prefix; /* length of what must match: 32 for the id and the range's own */
	u32 id;
	struct addr addr;
};

struct client {
	struct addr addr; /* zero for the node itself */
	u32 id;           /* of the Service port */
};
struct choice {
	u64 at; /* nanoseconds */
	u32 backend;
	u32 pad;
};

/* A flow's packets in one direction, and what their addresses become. */
struct tuple {
	struct addr src, dst;
	be16 sport, dport;
	u8 proto, pad[3];
};
struct flow {
	struct addr src, dst;
	be16 sport, dport;
	u32 backend; /* of the direction that a client began, else 0 */
	u32 flags;
	u32 seen; /* seconds */
};
enum {
	FORWARD = 1, /* the direction that a client began */
	CLOSED = 2,  /* TCP has said so in this direction */
	AROUND = 4,  /* the new source is the node's own: go around the stack, which takes
		      * that for a forgery */
};

/* A socket that was led to an endpoint, and what it had dialled. */
struct peer {
	u64 socket;
	struct addr addr;
	be16 port;
	u16 pad;
	u32 pad2[WORDS == 1 ? 0 : 1];
};
struct dialled {
	struct addr addr;
	be16 port;
	u16 pad;
};

struct settings {
	struct addr cluster, mask; /* the pods' range */
	u32 has_cluster;
	u32 loopback; /* node ports are served at all loopback addresses */
};

#define MAP(name, kind, k, v) struct { __uint(type, kind); __uint(max_entries, 1); __type(key, k); __type(value, v); } name SEC(".maps")

MAP(services, MAP_HASH, struct front, struct service);
MAP(backends, MAP_HASH, u32, struct backend);
MAP(nodes, MAP_HASH, struct addr, u32);          /* the node's own addresses: whether node ports are served there */
MAP(links, MAP_HASH, u32, struct addr);          /* the node's address on each link */
MAP(config, MAP_ARRAY, u32, struct settings);
MAP(affinity, MAP_LRU_HASH, struct client, struct choice);
MAP(flows, MAP_LRU_HASH, struct tuple, struct flow);
MAP(peers, MAP_LRU_HASH, struct peer, struct dialled);

struct {
	__uint(type, MAP_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, NO_PREALLOC);
	__type(key, struct source);
	__type(value, u32);
} sources SEC(".maps");

/* Maglev's table of each Service port: table_size ids of backends. */
struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} maglev SEC(".maps");

static inline_always int same(const struct addr *a, const struct addr *b)
{
	u32 differ = 0;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		differ |= a->word[i] ^ b->word[i];
	return !differ;
}

#endif
