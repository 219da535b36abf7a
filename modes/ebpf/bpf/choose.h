/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which Service a packet or a socket call is for, and which endpoint it gets. */
#ifndef VIPLAB_CHOOSE_H
#define VIPLAB_CHOOSE_H

#include "maps.h"

static inline_always int is_node(const struct addr *a)
{
	return map_lookup(&nodes, a) != NULL;
}

static inline_always const struct settings *settings(void)
{
	u32 zero = 0;
	return map_lookup(&config, &zero);
}

/* Whether an address is a pod's: 1 or 0, -1 if nobody knows the pods' range. */
static inline_always int in_cluster(const struct addr *a)
{
	const struct settings *s = settings();
	u32 differ = 0;

	if (!s || !s->has_cluster)
		return -1;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		differ |= (a->word[i] & s->mask.word[i]) ^ s->cluster.word[i];
	return !differ;
}

static inline_always int is_loopback(const struct addr *a)
{
#ifdef IPV6
	return !a->word[0] && !a->word[1] && !a->word[2] && a->word[3] == swap32(1);
#else
	return (a->word[0] & swap32(0xff000000)) == swap32(0x7f000000);
#endif
}

/* Whether node ports are served at an address. */
static inline_always int has_node_ports(const struct addr *a)
{
	u32 *served = map_lookup(&nodes, a);
	const struct settings *s;

	if (served)
		return *served;
	if (!is_loopback(a))
		return 0;
	s = settings();
	return s && s->loopback;
}

/* The Service port that a front belongs to. The front becomes the one that the port's
 * slots are under: a node port's has no address. */
static inline_always struct service *find(struct front *f, int inside)
{
	struct service *svc = map_lookup(&services, f);

	if (!svc) {
		if (!has_node_ports(&f->addr))
			return NULL;
		__builtin_memset(&f->addr, 0, sizeof(f->addr));
		svc = map_lookup(&services, f);
		if (!svc)
			return NULL;
	}
	if ((svc->flags & SCOPED) && inside) {
		f->scope = INSIDE;
		svc = map_lookup(&services, f);
	}
	return svc;
}

static inline_always int is_allowed(u32 id, const struct addr *src)
{
	struct source s = { .prefix = 32 + 32 * WORDS, .id = id, .addr = *src };

	return map_lookup(&sources, &s) != NULL;
}

/* Spreads a value over all 32 bits (the finaliser of MurmurHash3). */
static inline_always u32 mix(u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

static inline_always u32 hash_addr(u32 h, const struct addr *a)
{
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		h = mix(h ^ a->word[i]);
	return h;
}

/* The id of the backend that a number leads to, 0 for none. */
static inline_always u32 pick(struct front *f, const struct service *svc, u32 number)
{
	struct service *slot;
	u32 *table, id = svc->id;

	if (by_maglev) {
		u32 at = number % table_size;

		table = map_lookup(&maglev, &id);
		/* The compiler knows what the kernel's verifier must be shown. */
		asm volatile("" : "+r"(at));
		if (!table || at >= table_size)
			return 0;
		return table[at];
	}
	f->slot = 1 + (u32)(((u64)number * svc->count) >> 32);
	slot = map_lookup(&services, f);
	f->slot = 0;
	return slot ? slot->id : 0;
}

/* Whether a front leads to a backend of its Service port. */
static inline_always int leads_to(const struct service *svc, const struct backend *b)
{
	return b->fronts & (svc->flags & LOCAL ? BY_LOCAL : BY_CLUSTER);
}

/* The endpoint of a new flow, NULL if it has just gone: under affinity the one that the
 * client had, else the one that a number leads to. What the client had may be there still
 * for fronts under another traffic policy alone. */
static inline_always struct backend *choose(struct front *f, const struct service *svc, const struct addr *from, u32 number, u32 *id)
{
	struct client who = { .addr = *from, .id = svc->id };
	struct choice now = { .at = coarse_ns() }, *had;
	struct backend *b;

	if (svc->affinity) {
		had = map_lookup(&affinity, &who);
		if (had && now.at - had->at < (u64)svc->affinity * 1000000000) {
			*id = had->backend;
			b = map_lookup(&backends, id);
			if (b && leads_to(svc, b)) {
				had->at = now.at;
				return b;
			}
		}
	}
	*id = pick(f, svc, number);
	b = map_lookup(&backends, id);
	if (b && svc->affinity) {
		now.backend = *id;
		map_update(&affinity, &who, &now, ANY);
	}
	return b;
}

#endif
