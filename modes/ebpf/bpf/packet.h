/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Packets: reading, rewriting, sending on and refusing them. */
#ifndef VIPLAB_PACKET_H
#define VIPLAB_PACKET_H

#include "maps.h"

#ifdef IPV6
struct ip {
	be32 class_flow;
	be16 len;
	u8 proto, ttl;
	struct addr src, dst;
};
#define ETHERTYPE ETH_P_IPV6
#define FAMILY AF_INET6
#define TTL_AT (ETH_LEN + 7)
#else
struct ip {
	u8 version_len, tos;
	be16 len, id, fragment;
	u8 ttl, proto;
	be16 csum;
	struct addr src, dst;
};
#define ETHERTYPE ETH_P_IP
#define FAMILY AF_INET
#define TTL_AT (ETH_LEN + 8)
#define CSUM_AT (ETH_LEN + 10)
enum { FRAGMENTS = 0x3fff, DONT_FRAGMENT = 0x4000 };
#endif
#define ADDRS_AT (ETH_LEN + __builtin_offsetof(struct ip, src))

struct packet {
	struct tuple t;
	u32 l4;   /* where the transport header is */
	u32 csum; /* where its checksum is */
	u8 tcp;   /* its flags */
	u8 ttl;
};
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* Reads a packet; non-zero if it is none that a Service can be about. Fragments have no
 * ports but in the first one, and are left alone. */
static inline_always int parse(struct __sk_buff *skb, struct packet *p)
{
	struct ip ip;

	if (skb->protocol != swap16(ETHERTYPE) || skb_load(skb, ETH_LEN, &ip, sizeof(ip)))
		return -1;
	p->l4 = ETH_LEN + sizeof(ip);
#ifndef IPV6
	p->l4 = ETH_LEN + (ip.version_len & 15) * 4;
	if (ip.fragment & swap16(FRAGMENTS))
		return -1;
#endif
	if (ip.proto != TCP && ip.proto != UDP)
		return -1;
	p->ttl = ip.ttl;
	p->t.src = ip.src;
	p->t.dst = ip.dst;
	p->t.proto = ip.proto;
	p->csum = p->l4 + (ip.proto == TCP ? 16 : 6);
	if (ip.proto == TCP && skb_load(skb, p->l4 + 13, &p->tcp, 1))
		return -1;
	return skb_load(skb, p->l4, &p->t.sport, 2 * sizeof(be16));
}

/* Whether a packet may be the first of a flow. */
static inline_always int begins(const struct packet *p)
{
	return p->t.proto == UDP || (p->tcp & (SYN | ACK)) == SYN;
}

/* Gives a packet the addresses and ports of a flow. */
static inline_always int rewrite(struct __sk_buff *skb, struct packet *p, const struct flow *f)
{
	struct addr from[2] = { p->t.src, p->t.dst }, to[2] = { f->src, f->dst };
	be16 ports[2] = { f->sport, f->dport };
	u64 flags = p->t.proto == UDP ? CSUM_ZERO_IS_NONE : 0;
	long diff = csum_diff(from[0].word, sizeof(from), to[0].word, sizeof(to), 0);
	u32 old_ports = *(u32 *)&p->t.sport, new_ports = *(u32 *)ports;

	if (l4_csum_replace(skb, p->csum, 0, diff, flags | CSUM_PSEUDO))
		return -1;
	if (old_ports != new_ports &&
	    (l4_csum_replace(skb, p->csum, old_ports, new_ports, flags | sizeof(ports)) ||
	     skb_store(skb, p->l4, ports, sizeof(ports), 0)))
		return -1;
#ifndef IPV6
	if (l3_csum_replace(skb, CSUM_AT, 0, diff, 0))
		return -1;
#endif
	return skb_store(skb, ADDRS_AT, to, sizeof(to), 0);
}

/* Asks the routing table for the way to an address of a packet that came in by a link;
 * true if there is one. The node's own come in by loopback, as the stack has it too. (The
 * look-up's flag for output is of no use: with IPv4 the only routes then are those by one
 * link.) */
static inline_always int route(struct __sk_buff *skb, struct bpf_fib_lookup *q, const struct packet *p, const struct addr *src, const struct addr *dst, u32 link)
{
	long answer;

	__builtin_memset(q, 0, sizeof(*q));
	q->family = FAMILY;
	q->l4_protocol = p->t.proto;
	q->ifindex = link;
#pragma unroll
	for (int i = 0; i < WORDS; i++) {
		q->src[i] = src->word[i];
		q->dst[i] = dst->word[i];
	}
	answer = fib_lookup(skb, q, sizeof(*q), 0);
	return answer == FIB_SUCCESS || answer == FIB_NO_NEIGHBOUR;
}

