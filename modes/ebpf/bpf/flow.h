/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The connection map: two entries a flow, one for each direction, that say what the
 * addresses of its packets become. */
#ifndef VIPLAB_FLOW_H
#define VIPLAB_FLOW_H

#include "choose.h"
#include "packet.h"

/* Source ports of masqueraded flows: below those of node ports and of the node's own
 * sockets (net.ipv4.ip_local_port_range begins at 32768), whose flows are not in the map. */
enum { FIRST_PORT = 10000, PORTS = 20000, TRIES = 8 };

/* After so many seconds of silence another flow may take a port: those of the kernel's
 * conntrack for streams of UDP, for TCP two hours; one after the end of TCP. */
enum { UDP_SILENCE = 120, TCP_SILENCE = 7200, CLOSED_SILENCE = 1 };

static inline_always u32 seconds(void)
{
	return coarse_ns() / 1000000000;
}

/* The packets of a flow's other direction. */
static inline_always struct tuple opposite(const struct flow *f, u8 proto)
{
	struct tuple t = { .src = f->dst, .dst = f->src, .sport = f->dport, .dport = f->sport, .proto = proto };

	return t;
}

/* Notes that a packet of the flow was seen. FIN ends the direction that it is sent in, RST
 * both: the other side answers it with nothing. */
static inline_always void touch(struct flow *f, const struct packet *p)
{
	u32 now = seconds();

	if (f->seen != now)
		f->seen = now;
	if (p->t.proto != TCP)
		return;
	if ((p->tcp & (FIN | RST)) && !(f->flags & CLOSED))
		f->flags |= CLOSED;
	if (p->tcp & RST) {
		struct tuple back = opposite(f, TCP);
		struct flow *other = map_lookup(&flows, &back);

		if (other)
			other->flags |= CLOSED;
	}
}

/* Whether a packet that may begin a flow belongs to this one all the same: its endpoint
 * must still be there, and TCP must not have ended. */
static inline_always int continues(const struct flow *f)
{
	if (!(f->flags & FORWARD))
		return 1;
	return !(f->flags & CLOSED) && map_lookup(&backends, &f->backend);
}

static inline_always int is_over(const struct flow *f, u8 proto)
{
	u32 silence = seconds() - f->seen;

	if (f->flags & CLOSED)
		return silence >= CLOSED_SILENCE;
	return silence >= (proto == UDP ? UDP_SILENCE : TCP_SILENCE);
}

/* Enters the way back of a flow under a source port that no other flow to the endpoint
 * has: the given one, unless it is 0, or else some other. Zero if one was found. */
static inline_always int reserve(struct tuple *back, const struct flow *f, be16 port)
{
	for (int i = 0; i < TRIES; i++) {
		struct flow *other;

		back->dport = port ? port : swap16(FIRST_PORT + random_u32() % PORTS);
		port = 0;
		if (!map_update(&flows, back, f, NOEXIST))
			return 0;
		other = map_lookup(&flows, back);
		if (!other)
			continue;
		if (!same(&other->src, &f->src) || !same(&other->dst, &f->dst) || other->sport != f->sport || other->dport != f->dport) {
			struct tuple theirs = opposite(other, back->proto);

			if (!is_over(other, back->proto))
				continue;
			map_delete(&flows, &theirs);
		}
		return map_update(&flows, back, f, ANY);
	}
	return -1;
}

/* Whether the endpoint is to see the node as the sender. */
static inline_always int masquerades(const struct packet *p, u32 flags, const struct backend *b)
{
	if (flags & MASQUERADE)
		return 1;
	if ((flags & CLUSTER_IP) && !in_cluster(&p->t.src))
		return 1;
	return same(&p->t.src, &b->addr); /* or the answer would not come back */
}

/* Begins a flow: chooses its endpoint and enters both directions. Zero if it could; f is
 * then the way there. */
static inline_always int begin(struct __sk_buff *skb, const struct packet *p, struct front *front, const struct service *svc, int of_node, struct flow *f)
{
	struct addr nobody = {};
	u32 number = by_maglev ? mix(hash_addr(hash_addr(p->t.proto, &p->t.src), &p->t.dst) ^ *(u32 *)&p->t.sport) : random_u32();
	struct backend *b = choose(front, svc, of_node ? &nobody : &p->t.src, number, &f->backend);
	struct tuple back = { .dst = p->t.src, .proto = p->t.proto };
	struct flow there = { .src = p->t.dst, .dst = p->t.src, .sport = p->t.dport, .dport = p->t.sport, .seen = seconds() };
	struct bpf_fib_lookup q;
	be16 port = p->t.sport;

	if (!b)
		return -1;
	f->src = p->t.src;
	f->dst = b->addr;
	f->dport = b->port;
	f->flags = FORWARD;
	f->seen = there.seen;
	if (!of_node && masquerades(p, svc->flags, b)) {
		struct addr *mine;

		if (!route(skb, &q, p, &p->t.src, &f->dst, skb->ifindex))
			return -1;
		mine = map_lookup(&links, &q.ifindex);
		if (!mine)
			return -1;
		f->src = back.dst = *mine;
		f->flags |= AROUND;
		port = 0;
	}
	if (!of_node && is_node(&p->t.dst))
		there.flags |= AROUND;
	back.src = f->dst;
	back.sport = f->dport;
	if (reserve(&back, &there, port))
		return -1;
	f->sport = back.dport;
	return map_update(&flows, &p->t, f, ANY);
}

#endif
