// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Service load balancing on the links of a node and at the sockets of its processes. */
#include "flow.h"
#include "socket.h"

char licence[] SEC("license") = "Dual MIT/GPL";

/* Sends a packet of a known flow on its way. */
static inline_always int carry(struct __sk_buff *skb, struct packet *p, const struct flow *f, int of_node)
{
	struct bpf_fib_lookup q;

	if (rewrite(skb, p, f))
		return SHOT;
	if (f->flags & AROUND)
		return forward(skb, p, f);
	/* The stack chose the link by the VIP; the endpoint may be elsewhere. */
	if (of_node && route(skb, &q, p, &f->src, &f->dst, LOOPBACK) && q.ifindex != skb->ifindex)
		return leave_by(&q);
	return NEXT;
}

static inline_always int serve(struct __sk_buff *skb, int of_node)
{
	struct packet p = {};
	struct front front = {};
	struct flow fresh = {}, *known;
	struct service *svc;

	if (parse(skb, &p))
		return NEXT;
	known = map_lookup(&flows, &p.t);
	if (known && (!begins(&p) || continues(known))) {
		touch(known, &p);
		return carry(skb, &p, known, of_node);
	}
	front.addr = p.t.dst;
	front.port = p.t.dport;
	front.proto = p.t.proto;
	svc = find(&front, of_node || in_cluster(&p.t.src) == 1);
	if (!svc)
		return NEXT;
	if ((svc->flags & SOURCES) && !is_allowed(svc->id, &p.t.src))
		return SHOT;
	if (!svc->count)
		return svc->flags & SILENT ? SHOT : refuse(skb, &p, of_node ? REDIRECT_INGRESS : 0);
	if (begin(skb, &p, &front, svc, of_node, &fresh))
		return SHOT;
	return carry(skb, &p, &fresh, of_node);
}

/* Packets that come in by a link. */
SEC("tc")
int from_link(struct __sk_buff *skb)
{
	return skb->pkt_type == PACKET_HOST ? serve(skb, 0) : NEXT;
}

/* Packets that leave by a link, of which only those of the node's own sockets were not
 * seen when they came in. */
SEC("tc")
int to_link(struct __sk_buff *skb)
{
	return skb->ingress_ifindex ? NEXT : serve(skb, 1);
}