static inline_always int leave_by(const struct bpf_fib_lookup *q)
{
	struct bpf_redir_neigh hop = { .nh_family = q->family };

	__builtin_memcpy(hop.hop, q->dst, sizeof(hop.hop));
	return redirect_neigh(q->ifindex, &hop, sizeof(hop), 0);
}

/* Forwards a rewritten packet as the stack would, but without the stack. */
static inline_always int forward(struct __sk_buff *skb, const struct packet *p, const struct flow *f)
{
	struct bpf_fib_lookup q;
	u8 ttl = p->ttl - 1;

	if (p->ttl <= 1 || !route(skb, &q, p, &f->src, &f->dst, skb->ifindex))
		return SHOT;
#ifndef IPV6
	/* TTL is the high byte of its 16 bits in the header. */
	if (l3_csum_replace(skb, CSUM_AT, swap16(p->ttl << 8), swap16(ttl << 8), 2))
		return SHOT;
#endif
	if (skb_store(skb, TTL_AT, &ttl, 1, 0))
		return SHOT;
	return leave_by(&q);
}

struct icmp {
	u8 type, code;
	be16 csum;
	be32 unused;
};

static inline_always u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The checksum's part for the outer addresses, which only ICMPv6 has. */
static inline_always u32 pseudo(const struct packet *p, u32 len)
{
#ifdef IPV6
	struct {
		struct addr src, dst;
		be32 len, proto;
	} h = { p->t.dst, p->t.src, swap32(len), swap32(ICMP6) };

	return csum_diff(NULL, 0, (be32 *)&h, sizeof(h), 0);
#else
	return 0;
#endif
}

static inline_always struct ip outer(const struct packet *p, u32 len)
{
#ifdef IPV6
	struct ip ip = { .class_flow = swap32(0x60000000), .len = swap16(len), .proto = ICMP6 };
#else
	struct ip ip = { .version_len = 0x45, .len = swap16(len + sizeof(struct ip)), .fragment = swap16(DONT_FRAGMENT), .proto = ICMP };
#endif
	ip.ttl = 64;
	ip.src = p->t.dst;
	ip.dst = p->t.src;
#ifndef IPV6
	ip.csum = fold(csum_diff(NULL, 0, (be32 *)&ip, sizeof(ip), 0));
#endif
	return ip;
}

/* Answers a packet with "port unreachable", as the address it was sent to. What is quoted
 * of TCP is its whole header: the kernel cuts no packet before a checksum that is yet to
 * be filled in. */
static inline_always int refuse(struct __sk_buff *skb, const struct packet *p, u64 where)
{
	enum { ROOM = sizeof(struct ip) + sizeof(struct icmp), LONG = sizeof(struct ip) + 20, SHORT = sizeof(struct ip) + 8 };
	u8 quote[LONG] = {}, mac[12], back[12];
	u32 len = p->t.proto == TCP ? LONG : SHORT;
	struct icmp icmp = { .type = 3, .code = 3 };
	struct ip ip;
	u32 sum;

#ifdef IPV6
	icmp.type = 1;
	icmp.code = 4;
#endif
	if (p->l4 != ETH_LEN + sizeof(struct ip) || skb_load(skb, 0, mac, sizeof(mac)) || skb_load(skb, ETH_LEN, quote, SHORT))
		return SHOT;
	if (p->t.proto == TCP && skb_load(skb, ETH_LEN + SHORT, quote + SHORT, LONG - SHORT))
		return SHOT;
	/* What is not quoted is zero, which adds nothing. */
	sum = csum_diff(NULL, 0, (be32 *)&icmp, sizeof(icmp), pseudo(p, len + sizeof(icmp)));
	icmp.csum = fold(csum_diff(NULL, 0, (be32 *)quote, LONG, sum));
	ip = outer(p, len + sizeof(icmp));
	__builtin_memcpy(back, mac + 6, 6);
	__builtin_memcpy(back + 6, mac, 6);
	if (skb_change_tail(skb, ETH_LEN + len, 0) || skb_adjust_room(skb, ROOM, ROOM_AT_MAC, ROOM_FIXED_GSO) ||
	    skb_store(skb, 0, back, sizeof(back), 0) || skb_store(skb, ETH_LEN, &ip, sizeof(ip), 0) ||
	    skb_store(skb, ETH_LEN + sizeof(ip), &icmp, sizeof(icmp), 0))
		return SHOT;
	return redirect(skb->ifindex, where);
}

#endif
